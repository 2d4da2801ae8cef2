//! The options that choose the value of a setting: one for each row of the tables.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use sim_gup::CATALOGUE;
use sim_mm::{Choices, Group, Setting};

/// What the options for settings chose.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingOptions {
    platform: Choices,
    design: Choices,
}

impl SettingOptions {
    /// The values that they chose for the settings of a group.
    pub(crate) fn of(&self, group: Group) -> Choices {
        match group {
            Group::Platform => self.platform,
            Group::Design => self.design,
        }
    }
}

/// The settings that leave a choice. A setting with one value needs no option.
fn settings() -> impl Iterator<Item = Setting> {
    CATALOGUE.settings().filter(|setting| setting.values.len() > 1)
}

fn option(setting: Setting) -> Arg {
    let values = setting
        .values
        .iter()
        .map(|value| PossibleValue::new(value.name).help(value.about().trim_end_matches('.')));
    Arg::new(setting.key)
        .long(setting.key.replace('_', "-"))
        .value_name(setting.key.to_uppercase())
        .value_parser(PossibleValuesParser::new(values))
        .help(setting.about().trim_end_matches('.'))
        .help_heading(match setting.group() {
            Group::Platform => "Machine",
            Group::Design => "Kernel",
        })
}

impl Args for SettingOptions {
    fn augment_args(command: Command) -> Command {
        command.args(settings().map(option))
    }

    fn augment_args_for_update(command: Command) -> Command {
        SettingOptions::augment_args(command)
    }
}

impl FromArgMatches for SettingOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<SettingOptions, clap::Error> {
        let mut options = SettingOptions::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in settings() {
            let place = matches.get_one::<String>(setting.key).and_then(|name| setting.by_name(name));
            let group = match setting.group() {
                Group::Platform => &mut self.platform,
                Group::Design => &mut self.design,
            };
            if let Some(place) = place {
                group.set(setting, place);
            }
        }
        Ok(())
    }
}

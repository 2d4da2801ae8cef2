//! Options that change a scenario's machine, kernel and exploration.

use std::thread::available_parallelism;

use clap::builder::{PossibleValue, PossibleValuesParser};
use sim_gup::CATALOGUE;
use sim_mm::{Group, NotARelease, Release};

use super::Failure;
use super::setting_options::SettingOptions;
use crate::json::{Named, by_name};
use crate::scenario::{ExploreSpec, KernelSpec, MachineChange, StrategyName};

#[derive(Debug, clap::Args)]
pub(crate) struct Configure {
    /// Switches a safeguard off. `mmsim safeguards` lists them.
    #[arg(long, value_name = "SAFEGUARD", value_parser = safeguard_keys(), hide_possible_values = true,
          help_heading = "Kernel")]
    without: Vec<String>,
    /// Switches a safeguard on.
    #[arg(long, value_name = "SAFEGUARD", value_parser = safeguard_keys(), hide_possible_values = true,
          help_heading = "Kernel")]
    with: Vec<String>,
    #[arg(long, value_name = "RELEASE", value_parser = release, help_heading = "Kernel", help = releases())]
    kernel: Option<Release>,
    #[command(flatten)]
    settings: SettingOptions,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Effort {
    /// Which schedules to try.
    #[arg(long, value_parser = strategies(|_| true), help_heading = "Exploration")]
    pub(crate) strategy: Option<String>,
    /// Explores every schedule with at most N preemptions. A preemption is a switch away from a CPU that could have gone on.
    /// The strategy must be one that explores every schedule.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1000),
          help_heading = "Exploration")]
    pub(crate) preemptions: Option<u32>,
    /// The largest number of runs.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), help_heading = "Exploration")]
    pub(crate) runs: Option<u64>,
    /// The number of the first run, which is also its seed.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..1 << 48),
          help_heading = "Exploration")]
    pub(crate) seed: u64,
    /// The number of threads. It never changes a result.
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024),
          help_heading = "Exploration")]
    pub(crate) jobs: u16,
}

/// The keys of all safeguards.
pub(super) fn safeguard_keys() -> PossibleValuesParser {
    PossibleValuesParser::new(CATALOGUE.safeguards().map(|facts| facts.key).collect::<Vec<_>>())
}

/// The strategies that are wanted, each with a line of help.
pub(super) fn strategies(wanted: impl Fn(StrategyName) -> bool) -> PossibleValuesParser {
    let values = StrategyName::NAMES.iter().filter(|(strategy, _)| wanted(*strategy));
    PossibleValuesParser::new(values.map(|(strategy, name)| {
        PossibleValue::new(*name).help(strategy.about().map(|about| about.trim_end_matches('.')))
    }))
}

/// The help of an option that names a release.
fn releases() -> String {
    let known: Vec<Release> = Release::known().collect();
    let of = |release: Option<&Release>| release.map_or_else(String::new, ToString::to_string);
    format!(
        "The kernel's release: {} to {}, or latest, which is later than all",
        of(known.first()),
        of(known.last())
    )
}

/// The number of threads that an option asks for. Without it there is one for each processor.
pub(in crate::cli) fn threads(jobs: Option<u16>) -> usize {
    jobs.map_or_else(|| available_parallelism().map_or(1, usize::from), usize::from)
}

pub(super) fn release(text: &str) -> Result<Release, String> {
    text.parse().map_err(|why: NotARelease| format!("it {why}; {}", why.help()))
}

impl Configure {
    /// Whether it changes anything.
    pub(crate) fn changes(&self) -> bool {
        self.kernel_change() != KernelSpec::default() || self.machine_change() != MachineChange::default()
    }

    pub(crate) fn kernel_change(&self) -> KernelSpec {
        let safeguards = |keys: &[String]| keys.iter().filter_map(|key| CATALOGUE.safeguard(key)).collect();
        KernelSpec {
            version: self.kernel,
            without: safeguards(&self.without),
            with: safeguards(&self.with),
            design: self.settings.of(Group::Design),
        }
    }

    pub(crate) fn machine_change(&self) -> MachineChange {
        let platform = self.settings.of(Group::Platform);
        MachineChange { platform, ..MachineChange::default() }
    }

    /// A safeguard cannot be both on and off.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.without.iter().find(|key| self.with.contains(key)) {
            None => Ok(()),
            Some(key) => Err(Failure {
                exit: super::Exit::Usage,
                message: format!("`{key}` is named by both --with and --without"),
            }),
        }
    }
}

impl Effort {
    pub(crate) fn strategy(&self) -> Option<StrategyName> {
        self.strategy.as_ref().and_then(|name| by_name(name))
    }

    /// Changes how something is explored. A bound on preemptions is for searches for all schedules.
    pub(crate) fn apply(&self, explore: ExploreSpec) -> ExploreSpec {
        let explore = match self.strategy() {
            Some(strategy) => ExploreSpec { strategy, preemptions: None, ..explore },
            None => explore,
        };
        let bound = self.preemptions.filter(|_| explore.strategy.is_exhaustive());
        let chosen = explore.chosen || self.strategy.is_some() || self.runs.is_some() || self.seed != 0;
        ExploreSpec { chosen, preemptions: bound.or(explore.preemptions), ..explore }
    }

    /// Refuses a bound on preemptions that no search would use.
    pub(crate) fn check(&self, mut explored: impl Iterator<Item = ExploreSpec>) -> Result<(), Failure> {
        if self.preemptions.is_none() || explored.any(|explore| explore.strategy.is_exhaustive()) {
            return Ok(());
        }
        Err(Failure {
            exit: super::Exit::Usage,
            message: "--preemptions bounds a search for all schedules: add --strategy exhaustive".to_owned(),
        })
    }

    /// How a scenario without cases is explored.
    pub(crate) fn explore(&self) -> Result<ExploreSpec, Failure> {
        let explore = self.apply(ExploreSpec::default());
        self.check([explore].into_iter())?;
        Ok(explore)
    }
}

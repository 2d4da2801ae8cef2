//! What a setting is, and how a crate declares its own.
//!
//! A setting is a choice among named values. For example, one setting says how a machine flushes translations,
//! and another by which rule a kernel reuses a page. Each crate lists its settings with
//! [`settings!`](crate::settings!). The field of a scenario, the option of the command line, the entry of a
//! record and the printed text all follow from the row.

use std::fmt;
use std::ops::Deref;

use super::safeguard::{Safeguard, SafeguardSet};
use crate::release::Release;

/// Whose choice a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The machine's: processor, hypervisor, and how the kernel was built.
    Platform,
    /// The kernel's: a design that changed from release to release.
    Design,
}

/// What is known of a value of a setting.
#[derive(Debug)]
pub struct ValueFacts {
    /// Its name in scenarios and on the command line.
    pub name: &'static str,
    /// Its doc comment.
    #[doc(hidden)]
    pub doc: &'static str,
    /// The first release that has it, if releases differ.
    pub since: Option<Release>,
}

/// What a setting has to do with a safeguard: some values have it, the others lack it.
#[derive(Debug)]
pub struct Implied {
    /// The safeguard.
    pub safeguard: Safeguard,
    /// The values that have it, by their places.
    pub by: &'static [usize],
    /// The value that a kernel without the safeguard takes.
    pub without: usize,
}

/// What is known of a setting.
#[derive(Debug)]
pub struct SettingFacts {
    /// Its name in scenarios; on the command line, with hyphens.
    pub key: &'static str,
    /// Its doc comment.
    #[doc(hidden)]
    pub doc: &'static str,
    /// Whose choice it is.
    pub group: Group,
    /// Its values. The first is the default where no release says otherwise.
    pub values: &'static [ValueFacts],
    /// The safeguard that hangs on it.
    pub implied: Option<Implied>,
    /// Of a knob that has not the first value wherever nobody chooses one: the value it has, by the kernel's
    /// release and the knobs that were chosen.
    pub usual: Option<fn(Release, &Settings) -> usize>,
}

impl ValueFacts {
    /// What it means, in a sentence.
    pub fn about(&self) -> &'static str {
        self.doc.trim()
    }
}

impl SettingFacts {
    /// What is chosen, in a sentence.
    pub fn about(&self) -> &'static str {
        self.doc.trim()
    }
}

/// A named setting: a number within the whole kernel, and the facts.
#[derive(Clone, Copy)]
pub struct Setting {
    id: u8,
    facts: &'static SettingFacts,
}

impl Setting {
    /// Setting number `id` of the kernel. For the macro.
    #[doc(hidden)]
    pub const fn new(id: usize, facts: &'static SettingFacts) -> Setting {
        assert!(id < Settings::CAPACITY, "there is no room for so many settings");
        Setting { id: id as u8, facts }
    }

    /// Its number: settings are counted from the lowest crate upwards, in the order of the tables.
    pub const fn id(self) -> usize {
        self.id as usize
    }

    /// Whose choice it is.
    pub const fn group(self) -> Group {
        self.facts.group
    }

    /// The place of the value of a name.
    pub fn by_name(self, name: &str) -> Option<usize> {
        self.values.iter().position(|value| value.name == name)
    }

    /// The value that a kernel of a release with these safeguards takes, if it is not told another.
    fn of_release(self, version: Release, safeguards: &SafeguardSet) -> usize {
        // The newest that a release brought; the first, if none did.
        let is_out = |value: &ValueFacts| value.since.is_some_and(|since| since <= version);
        let usual = self.values.iter().rposition(is_out).unwrap_or(0);
        match &self.implied {
            Some(implied) if !safeguards.has(implied.safeguard) => implied.without,
            Some(implied) if !implied.by.contains(&usual) => implied.by[0],
            _ => usual,
        }
    }
}

impl Deref for Setting {
    type Target = SettingFacts;
    fn deref(&self) -> &SettingFacts {
        self.facts
    }
}

impl PartialEq for Setting {
    fn eq(&self, other: &Setting) -> bool {
        self.id == other.id
    }
}

impl Eq for Setting {}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)
    }
}

/// The values of a setting as a type, for the code that acts on them.
pub trait Knob: Copy + PartialEq + 'static {
    /// The setting.
    const SETTING: Setting;
    /// Its values, in the order of the table.
    const VALUES: &'static [Self];

    /// Its place among the values.
    fn index(self) -> usize;

    /// Its name.
    fn name(self) -> &'static str {
        Self::SETTING.values[self.index()].name
    }
}

/// A value for every setting: of each, its place among the setting's values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Settings([u8; Settings::CAPACITY]);

impl Settings {
    /// The most settings that a kernel can have.
    pub const CAPACITY: usize = 160;

    /// The value of a setting.
    #[inline]
    pub fn get<K: Knob>(&self) -> K {
        K::VALUES[self.0[K::SETTING.id()] as usize]
    }

    /// The place of the value of a setting.
    pub fn place(&self, setting: Setting) -> usize {
        self.0[setting.id()] as usize
    }

    /// The name of the value of a setting.
    pub fn name(&self, setting: Setting) -> &'static str {
        setting.values[self.place(setting)].name
    }

    /// The settings with another value for one.
    #[must_use]
    pub fn with<K: Knob>(mut self, value: K) -> Settings {
        self.set(K::SETTING, value.index());
        self
    }

    /// The settings with the choices on top.
    #[must_use]
    pub fn changed(mut self, choices: &Choices) -> Settings {
        for (value, choice) in self.0.iter_mut().zip(choices.0) {
            *value = choice.unwrap_or(*value);
        }
        self
    }

    fn set(&mut self, setting: Setting, place: usize) {
        self.0[setting.id()] = place as u8;
    }

    /// The knobs of a platform that runs a kernel of a release: those that were chosen, and the usual others.
    pub(crate) fn of_platform(
        knobs: impl Iterator<Item = Setting>,
        version: Release,
        choices: &Choices,
    ) -> Settings {
        let mut settings = Settings::default().changed(choices);
        for setting in knobs.filter(|setting| choices.name(*setting).is_none()) {
            if let Some(usual) = setting.usual {
                settings.set(setting, usual(version, &settings));
            }
        }
        settings
    }

    /// The designs of a release with these safeguards, with the choices on top.
    pub(crate) fn of_release(
        designs: impl Iterator<Item = Setting>,
        version: Release,
        safeguards: &SafeguardSet,
        choices: &Choices,
    ) -> Settings {
        let mut settings = Settings::default();
        for setting in designs {
            settings.set(setting, setting.of_release(version, safeguards));
        }
        settings.changed(choices)
    }

    /// The settings with those of a release for the ones that a safeguard hangs on.
    pub(crate) fn brought_by(
        mut self,
        mut designs: impl Iterator<Item = Setting>,
        safeguard: Safeguard,
        version: Release,
        safeguards: &SafeguardSet,
    ) -> Settings {
        let hangs = |setting: &Setting| setting.implied.as_ref().is_some_and(|i| i.safeguard == safeguard);
        if let Some(setting) = designs.find(hangs) {
            self.set(setting, setting.of_release(version, safeguards));
        }
        self
    }
}

/// The first value of every setting.
impl Default for Settings {
    fn default() -> Settings {
        Settings([0; Settings::CAPACITY])
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().filter(|place| **place != 0)).finish()
    }
}

/// Values for some settings; the others are left to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choices([Option<u8>; Settings::CAPACITY]);

impl Choices {
    /// These choices and one more.
    #[must_use]
    pub fn with<K: Knob>(mut self, value: K) -> Choices {
        self.set(K::SETTING, value.index());
        self
    }

    /// Chooses the value at a place.
    pub fn set(&mut self, setting: Setting, place: usize) {
        self.0[setting.id()] = Some(place as u8);
    }

    /// The name of the chosen value.
    pub fn name(&self, setting: Setting) -> Option<&'static str> {
        self.0[setting.id()].map(|place| setting.values[place as usize].name)
    }

    /// These choices with others on top.
    #[must_use]
    pub fn changed(mut self, other: &Choices) -> Choices {
        for (mine, other) in self.0.iter_mut().zip(other.0) {
            *mine = other.or(*mine);
        }
        self
    }
}

/// Nothing is chosen.
impl Default for Choices {
    fn default() -> Choices {
        Choices([None; Settings::CAPACITY])
    }
}

/// The rows of the tables of a crate, one table after the other. `N` is the number of all rows.
pub(crate) const fn join<const N: usize>(tables: [&[Setting]; 3]) -> [Setting; N] {
    let mut rows = [tables[0][0]; N];
    let (mut row, mut table) = (0, 0);
    while table < tables.len() {
        let mut nth = 0;
        while nth < tables[table].len() {
            rows[row] = tables[table][nth];
            (row, nth) = (row + 1, nth + 1);
        }
        table += 1;
    }
    rows
}

/// Declares a table of settings: for each an enum of its values, and `SETTINGS`, the list of them all.
///
/// The first line says how many settings the tables before have; these are counted on from there. A value may
/// say since which release kernels have it; a setting may say which values have a safeguard, and which one a
/// kernel takes that lacks it. A function behind `usually` says which value a knob has that nobody chooses.
///
/// ```
/// sim_mm::settings! {
///     above 40;
///     /// How pages are counted.
///     Counting = design "counting" {
///         /// One by one.
///         Single = "single",
///         /// By the batch.
///         Batched = "batched" since sim_mm::Release::v(6, 1),
///     }
/// }
/// use sim_mm::Knob;
/// assert_eq!((Counting::Batched.name(), SETTINGS[0].key), ("batched", "counting"));
/// ```
#[macro_export]
macro_rules! settings {
    (above $below:expr; $(
        #[doc = $about:literal]
        $knob:ident = $group:ident $key:literal
        $(usually [$usual:path])?
        $(has $safeguard:ident by $by:tt else $without:ident)? {
            $(#[doc = $value_about:literal] $value:ident = $name:literal $(since $since:expr)?),* $(,)?
        }
    )*) => {
        #[allow(clippy::upper_case_acronyms, reason = "counts the rows of the table")]
        enum SettingRow { $($knob),* }

        $(
            #[doc = $about]
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $knob { $(#[doc = $value_about] $value),* }

            impl $crate::Knob for $knob {
                const SETTING: $crate::Setting =
                    $crate::Setting::new($below + SettingRow::$knob as usize, &$crate::SettingFacts {
                        key: $key,
                        doc: $about,
                        group: $crate::settings!(@group $group),
                        values: &[$($crate::ValueFacts {
                            name: $name,
                            doc: $value_about,
                            since: $crate::settings!(@or $($since)?),
                        }),*],
                        implied: $crate::settings!(@implied $knob $($safeguard $by $without)?),
                        usual: $crate::settings!(@or $(|version, chosen| $usual(version, chosen).index())?),
                    });
                const VALUES: &'static [Self] = &[$($knob::$value),*];

                fn index(self) -> usize {
                    self as usize
                }
            }
        )*

        /// The settings, in the order of the table.
        pub(crate) const SETTINGS: &[$crate::Setting] = &[$(<$knob as $crate::Knob>::SETTING),*];
    };
    (@group platform) => { $crate::Group::Platform };
    (@group design) => { $crate::Group::Design };
    (@or $value:expr) => { Some($value) };
    (@or) => { None };
    (@implied $knob:ident) => { None };
    (@implied $knob:ident $safeguard:ident [$($by:ident),+] $without:ident) => {
        Some($crate::Implied {
            safeguard: $safeguard,
            by: &[$($knob::$by as usize),+],
            without: $knob::$without as usize,
        })
    };
}

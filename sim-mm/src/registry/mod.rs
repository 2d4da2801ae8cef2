//! The safeguards and settings of a kernel: the tables of all its crates together.

pub(crate) mod safeguard;
pub(crate) mod setting;

use safeguard::Safeguard;
use setting::{Choices, Group, Setting, Settings};

use crate::release::Release;

/// The tables of a kernel's crates, the highest crate first.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue {
    safeguards: &'static [&'static [Safeguard]],
    settings: &'static [&'static [Setting]],
}

impl Catalogue {
    /// The catalogue of some crates, the highest first.
    pub const fn new(
        safeguards: &'static [&'static [Safeguard]],
        settings: &'static [&'static [Setting]],
    ) -> Catalogue {
        Catalogue { safeguards, settings }
    }

    /// Every safeguard.
    pub fn safeguards(self) -> impl Iterator<Item = Safeguard> {
        self.safeguards.iter().copied().flatten().copied()
    }

    /// The safeguard of a key.
    pub fn safeguard(self, key: &str) -> Option<Safeguard> {
        self.safeguards().find(|safeguard| safeguard.key == key)
    }

    /// Every setting, those of the lowest crate first.
    pub fn settings(self) -> impl Iterator<Item = Setting> {
        self.settings.iter().rev().copied().flatten().copied()
    }

    /// The settings of a group.
    pub fn settings_of(self, group: Group) -> impl Iterator<Item = Setting> {
        self.settings().filter(move |setting| setting.group == group)
    }

    /// The knobs of a platform that runs a kernel of a release: those that were chosen, and the usual others.
    pub fn platform(self, version: Release, choices: &Choices) -> Settings {
        Settings::of_platform(self.settings_of(Group::Platform), version, choices)
    }

    /// The designs.
    pub fn designs(self) -> impl Iterator<Item = Setting> {
        self.settings_of(Group::Design)
    }
}

//! What a kernel is made of that can be switched: the tables of all its crates together.

pub(crate) mod safeguard;

use safeguard::Safeguard;

/// The tables of a kernel's crates, the highest crate first.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue {
    safeguards: &'static [&'static [Safeguard]],
}

impl Catalogue {
    /// The catalogue of some crates, the highest first.
    pub const fn new(safeguards: &'static [&'static [Safeguard]]) -> Catalogue {
        Catalogue { safeguards }
    }

    /// Every safeguard.
    pub fn safeguards(self) -> impl Iterator<Item = Safeguard> {
        self.safeguards.iter().copied().flatten().copied()
    }

    /// The safeguard of a key.
    pub fn safeguard(self, key: &str) -> Option<Safeguard> {
        self.safeguards().find(|safeguard| safeguard.key == key)
    }
}

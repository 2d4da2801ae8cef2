//! The rules in which the SDM differs from the model of the source.

/// A rule in which the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// The sections of the SDM, volume 3A.
    pub sdm: &'static str,
    /// What it says.
    pub about: &'static str,
    /// What the model of the source says instead.
    pub source: &'static str,
    /// Whether the rule allows what the source forbids. If not, it forbids what the source allows.
    pub allows: bool,
}

/// Until an invalidation, a cached translation may be used.
pub(super) const STALE: Rule = Rule {
    name: "stale",
    sdm: "4.10.2.3",
    about: "a translation may be cached on speculation at any time, beside others of its page, and any of them may be used \
            until INVLPG drops them",
    source: "a walk is made at an access, later walks of a thread find no older entry, and a store to an entry comes before \
             the later accesses of its thread",
    allows: true,
};

/// After an invalidation, no older translation is used.
pub(super) const FLUSH: Rule = Rule {
    name: "flush",
    sdm: "4.10.4.1",
    about: "an access after INVLPG of its page uses a walk that was made after that INVLPG",
    source: "only the INVLPGs that a store to an entry asks for are ordered with walks",
    allows: false,
};

/// A walk comes before the access for which it is made.
pub(super) const WALK: Rule = Rule {
    name: "walk",
    sdm: "4.10.2.2",
    about: "a walk reads memory, and does so before the access that it serves",
    source: "a walk is not ordered with the access that it serves",
    allows: false,
};

/// D is set before the store is made.
pub(super) const DIRTY: Rule = Rule {
    name: "dirty",
    sdm: "4.8 and 8.1.2.1",
    about: "D is set by a locked operation on the entry that the walk found, before the store and not on speculation",
    source: "the walk and the store to the entry that sets D are not one operation, and are not ordered with others",
    allows: false,
};

/// All rules.
pub const RULES: [Rule; 4] = [STALE, FLUSH, WALK, DIRTY];

/// The rules of the SDM that replace what the source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) stale: bool,
    pub(super) flush: bool,
    pub(super) walk: bool,
    pub(super) dirty: bool,
}

impl Rules {
    /// All rules. This is the model of the SDM.
    pub(super) const SDM: Rules = Rules { stale: true, flush: true, walk: true, dirty: true };

    /// All rules but one.
    pub(super) fn without(rule: Rule) -> Rules {
        let mut rules = Rules::SDM;
        match rule.name {
            "stale" => rules.stale = false,
            "flush" => rules.flush = false,
            "walk" => rules.walk = false,
            _ => rules.dirty = false,
        }
        rules
    }
}

//! Kernel releases, in order. Some of them can be simulated.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A mainline release: `v2.6.27`, `v5.0`, or `latest`, which is later than all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release(u16, u16, u16);

/// Releases that differ in their last number only.
struct Series {
    first: Release,
    last: u16,
}

/// Every release that a kernel can be of. The first is the one that brought the lockless GUP of x86: before it
/// there is nothing of what is simulated here.
const KNOWN: [Series; 5] = [
    Series { first: Release::v26(27), last: 39 },
    Series { first: Release::v(3, 0), last: 19 },
    Series { first: Release::v(4, 0), last: 20 },
    Series { first: Release::v(5, 0), last: 19 },
    Series { first: Release::v(6, 0), last: 19 },
];

impl Series {
    fn numbers(&self) -> RangeInclusive<u16> {
        self.first.last_number()..=self.last
    }

    fn last(&self) -> Release {
        self.first.with_last_number(self.last)
    }
}

impl Release {
    /// Later than every release.
    pub const LATEST: Release = Release(u16::MAX, 0, 0);

    /// A release of the 2.6 series.
    pub const fn v26(sub: u16) -> Release {
        Release(2, 6, sub)
    }

    /// A release since 3.0.
    pub const fn v(major: u16, minor: u16) -> Release {
        Release(major, minor, 0)
    }

    /// The releases that a kernel can be of, the oldest first; `latest` is not among them.
    pub fn known() -> impl Iterator<Item = Release> {
        KNOWN.iter().flat_map(|series| series.numbers().map(|number| series.first.with_last_number(number)))
    }

    /// How releases are spelt, in a clause.
    pub fn spelling() -> String {
        let series = KNOWN.iter().map(|series| format!("`{}` to `{}`", series.first, series.last()));
        format!("releases are {}, and `latest`", series.collect::<Vec<_>>().join(", "))
    }

    const fn last_number(self) -> u16 {
        if self.0 == 2 { self.2 } else { self.1 }
    }

    const fn with_last_number(self, number: u16) -> Release {
        if self.0 == 2 { Release(2, 6, number) } else { Release(self.0, number, 0) }
    }

    fn is_known(self) -> bool {
        Release::known().any(|known| known == self)
    }
}

/// Why text names no release that a kernel can be of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotARelease {
    /// It is not spelt like a release.
    Misspelt,
    /// It is spelt like one, and there is none of that name, or none that is known.
    Unknown,
    /// It names the releases from the first to the last.
    Series(Release, Release),
    /// It is a stable release or a candidate of this one.
    Variant(Release),
}

impl NotARelease {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            NotARelease::Variant(release) => format!("write `{release}`"),
            _ => Release::spelling(),
        }
    }
}

/// What is wrong, behind the text that was read.
impl fmt::Display for NotARelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotARelease::Misspelt => f.write_str("is not the name of a release"),
            NotARelease::Unknown => f.write_str("is no release that mmsim knows"),
            NotARelease::Series(first, last) => {
                write!(f, "is a series of releases; choose one from `{first}` to `{last}`")
            }
            NotARelease::Variant(release) => write!(f, "is no mainline release; the nearest is `{release}`"),
        }
    }
}

/// The `v` may be left out.
impl FromStr for Release {
    type Err = NotARelease;

    fn from_str(text: &str) -> Result<Release, NotARelease> {
        if text == "latest" {
            return Ok(Release::LATEST);
        }
        let digits = text.strip_prefix('v').unwrap_or(text);
        let (digits, candidate) = match digits.split_once('-') {
            Some((digits, suffix)) if suffix.starts_with("rc") => (digits, true),
            Some(_) => return Err(NotARelease::Misspelt),
            None => (digits, false),
        };
        let number = |part: &str| part.parse::<u16>().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit()));
        let (numbers, is_series) = match digits.strip_suffix(".x") {
            Some(digits) => (digits, true),
            None => (digits, false),
        };
        let parts: Option<Vec<u16>> = numbers.split('.').map(number).collect();
        let parts = parts.ok_or(NotARelease::Misspelt)?;
        let series = |of: &[u16]| {
            let found = KNOWN.iter().find(|series| {
                let Release(major, minor, _) = series.first;
                if major == 2 { of == [major, minor] } else { of == [major] }
            });
            found.map(|series| NotARelease::Series(series.first, series.last())).ok_or(NotARelease::Unknown)
        };
        let (release, is_variant) = match parts[..] {
            _ if is_series => return Err(series(&parts).unwrap_or_else(|unknown| unknown)),
            [2, 6] | [_] => return Err(series(&parts).unwrap_or_else(|unknown| unknown)),
            [2, 6, sub] => (Release::v26(sub), candidate),
            [2, 6, sub, _] => (Release::v26(sub), true),
            [major, minor] => (Release::v(major, minor), candidate),
            [major, minor, _] => (Release::v(major, minor), true),
            _ => return Err(NotARelease::Unknown),
        };
        match release.is_known() {
            false => Err(NotARelease::Unknown),
            true if is_variant => Err(NotARelease::Variant(release)),
            true => Ok(release),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Release::LATEST => f.write_str("latest"),
            Release(2, 6, sub) => write!(f, "v2.6.{sub}"),
            Release(major, minor, _) => write!(f, "v{major}.{minor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_parse_print_and_compare() {
        for release in Release::known().chain([Release::LATEST]) {
            assert_eq!(release.to_string().parse(), Ok(release));
        }
        assert!(Release::known().chain([Release::LATEST]).is_sorted());
        assert_eq!("5.7".parse(), Ok(Release::v(5, 7)));
        assert_eq!("2.6.39".parse(), Ok(Release::v26(39)));
    }

    #[test]
    fn what_is_no_release_is_refused_for_its_reason() {
        use NotARelease::{Misspelt, Series, Unknown, Variant};
        let sixes = Series(Release::v(6, 0), Release::v(6, 19));
        let twos = Series(Release::v26(27), Release::v26(39));
        for (text, why) in [
            ("", Misspelt),
            ("newest", Misspelt),
            ("v-1.0", Misspelt),
            ("v+5.0", Misspelt),
            ("v5.", Misspelt),
            ("5.7-mm1", Misspelt),
            ("v2.6.26", Unknown),
            ("v2.7", Unknown),
            ("v4.21", Unknown),
            ("v9.99", Unknown),
            ("v9.x", Unknown),
            ("v6.x", sixes.clone()),
            ("6", sixes),
            ("v2.6", twos),
            ("v5.0.1", Variant(Release::v(5, 0))),
            ("v6.1-rc3", Variant(Release::v(6, 1))),
            ("v2.6.32.71", Variant(Release::v26(32))),
        ] {
            assert_eq!(text.parse::<Release>(), Err(why), "{text}");
        }
    }
}

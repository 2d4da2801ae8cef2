//! Kernel releases, in order.

use std::fmt;
use std::str::FromStr;

/// A mainline release: `v2.6.27`, `v5.0`, or `latest`, which is later than all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release(u16, u16, u16);

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
}

/// Text that names no release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotARelease;

impl FromStr for Release {
    type Err = NotARelease;

    fn from_str(text: &str) -> Result<Release, NotARelease> {
        if text == "latest" {
            return Ok(Release::LATEST);
        }
        let digits = text.strip_prefix('v').ok_or(NotARelease)?;
        let parts: Vec<u16> =
            digits.split('.').map(|part| part.parse().map_err(|_| NotARelease)).collect::<Result<_, _>>()?;
        match parts[..] {
            [2, 6, sub] => Ok(Release::v26(sub)),
            [major @ 3..=99, minor] => Ok(Release::v(major, minor)),
            _ => Err(NotARelease),
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
        for text in ["v2.6.27", "v3.18", "v5.0", "v6.18", "latest"] {
            assert_eq!(text.parse::<Release>().map(|r| r.to_string()).as_deref(), Ok(text));
        }
        let order: Vec<Release> = ["v2.6.27", "v3.0", "v4.20", "v5.0", "v5.19", "latest"]
            .iter()
            .map(|text| text.parse().expect("a release"))
            .collect();
        assert!(order.is_sorted());
        for text in ["", "5.0", "v5", "v5.0.1", "v2.7", "v-1.0", "newest"] {
            assert_eq!(text.parse::<Release>(), Err(NotARelease), "{text}");
        }
    }
}

//! Makes a case of a JSON object. Each member is checked by itself, and an error names the member.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sim_mmu::{AccessKind, Cr0, Cr4, Efer, Entry, KeyRights, VirtAddr};

use super::case::{Act, Case};
use super::hex::{Hex, clipped};
use super::tables::{Entries, LEVELS};

/// MAXPHYADDR of a case that does not give it.
const MAXPHYADDR: u8 = 40;

/// The values that MAXPHYADDR may have.
const MAXPHYADDRS: RangeInclusive<u64> = 36..=52;

/// The members of a case.
#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Member {
    Id,
    Cr0,
    Cr4,
    Efer,
    Pkru,
    Pkrs,
    Maxphyaddr,
    Ac,
    Cpl,
    Imp,
    Acc,
    Va,
    Ents,
    #[serde(other)]
    Other,
}

impl<'de: 'l, 'l> Deserialize<'de> for Case<'l> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Case<'l>, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Case<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            #[inline]
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Case<'de>, A::Error> {
                let case = read(map)?;
                case.check().map_err(A::Error::custom)?;
                Ok(case)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[inline]
fn read<'de, A: MapAccess<'de>>(mut map: A) -> Result<Case<'de>, A::Error> {
    let (mut id, mut cr0, mut cr4, mut efer, mut pkru, mut pkrs, mut maxphyaddr) =
        (None, None, None, None, None, None, None);
    let (mut ac, mut cpl, mut imp, mut acc, mut va, mut ents) = (None, None, None, None, None, None);
    while let Some(member) = map.next_key()? {
        match member {
            Member::Id => take(&mut map, "id", &mut id)?,
            Member::Cr0 => take(&mut map, "cr0", &mut cr0)?,
            Member::Cr4 => take(&mut map, "cr4", &mut cr4)?,
            Member::Efer => take(&mut map, "efer", &mut efer)?,
            Member::Pkru => take(&mut map, "pkru", &mut pkru)?,
            Member::Pkrs => take(&mut map, "pkrs", &mut pkrs)?,
            Member::Maxphyaddr => take(&mut map, "maxphyaddr", &mut maxphyaddr)?,
            Member::Ac => take(&mut map, "ac", &mut ac)?,
            Member::Cpl => take(&mut map, "cpl", &mut cpl)?,
            Member::Imp => take(&mut map, "imp", &mut imp)?,
            Member::Acc => take(&mut map, "acc", &mut acc)?,
            Member::Va => take(&mut map, "va", &mut va)?,
            Member::Ents => take(&mut map, "ents", &mut ents)?,
            Member::Other => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    let hex = |name, value: Option<Hex>| -> Result<u64, A::Error> { Ok(required(name, value)?.0) };
    let Id(id) = required("id", id)?;
    let ListOfEntries(entries) = required("ents", ents)?;
    let ActName(act) = required("acc", acc)?;
    Ok(Case {
        id,
        cr0: Cr0(hex("cr0", cr0)?),
        cr4: Cr4(hex("cr4", cr4)?),
        efer: Efer(hex("efer", efer)?),
        pkru: keys("pkru", pkru)?,
        pkrs: keys("pkrs", pkrs)?,
        maxphyaddr: maxphyaddr.map_or(Ok(MAXPHYADDR), |bits| {
            if MAXPHYADDRS.contains(&bits) {
                return Ok(bits as u8);
            }
            let (least, most) = (MAXPHYADDRS.start(), MAXPHYADDRS.end());
            Err(A::Error::custom(format_args!("maxphyaddr: {bits} is not from {least} to {most}")))
        })?,
        ac: one_of("ac", required("ac", ac)?, [0, 1])?,
        user: one_of("cpl", required("cpl", cpl)?, [0, 3])?,
        implicit: one_of("imp", required("imp", imp)?, [0, 1])?,
        act,
        va: VirtAddr(hex("va", va)?),
        entries,
    })
}

/// Reads the value of a member, which may be there only once.
#[inline]
fn take<'de, A, T>(map: &mut A, name: &str, value: &mut Option<T>) -> Result<(), A::Error>
where
    A: MapAccess<'de>,
    T: Deserialize<'de>,
{
    if value.is_some() {
        return Err(A::Error::custom(format_args!("{name}: it is there twice")));
    }
    *value = Some(map.next_value().map_err(|error| A::Error::custom(format_args!("{name}: {error}")))?);
    Ok(())
}

#[inline]
fn required<T, E: Error>(name: &str, value: Option<T>) -> Result<T, E> {
    value.ok_or_else(|| E::custom(format_args!("{name}: it is missing")))
}

#[inline]
fn keys<E: Error>(name: &str, value: Option<Hex>) -> Result<KeyRights, E> {
    let Hex(bits) = value.unwrap_or_default();
    u32::try_from(bits).map(KeyRights).map_err(|_| E::custom(format_args!("{name}: more than 32 bits")))
}

/// Which of two numbers a value is: `true` for the second.
#[inline]
fn one_of<E: Error>(name: &str, value: u64, of: [u64; 2]) -> Result<bool, E> {
    if !of.contains(&value) {
        return Err(E::custom(format_args!("{name}: {value} is neither {} nor {}", of[0], of[1])));
    }
    Ok(value == of[1])
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Id<'l>(#[serde(borrow)] Cow<'l, str>);

struct ActName(Act);

impl<'de> Deserialize<'de> for ActName {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ActName, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = ActName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`r`, `w`, `x` or `rmw`")
            }

            #[inline]
            fn visit_str<E: Error>(self, name: &str) -> Result<ActName, E> {
                Ok(ActName(match name {
                    "r" => Act::Once(AccessKind::Read),
                    "w" => Act::Once(AccessKind::Write),
                    "x" => Act::Once(AccessKind::Fetch),
                    "rmw" => Act::ReadThenWrite,
                    _ => {
                        let name = clipped(name);
                        return Err(E::custom(format_args!("`{name}` is none of `r`, `w`, `x` and `rmw`")));
                    }
                }))
            }
        }

        deserializer.deserialize_str(Name)
    }
}

struct ListOfEntries(Entries);

impl<'de> Deserialize<'de> for ListOfEntries {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ListOfEntries, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = ListOfEntries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of entries")
            }

            #[inline]
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ListOfEntries, A::Error> {
                let mut entries = Entries::default();
                while let Some(Hex(entry)) = seq.next_element()? {
                    if !entries.push(Entry(entry)) {
                        return Err(A::Error::custom(format_args!("more than {LEVELS} entries")));
                    }
                }
                Ok(ListOfEntries(entries))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

//! Arguments of operations: the kinds of their fields, and what each tells the rest of the scenario.

use serde_json::{Value, json};
use sim_mmu::VirtAddr;

use crate::json::{Bool, Int, Kind, List, Name, Node, Text, hex};
use crate::stage::{Place, Spot};

/// The things to which operations give names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noun {
    /// A mapping of a process.
    Mapping,
    /// The pages that a pin holds.
    Pin,
    /// A process.
    Process,
    /// A pipe.
    Pipe,
    /// A ring of io_uring.
    Ring,
    /// A driver with memory of its own.
    Driver,
    /// A file in memory.
    File,
    /// A value that was read, for checks.
    Value,
}

/// What a field of an operation tells the rest of the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mention<'a> {
    /// It gives something a name.
    Defines(Noun, &'a str),
    /// It uses something by the name that another operation gave it.
    Uses(Noun, &'a str),
    /// It names the page at which the operation begins.
    At(&'a Place),
    /// It names the bytes of a page that the operation is about.
    In(&'a Spot),
    /// It names a page of the process that another field names.
    Elsewhere(&'a Place),
    /// It says at which places the operation expects mappings.
    Expects(&'a [Place]),
    /// It says where the operation's mapping must be.
    Fixed(VirtAddr),
    /// It says how many pages the operation concerns.
    Pages(u64),
    /// It says how many pages the operation's mapping has in the end.
    NewPages(u64),
    /// It picks one of the pages of a pin.
    Page(u64),
}

impl Mention<'_> {
    /// Its weight when scenarios are made smaller: the number of pages that it names.
    pub(crate) fn weight(self) -> u64 {
        match self {
            Mention::At(place) | Mention::Elsewhere(place) => place.distance(),
            Mention::In(spot) => spot.place.distance(),
            Mention::Pages(pages) | Mention::NewPages(pages) => pages,
            Mention::Page(page) => page,
            Mention::Defines(..) | Mention::Uses(..) | Mention::Fixed(_) | Mention::Expects(_) => 0,
        }
    }

    /// Values that weigh less and could take its place: the smallest value, and the value minus one.
    pub(crate) fn smaller(self) -> Option<[Value; 2]> {
        let least = if let Mention::Pages(_) | Mention::NewPages(_) = self { 1 } else { 0 };
        let weight = self.weight();
        let value = |weight: u64| match self {
            Mention::At(Place::Mapping { name, .. }) | Mention::Elsewhere(Place::Mapping { name, .. }) => {
                Place::Mapping { name: name.clone(), page: weight }.to_string().into()
            }
            Mention::In(spot @ Spot { place: Place::Mapping { name, .. }, .. }) => {
                spot.of_page(Place::Mapping { name: name.clone(), page: weight }).to_string().into()
            }
            _ => weight.into(),
        };
        (weight > least).then(|| [value(least), value(weight - 1)])
    }
}

/// A kind of value that fields of operations have.
pub(crate) trait Argument: Kind {
    /// What a value of this kind tells the rest of the scenario.
    fn mention(_value: &Self::Value) -> Option<Mention<'_>> {
        None
    }
}

impl Argument for Bool {}

/// No element of a list tells anything that the rest of the scenario has to know.
impl<T: Argument> Argument for List<T> {}

impl Argument for Place {
    fn mention(value: &Place) -> Option<Mention<'_>> {
        Some(Mention::At(value))
    }
}

impl Argument for Spot {
    fn mention(value: &Spot) -> Option<Mention<'_>> {
        Some(Mention::In(value))
    }
}

/// Declares kinds of names. Each is read like another kind, and tells the rest of the scenario something of its own.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident like $kind:ty => $mention:ident($noun:ident), as $example:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl Kind for $name {
            type Value = String;
            fn decode(node: &Node<'_>) -> Option<String> {
                <$kind>::decode(node)
            }
            fn schema() -> Value {
                let mut schema = <$kind>::schema();
                schema["title"] = names!(@title $mention, $noun).into();
                schema["examples"] = json!([$example]);
                schema
            }
        }

        impl Argument for $name {
            fn mention(value: &String) -> Option<Mention<'_>> {
                Some(Mention::$mention(Noun::$noun, value))
            }
        }
    )*};
    (@title Defines, $noun:ident) => { "a new name" };
    (@title Uses, Pin) => { "the name of a pin" };
    (@title Uses, Value) => { "the name of a value" };
    (@title Uses, Pipe) => { "the name of a pipe" };
    (@title Uses, Process) => { "the name of a process" };
    (@title Uses, Ring) => { "the name of a ring" };
    (@title Uses, File) => { "the name of a file" };
    (@title Uses, Driver) => { "the name of a driver" };
}

names! {
    /// The name of a mapping that the operation makes.
    NewMapping like Name => Defines(Mapping), as "buf";
    /// The name of a pin that the operation takes.
    NewPin like Name => Defines(Pin), as "pin";
    /// A pin that another operation of the thread took.
    OldPin like Text => Uses(Pin), as "pin";
    /// The name of a process that the operation makes.
    NewProcess like Name => Defines(Process), as "child";
    /// A process of the scenario, which exists or is forked.
    OldProcess like Text => Uses(Process), as "child";
    /// The name of a ring to which the operation gives a buffer.
    FilledRing like Name => Defines(Ring), as "ring";
    /// A ring to which some operation gives a buffer.
    OldRing like Text => Uses(Ring), as "ring";
    /// The name of a driver whose memory the operation maps.
    MappedDriver like Name => Defines(Driver), as "driver";
    /// A driver whose memory some operation maps.
    OldDriver like Text => Uses(Driver), as "driver";
    /// The name of a file that the operation makes.
    NewFile like Name => Defines(File), as "file";
    /// A file that some operation makes.
    OldFile like Text => Uses(File), as "file";
    /// The name of a pipe that the operation fills.
    FilledPipe like Name => Defines(Pipe), as "pipe";
    /// A pipe that some operation fills.
    OldPipe like Text => Uses(Pipe), as "pipe";
    /// The name under which checks find the value that the operation read.
    NewValue like Name => Defines(Value), as "seen";
    /// A value that some operation read.
    OldValue like Text => Uses(Value), as "seen";
}

/// Declares kinds of numbers of pages.
macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident from $least:literal to $most:expr => $mention:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl Kind for $name {
            type Value = u64;
            fn decode(node: &Node<'_>) -> Option<u64> {
                Int::<u64, $least, { $most as i128 }>::decode(node)
            }
            fn schema() -> Value {
                Int::<u64, $least, { $most as i128 }>::schema()
            }
        }

        impl Argument for $name {
            fn mention(value: &u64) -> Option<Mention<'_>> {
                Some(Mention::$mention(*value))
            }
        }
    )*};
}

/// The most pages of a range of addresses: the user space of the largest geometry.
const MAX_RANGE: u64 = 1 << 35;

/// The most pages of a pin or a pipe: the memory of the largest machine.
const MAX_PINNED: u64 = 65_536;

pages! {
    /// The length of a range of addresses, in pages.
    RangePages from 1 to MAX_RANGE => Pages;
    /// The old length of a range of addresses, in pages.
    OldPages from 0 to MAX_RANGE => Pages;
    /// The new length of a range of addresses, in pages.
    NewPages from 1 to MAX_RANGE => NewPages;
    /// How many pages are pinned, or put into a pipe.
    PinnedPages from 1 to MAX_PINNED => Pages;
    /// How many pages GUP is asked for.
    AskedPages from 0 to MAX_PINNED => Pages;
    /// One of the pages of a pin, counted from 0.
    PageOfPin from 0 to (MAX_PINNED - 1) => Page;
}

/// Declares kinds of numbers that tell the rest of the scenario nothing.
macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident to $most:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl Kind for $name {
            type Value = u64;
            fn decode(node: &Node<'_>) -> Option<u64> {
                Int::<u64, 0, { $most as i128 }>::decode(node)
            }
            fn schema() -> Value {
                Int::<u64, 0, { $most as i128 }>::schema()
            }
        }

        impl Argument for $name {}
    )*};
}

numbers! {
    /// A protection key.
    Key to 15;
    /// How often something is tried.
    Passes to 10;
    /// A node of memory. There are at most two; a call that names another one fails.
    NumaNode to 63;
    /// A page of a file, counted from 0, or how many there are.
    FilePage to 1_048_576;
    /// How many huge pages a pool has.
    HugePages to 32_768;
    /// One of the pages that the kernel can map for itself, counted from 0. There are as many as a page table has entries.
    KernelPage to 511;
}

/// The value of a word of memory: a number, or a string with a hex number.
pub(crate) struct Word;

impl Kind for Word {
    type Value = u64;
    fn decode(node: &Node<'_>) -> Option<u64> {
        match node.as_string() {
            Some(text) => hex(text).or_else(|| node.malformed(text, "a value: a number or, as a string, hex")),
            None => node.integer(0..=u64::MAX),
        }
    }
    fn schema() -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": u64::MAX },
            { "type": "string", "pattern": "^0x0*[0-9A-Fa-f]{1,16}$" },
        ], "title": "a number of 64 bits, or `0x` and hex digits as a string", "examples": [42] })
    }
}

impl Argument for Word {}

/// The address at which a mapping must be.
pub(crate) struct FixedAddress;

impl Kind for FixedAddress {
    type Value = VirtAddr;
    fn decode(node: &Node<'_>) -> Option<VirtAddr> {
        let text = node.string()?;
        hex(text).map(VirtAddr).or_else(|| node.malformed(text, "an address: `0x` and up to 16 hex digits"))
    }
    fn schema() -> Value {
        json!({
            "type": "string", "pattern": "^0x0*[0-9A-Fa-f]{1,16}$",
            "title": "an address: `0x` and hex digits", "examples": ["0x10000"],
        })
    }
}

impl Argument for FixedAddress {
    fn mention(value: &VirtAddr) -> Option<Mention<'_>> {
        Some(Mention::Fixed(*value))
    }
}

/// A page of the process that another field names.
pub(crate) struct PlaceElsewhere;

impl Kind for PlaceElsewhere {
    type Value = Place;
    fn decode(node: &Node<'_>) -> Option<Place> {
        Place::decode(node)
    }
    fn schema() -> Value {
        Place::schema()
    }
}

impl Argument for PlaceElsewhere {
    fn mention(value: &Place) -> Option<Mention<'_>> {
        Some(Mention::Elsewhere(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::decode;

    #[test]
    fn words_are_numbers_or_hex() {
        for (json, expected) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            (r#""0x2a""#, Some(42)),
            ("-1", None),
            ("1.0", None),
            ("1e3", None),
            (r#""42""#, None),
        ] {
            assert_eq!(decode("f.json", json, Word::decode).ok(), expected, "{json}");
        }
    }

    #[test]
    fn what_weighs_something_can_weigh_less() {
        let place = Place::Mapping { name: "buf".to_owned(), page: 2 };
        assert_eq!(Mention::At(&place).smaller(), Some([json!("buf"), json!("buf+1")]));
        assert_eq!(Mention::Pages(3).smaller(), Some([json!(1), json!(2)]));
        assert_eq!(Mention::Pages(1).smaller(), None);
        assert_eq!(Mention::NewPages(2).smaller(), Some([json!(1), json!(1)]));
        assert_eq!(Mention::Elsewhere(&place).smaller(), Some([json!("buf"), json!("buf+1")]));
        assert_eq!(Mention::Page(1).smaller(), Some([json!(0), json!(0)]));
        assert_eq!(Mention::Uses(Noun::Pin, "pin").smaller(), None);
    }
}

//! JSON files that people write. They are read with all their errors and the places of these, and a schema describes them.
//!
//! A [`Kind`] is a kind of value. It says how the value is read, and how a schema describes it. [`fields!`] declares an
//! object once. Its decoder, its errors and its part of the schema follow from the declaration.

mod error;
mod field;
mod file;
mod kind;
mod node;
mod parse;
mod source;
mod suggest;

pub(crate) use error::EXCERPT;
pub use error::{LoadError, LoadErrors};
pub(crate) use field::{FieldFacts, ObjectFacts, fields};
pub use file::ReadError;
pub(crate) use file::read_text;
pub(crate) use kind::{
    Bool, Each, Int, Kind, List, Name, Named, NonEmpty, Text, by_name, described, hex, name_of,
};
pub(crate) use node::{Fields, Node, Notes};
pub(crate) use parse::{decode, decode_with_notes, part_in_place, place_of};
pub(crate) use source::Source;
pub(crate) use suggest::{counted, did_you_mean, quote, seen, shown, visible};

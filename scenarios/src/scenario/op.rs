//! Operations.

use sim_mmu::VirtAddr;

use super::decode::{Fields, Node, Tags};
use super::suggest::quote;
use super::{Advice, GupCall, Op, Place, What};

/// The most pages of a range of addresses: the user space of the largest geometry.
const MAX_RANGE: u64 = 1 << 35;

/// The most pages of a pin or a pipe: the memory of the largest machine.
const MAX_PINNED: u64 = 65536;

/// The names of the operations with their decoders.
const OPS: &Tags<What> = &[
    ("mmap", mmap),
    ("munmap", munmap),
    ("write", write),
    ("read", read),
    ("madvise", madvise),
    ("fork", fork),
    ("exit", exit),
    ("gup_fast", |node| gup(node, GupCall::Fast)),
    ("gup_fast_only", |node| gup(node, GupCall::FastOnly)),
    ("gup", |node| gup(node, GupCall::Unlocked)),
    ("put_pages", put_pages),
    ("device_read", device_read),
    ("device_write", device_write),
    ("vmsplice", vmsplice),
    ("pipe_read", pipe_read),
];

/// An operation. What it defines is forgiven if it has errors.
pub(super) fn op(node: &Node<'_>) -> Option<Op> {
    let what = node.tagged("operation", OPS);
    if what.is_none() {
        node.forgive();
    }
    Some(Op { path: node.path().to_owned(), what: what? })
}

/// The name of an operation.
pub(super) fn tag(what: &What) -> &'static str {
    match what {
        What::Mmap { .. } => "mmap",
        What::Munmap { .. } => "munmap",
        What::Write { .. } => "write",
        What::Read { .. } => "read",
        What::Madvise { .. } => "madvise",
        What::Fork { .. } => "fork",
        What::Exit => "exit",
        What::Gup { call: GupCall::Fast, .. } => "gup_fast",
        What::Gup { call: GupCall::FastOnly, .. } => "gup_fast_only",
        What::Gup { call: GupCall::Unlocked, .. } => "gup",
        What::PutPages { .. } => "put_pages",
        What::DeviceRead { .. } => "device_read",
        What::DeviceWrite { .. } => "device_write",
        What::Vmsplice { .. } => "vmsplice",
        What::PipeRead { .. } => "pipe_read",
    }
}

fn mmap(node: &Node<'_>) -> Option<What> {
    let fields = node.object(&["as", "pages", "prot", "flags", "at"])?;
    let (name, pages) = (fields.required("as", Node::name), fields.required("pages", range_pages));
    let prot = fields.or("prot", true, |node| {
        node.named("`prot`", &[(true, "rw"), (false, "r")], &["none", "w", "x", "rx", "wx", "rwx"])
    });
    let (flags, at) = (fields.or("flags", (), flags), fields.optional("at", address));
    flags?;
    Some(What::Mmap { name: name?, pages: pages?, writable: prot?, at: at? })
}

/// Private and anonymous, both.
fn flags(node: &Node<'_>) -> Option<()> {
    let names = &[("private", "private"), ("anonymous", "anonymous")];
    let later = &["shared", "file", "hugetlb", "fixed", "populate", "locked", "growsdown", "noreserve", "stack"];
    let items = node.items()?;
    let given: Vec<&str> = items.iter().filter_map(|node| node.named("flag", names, later)).collect();
    if given.len() < items.len() {
        return None;
    }
    for (flag, _) in names {
        if !given.contains(flag) {
            node.error(format!("`flags` lacks `{flag}`: only private anonymous memory is modelled"));
            return None;
        }
    }
    Some(())
}

fn munmap(node: &Node<'_>) -> Option<What> {
    let fields = node.object(&["at", "pages"])?;
    let (at, pages) = range(&fields)?;
    Some(What::Munmap { at, pages })
}

fn madvise(node: &Node<'_>) -> Option<What> {
    let fields = node.object(&["at", "pages", "advice"])?;
    let (range, advice) = (range(&fields), fields.required("advice", advice));
    let (at, pages) = range?;
    Some(What::Madvise { at, pages, advice: advice? })
}

fn advice(node: &Node<'_>) -> Option<Advice> {
    let later = &[
        "normal",
        "random",
        "sequential",
        "willneed",
        "free",
        "remove",
        "dontfork",
        "dofork",
        "hwpoison",
        "soft_offline",
        "mergeable",
        "unmergeable",
        "hugepage",
        "nohugepage",
        "dontdump",
        "dodump",
        "wipeonfork",
        "keeponfork",
        "cold",
        "pageout",
        "populate_read",
        "populate_write",
        "dontneed_locked",
        "collapse",
    ];
    node.named("advice", &[(Advice::DontNeed, "dontneed")], later)
}

/// `at` and `pages`, which only a mapping's name makes optional.
fn range(fields: &Fields<'_>) -> Option<(Place, Option<u64>)> {
    let (at, pages) = (fields.required("at", place), fields.optional("pages", range_pages));
    let (at, pages) = (at?, pages?);
    if matches!(at, Place::Address(_)) && pages.is_none() {
        fields.missing("pages");
        return None;
    }
    Some((at, pages))
}

fn write(node: &Node<'_>) -> Option<What> {
    let fields = node.object(&["to", "value"])?;
    let (to, value) = (fields.required("to", place), fields.required("value", value));
    Some(What::Write { to: to?, value: value? })
}

fn read(node: &Node<'_>) -> Option<What> {
    let fields = node.object(&["from", "as"])?;
    let (from, name) = (fields.required("from", place), fields.optional("as", Node::name));
    Some(What::Read { from: from?, name: name? })
}

fn fork(node: &Node<'_>) -> Option<What> {
    let fields = node.object(&["as"])?;
    Some(What::Fork { name: fields.required("as", Node::name)? })
}

fn exit(node: &Node<'_>) -> Option<What> {
    node.object(&[]).map(|_| What::Exit)
}

fn gup(node: &Node<'_>, call: GupCall) -> Option<What> {
    let fields = node.object(&["at", "pages", "write", "as"])?;
    let (at, pages) = (fields.required("at", place), fields.or("pages", 1, pinned_pages));
    let (write, name) = (fields.or("write", false, Node::boolean), fields.required("as", Node::name));
    Some(What::Gup { call, at: at?, pages: pages?, write: write?, name: name? })
}

fn put_pages(node: &Node<'_>) -> Option<What> {
    let fields = node.object(&["pin"])?;
    Some(What::PutPages { pin: fields.required("pin", Node::text)? })
}

fn device_read(node: &Node<'_>) -> Option<What> {
    let fields = node.object(&["pin", "page", "as"])?;
    let (pin, page) = (fields.required("pin", Node::text), fields.or("page", 0, page));
    let name = fields.optional("as", Node::name);
    Some(What::DeviceRead { pin: pin?, page: page?, name: name? })
}

fn device_write(node: &Node<'_>) -> Option<What> {
    let fields = node.object(&["pin", "page", "value"])?;
    let (pin, page) = (fields.required("pin", Node::text), fields.or("page", 0, page));
    let value = fields.required("value", value);
    Some(What::DeviceWrite { pin: pin?, page: page?, value: value? })
}

fn vmsplice(node: &Node<'_>) -> Option<What> {
    let fields = node.object(&["from", "pages", "pipe"])?;
    let (from, pages) = (fields.required("from", place), fields.or("pages", 1, pinned_pages));
    let pipe = fields.required("pipe", Node::name);
    Some(What::Vmsplice { from: from?, pages: pages?, pipe: pipe? })
}

fn pipe_read(node: &Node<'_>) -> Option<What> {
    let fields = node.object(&["pipe", "pages", "as"])?;
    let (pipe, pages) = (fields.required("pipe", Node::text), fields.or("pages", 1, pinned_pages));
    let name = fields.optional("as", Node::name);
    Some(What::PipeRead { pipe: pipe?, pages: pages?, name: name? })
}

fn range_pages(node: &Node<'_>) -> Option<u64> {
    node.integer(1..=MAX_RANGE)
}

fn pinned_pages(node: &Node<'_>) -> Option<u64> {
    node.integer(1..=MAX_PINNED)
}

fn page(node: &Node<'_>) -> Option<u64> {
    node.integer(0..=MAX_PINNED - 1)
}

/// A number, or a hex string.
pub(super) fn value(node: &Node<'_>) -> Option<u64> {
    match node.as_string() {
        Some(text) => hex(text).or_else(|| malformed(node, text, "a value: a number or, as a string, hex")),
        None => node.integer(0..=u64::MAX),
    }
}

fn address(node: &Node<'_>) -> Option<VirtAddr> {
    let text = node.string()?;
    hex(text).map(VirtAddr).or_else(|| malformed(node, text, "an address: `0x` and up to 16 hex digits"))
}

/// `"buf"`, `"buf+1"` or `"0x7000"`.
fn place(node: &Node<'_>) -> Option<Place> {
    let text = node.string()?;
    if let Some(address) = hex(text) {
        return Some(Place::Address(VirtAddr(address)));
    }
    let (name, page) = match text.split_once('+') {
        None => (text, Some(0)),
        Some((name, digits)) => (name, decimal(digits)),
    };
    match page {
        Some(page) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Some(Place::Mapping { name: name.to_owned(), page })
        }
        _ => malformed(node, text, "a place: `mapping`, `mapping+PAGE`, or `0x` and up to 16 hex digits"),
    }
}

fn malformed<T>(node: &Node<'_>, text: &str, expected: &str) -> Option<T> {
    node.error(format!("expected {expected}, found {}", quote(text)));
    None
}

fn hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

/// Decimal digits, and no sign.
fn decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

    use super::super::decode::Notes;
    use super::*;

    fn decoded<T>(json: &str, decode: impl FnOnce(&Node<'_>) -> Option<T>) -> Option<T> {
        let parsed = parse_to_ast(json, &CollectOptions::default(), &ParseOptions::default());
        let value = parsed.expect("the test has JSON").value.expect("the test has a value");
        let notes = Notes::default();
        let result = decode(&Node::root(&value, &notes));
        assert_eq!(result.is_none(), !notes.into_problems().is_empty(), "{json}: no result is an error");
        result
    }

    #[test]
    fn places_are_mappings_with_pages_or_addresses() {
        let page = |name: &str, page| Some(Place::Mapping { name: name.to_owned(), page });
        for (json, expected) in [
            (r#""buf""#, page("buf", 0)),
            (r#""buf+12""#, page("buf", 12)),
            (r#""0x7000""#, Some(Place::Address(VirtAddr(0x7000)))),
            (r#""0xffffffffffffffff""#, Some(Place::Address(VirtAddr(u64::MAX)))),
            (r#""""#, None),
            (r#""+1""#, None),
            (r#""buf+""#, None),
            (r#""buf++1""#, None),
            (r#""buf+0x1""#, None),
            (r#""0x""#, None),
            (r#""0x+1""#, None),
            (r#""0x10000000000000000""#, None),
            (r#""7000""#, None),
            ("7000", None),
        ] {
            assert_eq!(decoded(json, place), expected, "{json}");
        }
    }

    #[test]
    fn values_are_numbers_or_hex() {
        for (json, expected) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            (r#""0x2a""#, Some(42)),
            ("-1", None),
            ("1.0", None),
            ("1e3", None),
            (r#""42""#, None),
        ] {
            assert_eq!(decoded(json, value), expected, "{json}");
        }
    }

    #[test]
    fn every_operation_has_a_tag_of_its_own() {
        let fields =
            r#""at": "m", "from": "m", "to": "m", "as": "n", "pages": 1, "value": 1, "advice": "dontneed""#;
        let json = format!(r#"{{ {fields}, "pin": "n", "pipe": "n" }}"#);
        let parsed = parse_to_ast(&json, &CollectOptions::default(), &ParseOptions::default());
        let value = parsed.expect("the test has JSON").value.expect("the test has a value");
        for (name, decode) in OPS.iter().filter(|(name, _)| *name != "mmap") {
            // Fields that are too many are errors, and do not stop the decoder.
            let what = decode(&Node::root(&value, &Notes::default()));
            assert_eq!(what.as_ref().map(tag), Some(*name));
        }
    }
}

//! The answer to a case.

use sim_mmu::{Entry, Fault, PhysAddr};

use super::hex;
use super::tables::Entries;

/// How an access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It completed at this physical address.
    Completed(PhysAddr),
    /// #PF, with this error code.
    PageFault(u32),
    /// Another exception, with this vector.
    Exception(u8),
}

impl From<Result<PhysAddr, Fault>> for Outcome {
    #[inline]
    fn from(result: Result<PhysAddr, Fault>) -> Outcome {
        match result {
            Ok(pa) => Outcome::Completed(pa),
            Err(Fault::Page(fault)) => Outcome::PageFault(fault.code),
            Err(fault) => Outcome::Exception(fault.vector()),
        }
    }
}

impl Outcome {
    /// Appends this as a member of a JSON object: `"pa":"d149c0"`, `"pf":"9"` or `"vec":13`.
    #[inline]
    pub(super) fn push(self, text: &mut Vec<u8>) {
        let (name, number): (&[u8], u64) = match self {
            Outcome::Completed(pa) => (b"\"pa\":\"", pa.0),
            Outcome::PageFault(code) => (b"\"pf\":\"", u64::from(code)),
            Outcome::Exception(vector) => {
                text.extend_from_slice(b"\"vec\":");
                text.extend_from_slice(vector.to_string().as_bytes());
                return;
            }
        };
        text.extend_from_slice(name);
        hex::push(text, number);
        text.push(b'"');
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Completed(pa) => write!(f, "pa {:x}", pa.0),
            Outcome::PageFault(code) => write!(f, "pf {code:x}"),
            Outcome::Exception(vector) => write!(f, "vec {vector}"),
        }
    }
}

/// The A and D flags of an entry as one character: `-` none, `A`, `D`, `B` both.
#[inline]
pub fn marks(entry: Entry) -> char {
    match (entry.has(Entry::ACCESSED), entry.has(Entry::DIRTY)) {
        (false, false) => '-',
        (true, false) => 'A',
        (false, true) => 'D',
        (true, true) => 'B',
    }
}

/// The answer to a case: how the access ended, and the entries after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How the access ended.
    pub outcome: Outcome,
    /// The entries after it, as many as the case has.
    pub entries: Entries,
}

impl Answer {
    /// The A and D flags of the entries, top level first.
    pub fn marks(&self) -> String {
        self.entries.iter().copied().map(marks).collect()
    }

    /// Appends the line that answers the case `id`.
    #[inline]
    pub fn push(&self, id: &str, text: &mut Vec<u8>) {
        text.extend_from_slice(b"{\"id\":");
        push_string(id, text);
        text.push(b',');
        self.outcome.push(text);
        text.extend_from_slice(b",\"ad\":\"");
        text.extend(self.entries.iter().map(|entry| marks(*entry) as u8));
        text.extend_from_slice(b"\"}\n");
    }
}

/// Appends a JSON string.
#[inline]
fn push_string(string: &str, text: &mut Vec<u8>) {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if string.as_bytes().iter().all(plain) {
        text.push(b'"');
        text.extend_from_slice(string.as_bytes());
        text.push(b'"');
    } else {
        text.extend_from_slice(serde_json::Value::from(string).to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, outcome: Outcome, words: &[u64]) -> String {
        let mut entries = Entries::default();
        for &word in words {
            entries.push(Entry(word));
        }
        let mut text = Vec::new();
        Answer { outcome, entries }.push(id, &mut text);
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    #[test]
    fn an_answer_is_a_line() {
        let completed = Outcome::Completed(PhysAddr(0xd149c0));
        assert_eq!(
            line("4A0", completed, &[0x21, 0x40, 0x60, 0]),
            "{\"id\":\"4A0\",\"pa\":\"d149c0\",\"ad\":\"ADB-\"}\n"
        );
        assert_eq!(line("x", Outcome::PageFault(0), &[]), "{\"id\":\"x\",\"pf\":\"0\",\"ad\":\"\"}\n");
        assert_eq!(line("x", Outcome::Exception(13), &[0]), "{\"id\":\"x\",\"vec\":13,\"ad\":\"-\"}\n");
    }

    #[test]
    fn any_id_is_a_json_string() {
        for id in ["", "a\"b\\c", "\u{0}\n\u{7f}", "\u{e4}\u{1f600}"] {
            let text = line(id, Outcome::PageFault(0), &[]);
            let parsed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(parsed["id"], id);
        }
    }
}

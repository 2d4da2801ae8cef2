//! Who may do what (SDM 4.6.1, 4.6.2), and the error code (SDM 4.7).

use super::walk::{Obstacle, Registers};
use super::{Kind, Mode};

/// All that the verdict on an access depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) mode: Mode,
    pub(crate) kind: Kind,
    /// U/S is 1 in every entry of the translation.
    pub(crate) user_page: bool,
    /// R/W is 1 in every entry.
    pub(crate) rw: bool,
    /// XD is 1 in some entry.
    pub(crate) xd: bool,
    /// The key of the entry that maps the page.
    pub(crate) key: u32,
}

/// Each row says whether an access is permitted, without regard to keys. The row has the mode (`u`ser, `e`xplicit or
/// `i`mplicit supervisor), the kind (`r`, `w`, `x`) and the page (`u`ser, `s`upervisor). Then come R/W, XD, CR0.WP,
/// CR4.SMEP, CR4.SMAP, EFLAGS.AC and IA32_EFER.NXE. A dot stands for both values. An implicit access fetches nothing.
const ACCESS: &[(&str, bool)] = &[
    // Supervisor-mode data reads: of supervisor-mode addresses,
    ("ers .......", true),
    ("irs .......", true),
    // and of user-mode addresses.
    ("eru ....0..", true),
    ("eru ....11.", true),
    ("eru ....10.", false),
    ("iru ....0..", true),
    ("iru ....1..", false),
    // Supervisor-mode data writes: to supervisor-mode addresses,
    ("ews ..0....", true),
    ("ews 1.1....", true),
    ("ews 0.1....", false),
    ("iws ..0....", true),
    ("iws 1.1....", true),
    ("iws 0.1....", false),
    // and to user-mode addresses.
    ("ewu ..0.0..", true),
    ("ewu ..0.11.", true),
    ("ewu ..0.10.", false),
    ("ewu 1.1.0..", true),
    ("ewu 0.1.0..", false),
    ("ewu 1.1.11.", true),
    ("ewu 0.1.11.", false),
    ("ewu ..1.10.", false),
    ("iwu ..0.0..", true),
    ("iwu ..0.1..", false),
    ("iwu 1.1.0..", true),
    ("iwu 0.1.0..", false),
    ("iwu ..1.1..", false),
    // Supervisor-mode fetches: from supervisor-mode addresses,
    ("exs ......0", true),
    ("exs .0....1", true),
    ("exs .1....1", false),
    // and from user-mode addresses.
    ("exu ...0..0", true),
    ("exu .0.0..1", true),
    ("exu .1.0..1", false),
    ("exu ...1...", false),
    // User-mode accesses.
    ("uru .......", true),
    ("urs .......", false),
    ("uwu 1......", true),
    ("uwu 0......", false),
    ("uws .......", false),
    ("uxu ......0", true),
    ("uxu .0....1", true),
    ("uxu .1....1", false),
    ("uxs .......", false),
];

/// What the key of a page says of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Permits,
    Denies,
    /// U/S denies already what IA32_PKRS would deny to user-mode accesses. The SDM and the engines do not agree on whether PK
    /// of the error code is set for it.
    Open,
}

/// Kind, page, mode; then CR4.PKE, CR4.PKS, AD and WD of the key in the register that governs the page,
/// CR0.WP.
const KEYS: &[(&str, Key)] = &[
    ("x.. .....", Key::Permits),
    // User-mode addresses: PKRU.
    ("ru. 0....", Key::Permits),
    ("wu. 0....", Key::Permits),
    ("ru. 1.1..", Key::Denies),
    ("wu. 1.1..", Key::Denies),
    ("ru. 1.0..", Key::Permits),
    ("wu. 1.00.", Key::Permits),
    ("wuu 1.01.", Key::Denies),
    ("wue 1.011", Key::Denies),
    ("wue 1.010", Key::Permits),
    ("wui 1.011", Key::Denies),
    ("wui 1.010", Key::Permits),
    // Supervisor-mode addresses: IA32_PKRS.
    ("rs. .0...", Key::Permits),
    ("ws. .0...", Key::Permits),
    ("rse .11..", Key::Denies),
    ("rsi .11..", Key::Denies),
    ("rsu .11..", Key::Open),
    ("wse .11..", Key::Denies),
    ("wsi .11..", Key::Denies),
    ("wsu .11..", Key::Open),
    ("rs. .10..", Key::Permits),
    ("ws. .100.", Key::Permits),
    ("wse .1011", Key::Denies),
    ("wse .1010", Key::Permits),
    ("wsi .1011", Key::Denies),
    ("wsi .1010", Key::Permits),
    ("wsu .101.", Key::Open),
];

fn mode_letter(mode: Mode) -> u8 {
    match mode {
        Mode::User => b'u',
        Mode::Explicit { .. } => b'e',
        Mode::Implicit => b'i',
    }
}

fn kind_letter(kind: Kind) -> u8 {
    match kind {
        Kind::Read => b'r',
        Kind::Write => b'w',
        Kind::Fetch => b'x',
    }
}

fn digit(set: bool) -> u8 {
    if set { b'1' } else { b'0' }
}

fn matches(row: &str, asked: &[u8]) -> bool {
    assert_eq!(row.len(), asked.len(), "{row}");
    row.bytes().zip(asked).all(|(row, asked)| row == b'.' || row == *asked)
}

fn access_asked(registers: &Registers, asked: &Asked) -> [u8; 11] {
    let page = if asked.user_page { b'u' } else { b's' };
    let ac = asked.mode == Mode::Explicit { ac: true };
    let [wp, smep, smap] = [registers.wp(), registers.smep(), registers.smap()].map(digit);
    let (rw, xd, ac, nxe) = (digit(asked.rw), digit(asked.xd), digit(ac), digit(registers.nxe()));
    [mode_letter(asked.mode), kind_letter(asked.kind), page, b' ', rw, xd, wp, smep, smap, ac, nxe]
}

fn key_asked(registers: &Registers, asked: &Asked) -> [u8; 9] {
    let (page, register) = if asked.user_page { (b'u', registers.pkru) } else { (b's', registers.pkrs) };
    let [ad, wd] = [2 * asked.key, 2 * asked.key + 1].map(|bit| digit(register >> bit & 1 == 1));
    let [pke, pks, wp] = [registers.pke(), registers.pks(), registers.wp()].map(digit);
    [kind_letter(asked.kind), page, mode_letter(asked.mode), b' ', pke, pks, ad, wd, wp]
}

/// The number of rows of each table that apply to an access. It must be one.
pub(crate) fn rows(registers: &Registers, asked: &Asked) -> (usize, usize) {
    let (access, key) = (access_asked(registers, asked), key_asked(registers, asked));
    let of_access = ACCESS.iter().filter(|(row, _)| matches(row, &access)).count();
    (of_access, KEYS.iter().filter(|(row, _)| matches(row, &key)).count())
}

/// What the key says.
pub(crate) fn key_of(registers: &Registers, asked: &Asked) -> Key {
    let key = key_asked(registers, asked);
    KEYS.iter().find(|(row, _)| matches(row, &key)).expect("the table is complete").1
}

/// Whether an access is permitted.
pub(crate) fn may(registers: &Registers, asked: &Asked) -> bool {
    let access = access_asked(registers, asked);
    let row = ACCESS.iter().find(|(row, _)| matches(row, &access)).expect("the table is complete");
    row.1 && key_of(registers, asked) == Key::Permits
}

/// The error code: P, W/R, U/S, RSVD, I/D, PK. There are two codes, because two may be right. Mostly both are the same.
pub(crate) fn code(registers: &Registers, mode: Mode, kind: Kind, obstacle: &Obstacle) -> [u32; 2] {
    let p = u32::from(!matches!(obstacle, Obstacle::NotPresent));
    let w = u32::from(kind == Kind::Write);
    // An implicit access is never a user-mode access, at any CPL.
    let u = u32::from(mode == Mode::User);
    let rsvd = u32::from(matches!(obstacle, Obstacle::Reserved));
    // CR4.PAE is 1 wherever there are four levels.
    let i = u32::from(kind == Kind::Fetch && (registers.smep() || registers.nxe()));
    let bits = p | w << 1 | u << 2 | rsvd << 3 | i << 4;
    let Obstacle::Rights(asked) = obstacle else { return [bits; 2] };
    match key_of(registers, asked) {
        Key::Permits => [bits; 2],
        Key::Denies => [bits | 1 << 5; 2],
        Key::Open => [bits, bits | 1 << 5],
    }
}

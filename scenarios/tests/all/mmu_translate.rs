//! Cases of one access: they are compared with the outcomes that engines had when they ran them. Other tests look at the
//! edges of the rules.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use mmsim::hardware::translate::answer::{Answer, Outcome};
use mmsim::hardware::translate::case::Case;
use mmsim::hardware::walk::WalkReport;
use serde_json::{Value, json};
use sim_mmu::Vendor;

const FOUR_LEVELS: &str = "x86-4level.jsonl.gz";
const FIVE_LEVELS: &str = "x86-5level.jsonl.gz";

fn path(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mmu").join(name).display().to_string()
}

/// The lines of a file of cases.
fn rows(name: &str) -> String {
    let file = std::fs::File::open(path(name)).expect("the file is part of the project");
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).expect("gzip of text");
    text
}

/// What is wrong with the answer to a row; `None` if nothing is.
fn wrong(row: &Value, answer: &Answer) -> Option<String> {
    let expected = &row["exp"];
    let found = match answer.outcome {
        Outcome::Completed(pa) => json!({ "pa": format!("{:x}", pa.0) }),
        Outcome::PageFault(code) => json!({ "pf": format!("{code:x}") }),
        Outcome::Exception(vector) => json!({ "vec": vector }),
    };
    if *expected != found {
        return Some(format!("the outcome is {found}, expected {expected}"));
    }
    let found = answer.marks();
    if expected.get("pa").is_some() {
        // Engines that did not complete the access left other flags.
        let groups = row["ad"].as_object().expect("flags by engine");
        let agrees = groups.values().any(|flags| *flags == found);
        return (!agrees).then(|| format!("A and D are {found}, expected {}", row["ad"]));
    }
    wrong_on_fault(row, &found)
}

/// On a fault: no flag is cleared, D of the leaf is not set, nothing is set below the entry that faults.
fn wrong_on_fault(row: &Value, found: &str) -> Option<String> {
    let entries: Vec<u64> = row["ents"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| u64::from_str_radix(entry.as_str().expect("hex"), 16).expect("hex"))
        .collect();
    let not_walked = row["exp"].get("vec").is_some();
    let stops =
        entries.iter().enumerate().position(|(n, entry)| entry & 1 == 0 || has_reserved_bits(row, n, *entry));
    let stops = stops.unwrap_or(entries.len());
    for (n, (entry, found)) in entries.iter().zip(found.chars()).enumerate() {
        let (a, d) = (entry & 0x20 != 0, entry & 0x40 != 0);
        let (now_a, now_d) = (matches!(found, 'A' | 'B'), matches!(found, 'D' | 'B'));
        let what = if a && !now_a || d && !now_d {
            "a flag was cleared"
        } else if now_d && !d {
            "D was set"
        } else if now_a && !a && (not_walked || n >= stops) {
            "A was set where the walk did not go"
        } else {
            continue;
        };
        return Some(format!("entry {n}: {what}: {found}"));
    }
    None
}

/// Tables 4-14 to 4-20 of the SDM, for MAXPHYADDR 40.
fn has_reserved_bits(row: &Value, n: usize, entry: u64) -> bool {
    let register = |name: &str| u64::from_str_radix(row[name].as_str().expect("hex"), 16).expect("hex");
    let levels = if register("cr4") & 1 << 12 != 0 { 5 } else { 4 };
    let page = entry & 0x80 != 0;
    let of_level = match levels - n {
        4 | 5 => 0x80,
        3 if page => 0x3fff_e000,
        2 if page => 0x001f_e000,
        _ => 0,
    };
    let xd = if register("efer") & 0x800 == 0 { 1 << 63 } else { 0 };
    entry & (0x000f_ff00_0000_0000 | of_level | xd) != 0
}

/// Every row of a file has the outcome that the engines had.
#[track_caller]
fn all_agree(name: &str, count: usize) {
    let text = rows(name);
    let (mut failures, mut failed) = (String::new(), 0);
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let case = Case::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{line}"));
        let answer = case.run(Vendor::Intel);
        let Some(what) = wrong(&row, &answer) else { continue };
        failed += 1;
        if failed <= 5 {
            let _ = writeln!(failures, "{line}\n{what}\n{}", WalkReport::of(&case, Vendor::Intel));
        }
    }
    assert_eq!(text.lines().count(), count, "cases of {name}");
    assert_eq!(failed, 0, "cases of {name} that differ, the first of them:\n{failures}");
}

#[test]
fn four_levels_translate_as_engines_did() {
    all_agree(FOUR_LEVELS, 42_473);
}

#[test]
fn five_levels_translate_as_engines_did() {
    all_agree(FIVE_LEVELS, 8_935);
}

/// The text tells what happens, in lines that fit a screen.
#[test]
fn the_walk_that_is_told_is_the_walk() {
    for name in [FOUR_LEVELS, FIVE_LEVELS] {
        for line in rows(name).lines().step_by(7) {
            let case = Case::parse(line.as_bytes()).expect("a case");
            for vendor in [Vendor::Intel, Vendor::Amd] {
                let (told, answer) = (WalkReport::of(&case, vendor), case.run(vendor));
                let text = told.to_string();
                assert_eq!(told.ad, answer.marks(), "{text}");
                assert!(told.walks.last().is_some_and(|walk| walk.ending == told.ending), "{text}");
                assert!(text.lines().all(|line| line.is_ascii() && line.len() <= 100), "{text}");
                for walk in &told.walks {
                    let denied = walk.rules.iter().any(|rule| !rule.allowed);
                    let completes = matches!(walk.ending, mmsim::hardware::walk::Ending::Pa(_));
                    assert!(walk.rules.is_empty() || denied != completes, "{text}");
                }
            }
        }
    }
}

/// A case: a supervisor-mode read through four tables of 4-level paging, with the members that `changes` replaces.
/// A member that is null is left out.
fn case(changes: Value) -> String {
    let mut case = json!({
        "id": "t", "cr0": "80010011", "cr4": "20", "efer": "d00", "ac": 0, "cpl": 0, "imp": 0, "acc": "r",
        "va": "0", "ents": ["1003", "2003", "3003", "5003"],
    });
    for (name, value) in changes.as_object().expect("changes are an object") {
        case[name] = value.clone();
    }
    case.as_object_mut().expect("it is one").retain(|_, value| !value.is_null());
    case.to_string()
}

/// The answer to a case, without its id.
#[track_caller]
fn answer(changes: Value) -> String {
    answer_of(Vendor::Intel, changes)
}

#[track_caller]
fn answer_of(vendor: Vendor, changes: Value) -> String {
    let line = case(changes);
    let parsed = Case::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
    let mut text = Vec::new();
    parsed.run(vendor).push(&parsed.id, &mut text);
    let text = String::from_utf8(text).expect("JSON is UTF-8");
    text.trim_end().strip_prefix("{\"id\":\"t\",").expect("the id comes first").to_owned()
}

#[test]
fn addresses_at_the_edge_of_what_is_canonical() {
    let at = |va: &str, cr4: &str| answer(json!({ "va": va, "cr4": cr4 }));
    let (completed, refused) = ("\"pa\":\"5ff8\",\"ad\":\"AAAA\"}", "\"vec\":13,\"ad\":\"----\"}");
    for va in ["7ffffffffff8", "00007ffffffffff8", "fffffffffffffff8"] {
        assert_eq!(at(va, "20"), completed, "{va}");
    }
    assert_eq!(at("ffff800000000000", "20"), "\"pa\":\"5000\",\"ad\":\"AAAA\"}");
    for va in ["800000000000", "ffff7ffffffffff8", "0100000000000000", "fffeffffffffffff", "8000000000000000"] {
        assert_eq!(at(va, "20"), refused, "{va}");
    }
    let five =
        |va: &str| answer(json!({ "va": va, "cr4": "1020", "ents": ["1003", "2003", "3003", "4003", "5003"] }));
    for va in ["fffffffffffff8", "7ffffffffff8", "800000000ff8", "fffffffffffffff8", "ff00000000000ff8"] {
        assert_eq!(five(va), "\"pa\":\"5ff8\",\"ad\":\"AAAAA\"}", "{va}");
    }
    for va in ["100000000000000", "feffffffffffffff", "fe00000000000000", "7fffffffffffffff"] {
        assert_eq!(five(va), "\"vec\":13,\"ad\":\"-----\"}", "{va}");
    }
    // The access does not matter: it is the address that is refused.
    for (acc, cpl, imp) in [("w", 3, 0), ("x", 0, 0), ("rmw", 3, 1)] {
        let changes = json!({ "va": "800000000000", "acc": acc, "cpl": cpl, "imp": imp });
        assert_eq!(answer(changes), refused);
    }
}

#[test]
fn maxphyaddr_decides_which_address_bits_are_reserved() {
    let leaf =
        |bits: Value, entry: &str| answer(json!({ "maxphyaddr": bits, "ents": ["1003", "2003", "3003", entry] }));
    let completed = |pa: &str| format!("\"pa\":\"{pa}\",\"ad\":\"AAAA\"}}");
    let reserved = "\"pf\":\"9\",\"ad\":\"AAA-\"}";
    assert_eq!(leaf(json!(52), "8000000005003"), completed("8000000005000"));
    assert_eq!(leaf(json!(52), "fffffffffffff003"), "\"pa\":\"ffffffffff000\",\"ad\":\"AAAA\"}");
    assert_eq!(leaf(json!(51), "8000000005003"), reserved);
    assert_eq!(leaf(json!(36), "1000005003"), reserved);
    assert_eq!(leaf(json!(36), "0800005003"), completed("800005000"));
    // 40 if the case does not say.
    assert_eq!(leaf(Value::Null, "8000005003"), completed("8000005000"));
    assert_eq!(leaf(Value::Null, "10000005003"), reserved);
    // In an entry that points at a table it is the same, and nothing below it is read.
    let changes = json!({ "maxphyaddr": 36, "ents": ["1003", "1000002003", "3003", "5003"] });
    assert_eq!(answer(changes), "\"pf\":\"9\",\"ad\":\"A---\"}");
}

#[test]
fn ps_and_the_bits_below_a_large_page() {
    let entries = |entries: &[&str]| answer(json!({ "va": "12345678", "ents": entries }));
    assert_eq!(entries(&["1003", "2003", "40000083"]), "\"pa\":\"40145678\",\"ad\":\"AAA\"}");
    assert_eq!(entries(&["1003", "40000083"]), "\"pa\":\"52345678\",\"ad\":\"AA\"}");
    // Bit 12 is PAT there; from 13 on they are reserved.
    assert_eq!(entries(&["1003", "2003", "40001083"]), "\"pa\":\"40145678\",\"ad\":\"AAA\"}");
    assert_eq!(entries(&["1003", "2003", "40002083"]), "\"pf\":\"9\",\"ad\":\"AA-\"}");
    assert_eq!(entries(&["1003", "40100083"]), "\"pf\":\"9\",\"ad\":\"A-\"}");
    // PS is reserved where no page can be mapped, and PAT in a PTE.
    assert_eq!(entries(&["1083", "2003", "3003", "5003"]), "\"pf\":\"9\",\"ad\":\"----\"}");
    assert_eq!(entries(&["1003", "2003", "3003", "5083"]), "\"pa\":\"5678\",\"ad\":\"AAAA\"}");
    let five = json!({ "cr4": "1020", "ents": ["1083", "2003", "3003", "4003", "5003"] });
    assert_eq!(answer(five), "\"pf\":\"9\",\"ad\":\"-----\"}");
}

/// Bit 8 of an entry that points at a table: AMD reserves it in a PML4E and a PML5E.
#[test]
fn vendors_differ_in_one_bit() {
    let fault = |marks: &str| format!("\"pf\":\"9\",\"ad\":\"{marks}\"}}");
    let pml4e = json!({ "ents": ["1103", "2003", "3003", "5003"] });
    let pdpte = json!({ "ents": ["1003", "2103", "3103", "5003"] });
    let pml5e = json!({ "cr4": "1020", "ents": ["1103", "2003", "3003", "4003", "5003"] });
    assert_eq!(answer_of(Vendor::Amd, pml4e.clone()), fault("----"));
    assert_eq!(answer_of(Vendor::Amd, pml5e.clone()), fault("-----"));
    assert_eq!(answer_of(Vendor::Amd, pdpte), "\"pa\":\"5000\",\"ad\":\"AAAA\"}");
    assert_eq!(answer(pml4e), "\"pa\":\"5000\",\"ad\":\"AAAA\"}");
    assert_eq!(answer(pml5e), "\"pa\":\"5000\",\"ad\":\"AAAAA\"}");
}

#[test]
fn what_a_case_does_not_list_is_not_present() {
    let entries = |entries: &[&str]| answer(json!({ "ents": entries }));
    assert_eq!(entries(&["0"]), "\"pf\":\"0\",\"ad\":\"-\"}");
    assert_eq!(entries(&["1003"]), "\"pf\":\"0\",\"ad\":\"A\"}");
    assert_eq!(entries(&["1003", "2003", "3003"]), "\"pf\":\"0\",\"ad\":\"AAA\"}");
    // Tables at the end of what an entry can name.
    let high = json!({ "maxphyaddr": 52, "ents": ["ffffffffff003", "fffffffffe003", "fffffffffd003"] });
    assert_eq!(answer(high), "\"pf\":\"0\",\"ad\":\"AAA\"}");
}

#[test]
fn tables_that_contain_themselves() {
    // One table at all levels below the root, entered at index 0: its first entry points at itself.
    let own = ["1003", "1003", "1003", "1003"];
    assert_eq!(answer(json!({ "va": "abc", "ents": own })), "\"pa\":\"1abc\",\"ad\":\"AAAA\"}");
    // The write sets D in the one word that is read at each of these levels.
    assert_eq!(answer(json!({ "acc": "w", "ents": own })), "\"pa\":\"1000\",\"ad\":\"ABBB\"}");
    // Entered at different indices, the entries are different words of the table.
    assert_eq!(answer(json!({ "acc": "w", "va": "8080604000", "ents": own })), "\"pa\":\"1000\",\"ad\":\"AAAB\"}");
    // Two entries for one word: the lower one is stored last, and maps a page a level earlier.
    let two = json!({ "acc": "w", "ents": ["1003", "1003", "40000083"] });
    assert_eq!(answer(two), "\"pa\":\"40000000\",\"ad\":\"ABB\"}");
    // A table that contains itself goes on below the entries that are listed.
    assert_eq!(answer(json!({ "ents": ["1003", "1003"] })), "\"pa\":\"1000\",\"ad\":\"AA\"}");
    let five = json!({ "cr4": "1020", "acc": "w", "ents": ["1003", "1003", "1003", "1003", "1003"] });
    assert_eq!(answer(five), "\"pa\":\"1000\",\"ad\":\"ABBBB\"}");
}

#[test]
fn a_read_and_then_a_write() {
    let rmw = |cr0: &str, leaf: &str| {
        answer(json!({ "cr0": cr0, "cpl": 3, "imp": 1, "acc": "rmw", "ents": ["1003", "2003", "3003", leaf] }))
    };
    assert_eq!(rmw("80010011", "5003"), "\"pa\":\"5000\",\"ad\":\"AAAB\"}");
    // The read has set A when the write faults.
    assert_eq!(rmw("80010011", "5001"), "\"pf\":\"3\",\"ad\":\"AAAA\"}");
    assert_eq!(rmw("80000011", "5001"), "\"pa\":\"5000\",\"ad\":\"AAAB\"}");
    assert_eq!(rmw("80010011", "5002"), "\"pf\":\"0\",\"ad\":\"AAA-\"}");
}

#[test]
fn keys_of_supervisor_pages() {
    let key = |cpl: u8, acc: &str, cr0: &str, pkrs: &str| {
        let ents = ["1007", "2007", "3007", "1800000000005003"];
        answer(json!({
            "cr4": "1000020", "pkrs": pkrs, "pkru": "ffffffff", "cpl": cpl, "acc": acc, "cr0": cr0, "ents": ents,
        }))
    };
    let (wp, no_wp) = ("80010011", "80000011");
    let read = "\"pa\":\"5000\",\"ad\":\"AAAA\"}";
    let written = "\"pa\":\"5000\",\"ad\":\"AAAB\"}";
    let fault = |code: &str| format!("\"pf\":\"{code}\",\"ad\":\"AAA-\"}}");
    assert_eq!(key(0, "r", wp, "ffffff3f"), read);
    assert_eq!(key(0, "r", wp, "40"), fault("21"));
    assert_eq!(key(0, "w", no_wp, "40"), fault("23"));
    assert_eq!(key(0, "x", wp, "40"), read);
    assert_eq!(key(0, "r", wp, "80"), read);
    assert_eq!(key(0, "w", wp, "80"), fault("23"));
    assert_eq!(key(0, "w", no_wp, "80"), written);
    // U/S keeps a user-mode access out, and the key says nothing of it.
    assert_eq!(key(3, "r", wp, "40"), fault("5"));
    // Without CR4.PKS the register does not matter; without a value it takes nothing away.
    let ents = ["1007", "2007", "3007", "1800000000005003"];
    assert_eq!(answer(json!({ "pkrs": "ffffffff", "ents": ents })), read);
    assert_eq!(answer(json!({ "cr4": "1400020", "ents": ents })), read);
}

/// Why a line is no case.
#[track_caller]
fn refusal(changes: Value) -> String {
    let line = case(changes);
    match Case::parse(line.as_bytes()) {
        Ok(case) => panic!("{line} is taken for {case:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_member_must_be_what_it_says() {
    for name in ["id", "cr0", "cr4", "efer", "ac", "cpl", "imp", "acc", "va", "ents"] {
        assert_eq!(refusal(json!({ name: null })), format!("{name}: it is missing"));
    }
    let refused = [
        (json!({ "id": 7 }), "id: invalid type: integer `7`, expected a string"),
        (json!({ "va": 4096 }), "va: invalid type: integer `4096`, expected a string of hexadecimal digits"),
        (json!({ "va": "0x" }), "va: `0x` is not a hexadecimal number"),
        (json!({ "va": "12g4" }), "va: `12g4` is not a hexadecimal number"),
        (json!({ "va": "10000000000000000" }), "va: `10000000000000000` is more than 64 bits"),
        (json!({ "pkru": "100000000" }), "pkru: more than 32 bits"),
        (json!({ "pkrs": "-1" }), "pkrs: `-1` is not a hexadecimal number"),
        (json!({ "cpl": 1 }), "cpl: 1 is neither 0 nor 3"),
        (json!({ "cpl": "3" }), "cpl: invalid type: string \"3\", expected u64"),
        (json!({ "ac": 2 }), "ac: 2 is neither 0 nor 1"),
        (json!({ "imp": true }), "imp: invalid type: boolean `true`, expected u64"),
        (json!({ "acc": "rw" }), "acc: `rw` is none of `r`, `w`, `x` and `rmw`"),
        (json!({ "acc": "rmw" }), "acc: `rmw` with imp 0: an instruction's own read-modify-write is a write"),
        (json!({ "acc": "x", "imp": 1 }), "acc: `x` with imp 1: no instruction fetch is implicit"),
        (json!({ "maxphyaddr": 35 }), "maxphyaddr: 35 is not from 36 to 52"),
        (json!({ "maxphyaddr": 53 }), "maxphyaddr: 53 is not from 36 to 52"),
        (json!({ "maxphyaddr": 292 }), "maxphyaddr: 292 is not from 36 to 52"),
        (json!({ "ents": [] }), "ents: 0 entries, and CR4.LA57 says from 1 to 4"),
        (json!({ "ents": ["1", "1", "1", "1", "1"] }), "ents: 5 entries, and CR4.LA57 says from 1 to 4"),
        (json!({ "ents": ["1", "1", "1", "1", "1", "1"] }), "ents: more than 5 entries"),
        (json!({ "ents": "1003" }), "ents: invalid type: string \"1003\", expected a list of entries"),
        (json!({ "ents": ["1003", null] }), "ents: invalid type: null, expected a string of hexadecimal digits"),
        (json!({ "cr0": "10011" }), "cr0: PE and PG must be set: without paging there is no walk"),
        (json!({ "cr4": "0" }), "cr4: PAE must be set: only 4-level and 5-level paging are modelled"),
        (json!({ "efer": "800" }), "efer: LME and LMA must be set, as in long mode"),
    ];
    for (changes, message) in refused {
        assert_eq!(refusal(changes.clone()), message, "{changes}");
    }
    let twice = case(json!({})).replacen('{', "{\"va\":\"0\",", 1);
    let error = Case::parse(twice.as_bytes()).expect_err("`va` is there twice");
    assert_eq!(error.to_string(), "va: it is there twice");
}

#[test]
fn what_says_nothing_about_the_access_is_not_looked_at() {
    let plain = answer(json!({}));
    let notes = json!({ "exp": 7, "ad": [null], "how": {}, "vendor_dep": "x", "by": [[]], "note": "\u{1f600}" });
    assert_eq!(answer(notes), plain);
    assert_eq!(answer(json!({ "va": "0x0000000000000000000", "efer": "0xD00" })), plain);
}

fn mmsim(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mmsim"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let mut stdin = child.stdin.take().expect("it is piped");
    std::thread::scope(|scope| {
        // It is no error if the reader does not read to the end.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("it ends")
    })
}

#[track_caller]
fn translate(input: &[u8], code: i32) -> (String, String) {
    let output = mmsim(&["mmu", "translate"], input);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    (stdout, stderr)
}

#[test]
fn a_line_that_is_no_case_does_not_stop_the_others() {
    let good = case(json!({}));
    let answer = "{\"id\":\"t\",\"pa\":\"5000\",\"ad\":\"AAAA\"}\n";
    let (bad_va, list) = (case(json!({ "va": "no" })), "[1]");
    let lines = format!("{good}\n\n{bad_va}\n{list}\nfrobnicate\n{{\"id\":\"\n  \n{good}");
    let (stdout, stderr) = translate(lines.as_bytes(), 3);
    assert_eq!(stdout, answer.repeat(2));
    let column = bad_va.find("no").expect("it is there") + 3;
    let errors: Vec<&str> = stderr.lines().collect();
    assert_eq!(errors[0], format!("stdin:3:{column}: error: va: `no` is not a hexadecimal number"));
    assert!(errors[1].starts_with("stdin:4:1: error: invalid type: sequence, expected an object"), "{stderr}");
    assert!(errors[2].starts_with("stdin:5:"), "{stderr}");
    assert!(errors[3].starts_with("stdin:6:"), "{stderr}");
    assert_eq!(errors.len(), 4, "{stderr}");
}

#[test]
fn lines_of_all_kinds() {
    let good = case(json!({}));
    let answer = "{\"id\":\"t\",\"pa\":\"5000\",\"ad\":\"AAAA\"}\n";
    assert_eq!(translate(format!("{good}\r\n\r\n{good}\r\n").as_bytes(), 0).0, answer.repeat(2));
    assert_eq!(translate(b"", 4).0, "");
    assert_eq!(translate(b"\n \n\r\n", 4).0, "");
    let (stdout, stderr) = translate(&[b"\xff\xfe\n{\"id\":\"\xff\"}\n", good.as_bytes()].concat(), 3);
    assert_eq!((stdout.as_str(), stderr.matches("not UTF-8").count()), (answer, 2), "{stderr}");
    assert!(stderr.starts_with("stdin:1:1: error: not UTF-8\nstdin:2:8: error: not UTF-8\n"), "{stderr}");
    let note = case(json!({ "note": "x".repeat(1 << 19) }));
    assert_eq!(translate(note.as_bytes(), 0).0, answer);
    let long = case(json!({ "note": "x".repeat(5 << 20) }));
    let (stdout, stderr) = translate(format!("{good}\n{long}\n{good}\n").as_bytes(), 3);
    assert_eq!(stdout, answer.repeat(2));
    assert_eq!(stderr, "stdin:2:1048577: error: a line of more than 1048576 bytes\n");
    let (_, stderr) = translate(format!("{}{}", "[".repeat(100_000), "\n").as_bytes(), 3);
    assert!(stderr.starts_with("stdin:1:"), "{stderr}");
    let id = case(json!({ "id": "a \"b\" \\ \u{e9}\n" }));
    let stdout = translate(id.as_bytes(), 0).0;
    let parsed: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(parsed, json!({ "id": "a \"b\" \\ \u{e9}\n", "pa": "5000", "ad": "AAAA" }));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let text = rows(FIVE_LEVELS).replace("\"5A1", "\"5A1\",\"cpl\":7,\"x\":\"");
    let run = |jobs: &str| mmsim(&["mmu", "translate", "--jobs", jobs], text.as_bytes());
    let one = run("1");
    assert_eq!(one.status.code(), Some(3));
    assert!(one.stdout.len() > 100_000 && one.stderr.len() > 10_000);
    for jobs in ["2", "5"] {
        assert!(one == run(jobs), "{jobs} threads");
    }
}

#[test]
fn an_answer_comes_before_the_next_question() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mmsim"))
        .args(["mmu", "translate"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    for n in 0..3 {
        writeln!(stdin, "{}", case(json!({ "id": n.to_string() }))).expect("it reads");
        let mut answer = String::new();
        stdout.read_line(&mut answer).expect("it answers");
        assert_eq!(answer, format!("{{\"id\":\"{n}\",\"pa\":\"5000\",\"ad\":\"AAAA\"}}\n"));
    }
    drop(stdin);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn whoever_reads_the_answers_may_leave() {
    let text = rows(FIVE_LEVELS);
    let mut child = Command::new(env!("CARGO_BIN_EXE_mmsim"))
        .args(["mmu", "translate"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("it is piped");
    std::thread::scope(|scope| {
        scope.spawn(move || drop(stdin.write_all(text.as_bytes())));
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn the_command_judges_its_answers() {
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let check = |args: &[&str]| mmsim(&[&["mmu", "translate", "--check"], args].concat(), b"");
    let output = check(&[&path(FIVE_LEVELS)]);
    assert_eq!(text(&output), "8,935 cases, 8,935 with an expected outcome, 8,935 agree\n");
    assert_eq!(output.status.code(), Some(0));
    let output = check(&[&path(FOUR_LEVELS), "--vendor", "amd"]);
    assert!(text(&output).contains("\n159 left out: "), "{}", text(&output));
    assert_eq!(output.status.code(), Some(0));

    let judged = |changes: Value| mmsim(&["mmu", "translate", "--check"], case(changes).as_bytes());
    for (changes, code, says) in [
        (json!({ "exp": { "pa": "5000" }, "ad": { "one": "AAAA" } }), 0, "1 agree"),
        (json!({ "exp": { "pa": "5000" } }), 0, "1 agree"),
        (json!({ "exp": { "pa": "5001" } }), 1, "stdin:1: t: expected pa 5001, found pa 5000"),
        (json!({ "exp": { "pf": "1" } }), 1, "stdin:1: t: expected pf 1, found pa 5000"),
        (json!({ "exp": { "pa": "5000" }, "ad": "AAAB" }), 1, "t: expected ad AAAB, found AAAA"),
        (json!({ "exp": { "pa": "5000" }, "ad": { "a": "----", "b": "AAAA" } }), 0, "1 agree"),
        (json!({}), 4, "1 cases, 0 with an expected outcome, 0 agree"),
        (json!({ "exp": { "pc": 1 } }), 3, ""),
    ] {
        let output = judged(changes.clone());
        assert_eq!(output.status.code(), Some(code), "{changes}: {}", text(&output));
        assert!(text(&output).contains(says), "{changes}: {}", text(&output));
    }
    let output = mmsim(&["mmu", "translate", "--check", "--format", "json", &path(FIVE_LEVELS)], b"");
    let parsed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&parsed["agree"], &parsed["differing"]), (&json!(8935), &json!([])));
}

#[test]
fn a_walk_is_found_by_its_id() {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let walk = |args: &[&str], input: &str| mmsim(&[&["mmu", "walk"], args].concat(), input.as_bytes());
    let output = walk(&[&path(FOUR_LEVELS), "--id", "4A20"], "");
    assert!(text(&output.stdout).starts_with("4A20: 4 levels, Intel\n"), "{}", text(&output.stdout));
    let two = format!("\n{}\n{}", case(json!({ "id": "a" })), case(json!({ "id": "b" })));
    assert!(text(&walk(&["-"], &two).stdout).starts_with("a: "));
    assert!(text(&walk(&["-", "--id", "b"], &two).stdout).starts_with("b: "));
    let one = case(json!({ "id": "c", "acc": "rmw", "imp": 1 }));
    let output = walk(&[&one, "--format", "json"], "");
    let parsed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(parsed["walks"].as_array().map(Vec::len), Some(2), "{parsed:#}");
    assert_eq!((&parsed["pa"], &parsed["ad"]), (&json!("5000"), &json!("AAAB")));
    for (args, input, says) in [
        (&["-", "--id", "c"][..], two.as_str(), "stdin: no case has the id `c`"),
        (&["-"], "", "stdin: there is no case"),
        (&["-"], "\n{}", "stdin:2:2: error: id: it is missing"),
        (&["{\"id\":1}"], "", "case:1:7: error: id: invalid type"),
        (&["no-such-file"], "", "no-such-file: No such file"),
        (&["."], "", ".: Is a directory"),
    ] {
        let output = walk(args, input);
        assert_eq!(output.status.code(), Some(3), "{args:?}");
        assert!(text(&output.stderr).contains(says), "{args:?}: {}", text(&output.stderr));
    }
}

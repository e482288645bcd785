//! What fuzzing holds, over the programs we have, and bytes damaged at random.

use std::fs;

#[expect(unreachable_pub, reason = "the fuzz package's own programs call them too")]
#[path = "../../fuzz/targets.rs"]
mod targets;

use crate::cli::root;
use crate::corpus::{folder, programs};
use crate::mutants::{Draws, damaged};

/// A target by its name.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 5] = [
    ("parse_total", targets::parse_total),
    ("fmt_idempotent", targets::fmt_idempotent),
    ("fmt_keeps_meaning", targets::fmt_keeps_meaning),
    ("check_no_panic", targets::check_no_panic),
    ("json_valid", targets::json_valid),
];

#[test]
fn each_target_holds_over_programs_and_corpora() {
    let programs = [programs(&folder("bad")), programs(&folder("syntax")), programs(&root().join("examples"))].concat();
    for (name, target) in TARGETS {
        let stored = fs::read_dir(root().join("fuzz/corpus").join(name)).into_iter().flatten().flatten();
        for path in programs.iter().cloned().chain(stored.map(|entry| entry.path())) {
            target(&fs::read(path).unwrap());
        }
    }
}

/// `PIPE_MUTANTS=20000 cargo test --test it fuzz` for the long form.
#[test]
fn each_target_holds_over_mutants() {
    let paths = [programs(&folder("good")), programs(&folder("syntax")), programs(&folder("fmt"))].concat();
    let texts: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let wanted = std::env::var("PIPE_MUTANTS").ok().and_then(|n| n.parse().ok()).unwrap_or(150_usize);
    let mut draws = Draws(0x2545_f491_4f6c_dd1d);
    for _ in 0..wanted {
        let mut bytes = damaged(&texts, &mut draws).into_bytes();
        // now and then bytes that are no text
        if draws.below(8) == 0 && !bytes.is_empty() {
            let at = draws.below(bytes.len());
            bytes[at] = u8::try_from(draws.below(256)).unwrap();
        }
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }
}

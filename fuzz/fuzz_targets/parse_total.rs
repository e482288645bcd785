//! Holds `parse_total` for whatever bytes there are.

#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::parse_total(bytes));

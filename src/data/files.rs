//! Which of the files that a table names are there: each folder is listed once, no file is opened.

use std::path::Path;

use indexmap::IndexMap;
use rayon::prelude::*;

use crate::host::{Host, Kind, stays_beneath};

use super::table::Column;

/// Folders from which fewer files than this are wanted are asked file by file: they may hold a million others.
const LIST_FROM: usize = 64;

/// What is known of a file by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is there (or was not asked for).
    There,
    /// It is not there, or the cell is empty.
    Missing,
    /// The name leads out of the folder.
    Leaves,
}

/// The presence of the file in each distinct cell that one of `rows` holds.
pub(super) fn presence(names: &Column, rows: &[u32], under: &Path, host: &dyn Host) -> Vec<Presence> {
    let mut presence = vec![Presence::There; names.distinct()];
    let mut asked = vec![false; names.distinct()];
    for code in rows.iter().filter_map(|row| names.code(*row)) {
        if let Some(asked) = asked.get_mut(code as usize) {
            *asked = true;
        }
    }
    let mut folders: IndexMap<&str, Vec<(usize, &str)>> = IndexMap::new();
    for (code, name) in names.values().enumerate().filter(|(code, _)| asked.get(*code) == Some(&true)) {
        let known = if name.is_empty() {
            Presence::Missing
        } else if stays(name) {
            let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
            match folders.get_mut(folder) {
                Some(files) => files.push((code, file)),
                None => {
                    folders.insert(folder, vec![(code, file)]);
                }
            }
            continue;
        } else {
            Presence::Leaves
        };
        if let Some(held) = presence.get_mut(code) {
            *held = known;
        }
    }
    let folders: Vec<(&str, Vec<(usize, &str)>)> = folders.into_iter().collect();
    let missing: Vec<Vec<usize>> =
        folders.par_iter().map(|(folder, files)| missing_in(&under.join(folder), files, host)).collect();
    for code in missing.into_iter().flatten() {
        if let Some(held) = presence.get_mut(code) {
            *held = Presence::Missing;
        }
    }
    presence
}

fn stays(name: &str) -> bool {
    // Most names are plain, and splitting a path into its parts takes longer than looking at its bytes.
    let plain = !name.starts_with('.') && !name.bytes().any(|byte| matches!(byte, b'/' | b'\\' | b':' | 0));
    plain || stays_beneath(name)
}

fn missing_in(folder: &Path, files: &[(usize, &str)], host: &dyn Host) -> Vec<usize> {
    if files.len() < LIST_FROM {
        let is_file = |file: &str| host.stat(&folder.join(file)).is_ok_and(|stat| stat.kind == Kind::File);
        return files.iter().filter(|(_, file)| !is_file(file)).map(|(code, _)| *code).collect();
    }
    let held = host.list(folder).unwrap_or_default();
    // Tables are often sorted as folders are: look where the last one was found before searching.
    let mut next = 0;
    let mut is_there = |file: &str| {
        if held.get(next).is_some_and(|name| name == file) {
            next += 1;
            return true;
        }
        match held.binary_search_by(|name| name.as_str().cmp(file)) {
            Ok(at) => {
                next = at + 1;
                true
            }
            Err(_) => false,
        }
    };
    files.iter().filter(|(_, file)| !is_there(file)).map(|(code, _)| *code).collect()
}

/// A file that is there and differs from a missing one in its extension or its case alone.
pub(super) fn nearly(name: &str, under: &Path, host: &dyn Host) -> Option<String> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let stem = |file: &str| file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_ascii_lowercase();
    let wanted = stem(file);
    let held = host.list(&under.join(folder)).ok()?;
    held.into_iter().find(|held| stem(held) == wanted)
}

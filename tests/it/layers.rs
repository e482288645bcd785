//! The table "foreign crate only in" of ARCHITECTURE.md, and small habits, held over the source text.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

/// A path that may be named only in these files and folders (beneath `src/`).
const ONLY_IN: [(&str, &[&str]); 7] = [
    ("pest::", &["syntax/parse.rs", "syntax/recover.rs"]),
    ("pest_derive", &["syntax/parse.rs", "syntax/recover.rs"]),
    ("miette::", &["diag/render.rs"]),
    ("petgraph::", &["graph.rs"]),
    ("burn::", &["nn/", "kernels/", "train/", "exec/"]),
    ("std::fs", &["host.rs", "store/", "cli/", "main.rs", "nn/"]),
    ("std::env", &["host.rs", "store/", "cli/", "main.rs", "nn/"]),
];

/// Every Rust file below `src/`, with its path from there, sorted.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    assert!(files.len() > 20, "the sources were not found");
    files
}

/// The file's code: without comments to the end of a line, and without its unit tests, which stand last.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or("")
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
}

/// Does the line name the path itself, and not the end of a longer name (`my_pest::`)?
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        let joined = |c: char| c.is_alphanumeric() || c == '_';
        !before.is_some_and(joined) && (path.ends_with(':') || !after.is_some_and(joined))
    })
}

#[test]
fn layers_foreign_crates_stay_where_they_belong() {
    let mut strays = Vec::new();
    for (file, text) in sources() {
        for (path, homes) in ONLY_IN {
            let at_home =
                homes.iter().any(|home| if home.ends_with('/') { file.starts_with(home) } else { file == *home });
            if !at_home {
                strays.extend(
                    code(&text)
                        .filter(|(_, line)| names(line, path))
                        .map(|(line, _)| format!("src/{file}:{line} names {path}")),
                );
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

#[test]
fn layers_the_front_half_knows_nothing_of_the_back() {
    let front = [
        "source.rs",
        "draw.rs",
        "host.rs",
        "study.rs",
        "record.rs",
        "diag/",
        "syntax/",
        "catalog/",
        "report/",
        "stats/",
        "data/",
        "split/",
        "images/",
    ];
    let back =
        ["crate::exec", "crate::train", "crate::nn", "crate::kernels", "crate::cli", "crate::plan", "crate::store"];
    let mut strays = Vec::new();
    for (file, text) in sources() {
        if front.iter().any(|part| file.starts_with(part)) {
            for path in back {
                strays.extend(
                    code(&text)
                        .filter(|(_, line)| names(line, path))
                        .map(|(line, _)| format!("src/{file}:{line} names {path}")),
                );
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

#[test]
fn tidy_every_file_says_what_it_is() {
    let silent: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(file, _)| file).collect();
    assert!(silent.is_empty(), "no `//!` header: {}", silent.join(", "));
}

#[test]
fn tidy_nothing_is_left_to_be_done() {
    let mut left = Vec::new();
    for (file, text) in sources() {
        for word in ["todo!", "unimplemented!", "dbg!"] {
            left.extend(
                code(&text)
                    .filter(|(_, line)| line.contains(word))
                    .map(|(line, _)| format!("src/{file}:{line} {word}")),
            );
        }
    }
    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn layers_the_search_itself_works() {
    assert!(names("use pest::Parser;", "pest::") && !names("use my_pest::x;", "pest::"));
    assert!(names("let x = std::fs::read(p);", "std::fs") && !names("std::fsync", "std::fs"));
    assert_eq!(
        code("a // std::fs\n#[cfg(test)]\nmod tests {\nstd::fs").map(|(_, line)| line.trim()).collect::<Vec<_>>(),
        ["a"]
    );
}

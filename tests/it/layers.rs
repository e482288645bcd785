//! The table "foreign crate only in" of ARCHITECTURE.md, and small habits, held over the source text.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

/// A path that may be named only in these files and folders (beneath `src/`).
const ONLY_IN: [(&str, &[&str]); 12] = [
    ("pest::", &["syntax/parse.rs", "syntax/recover.rs"]),
    ("pest_derive", &["syntax/parse.rs", "syntax/recover.rs"]),
    ("miette::", &["diag/render.rs"]),
    ("petgraph::", &["graph.rs"]),
    ("gen_lsp_types", &["lsp/"]),
    ("burn::", &["nn/", "kernels/", "train/", "exec/"]),
    ("cubecl::", &["kernels/"]),
    ("ureq::", &["nn/weights/hub.rs"]),
    ("zip::", &["nn/weights/torch.rs", "nn/weights/vit_npz.rs"]),
    ("hdf5_pure::", &["nn/weights/hdf5.rs"]),
    ("std::fs", &["host.rs", "store/", "images/cache.rs", "cli/", "main.rs", "nn/"]),
    ("std::env", &["host.rs", "store/", "cli/", "main.rs", "nn/", "simd.rs"]),
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
        "lsp/",
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

/// The licences listed under `allow` in `deny.toml`.
fn allowed_licences() -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap();
    let list = text.split("allow = [").nth(1).unwrap().split("\n]").next().unwrap();
    list.lines().filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
}

/// Does an SPDX expression hold with these licences? `A OR B`, `A AND B`, `(A OR B) AND C`, and the old `A/B`.
fn allowed(expression: &str, list: &[String]) -> bool {
    expression.split(" AND ").all(|part| {
        let part = part.trim_matches(['(', ')', ' ']).replace('/', " OR ");
        part.split(" OR ").any(|name| list.iter().any(|one| one == name.trim()))
    })
}

#[test]
fn tidy_licences_are_allowed() {
    let list = allowed_licences();
    assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0", &list) && allowed("Unlicense/MIT", &list));
    assert!(!allowed("GPL-3.0-only", &list) && !allowed("MIT AND GPL-3.0-only", &list) && !allowed("", &list));
    // what this build is made of is on this machine already, so no network is asked for it
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{l}|{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.lines().count() > 50, "cargo lists the dependencies");
    let refused: Vec<&str> = tree
        .lines()
        .filter(|line| !line.trim().is_empty())
        .filter(|line| line.split_once('|').is_none_or(|(licence, _)| !allowed(licence, &list)))
        .collect();
    assert!(refused.is_empty(), "licences that deny.toml does not allow: {}", refused.join(", "));
}

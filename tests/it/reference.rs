//! The reference pages under `docs/reference/`, printed from the catalog and kept as it is.
//!
//! `PIPE_BLESS=1 cargo test reference` writes them anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use pipe::catalog::keywords::{KEYWORDS, Keyword, TYPES, UNITS};
use pipe::catalog::{Block, Default, FAMILIES, Family, Operation, Parameter, Setting, Takes, blocks, describe};
use pipe::diag::Code;
use pipe::explain;

use super::cli::root;

fn folder() -> PathBuf {
    root().join("docs/reference")
}

const NOTICE: &str = "<!-- Printed from the catalog: PIPE_BLESS=1 cargo test reference -->\n\n";

/// Every page by its name.
fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("blocks.md", blocks_page()),
        ("operations.md", operations_page()),
        ("words.md", words_page()),
        ("codes.md", codes_page()),
    ]
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Where a heading leads: as GitHub and mdBook name it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

/// What a slot takes; families are linked, not listed.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others are said alike")]
fn takes(takes: &Takes) -> String {
    let link = |family: &Family| format!("[{}](operations.md#{})", family.many, anchor(family.many));
    match takes {
        Takes::Operation(family) => format!("one of the {}", link(family)),
        Takes::Operations(family) => format!("a list of {}", link(family)),
        Takes::Formula(family) => format!("numbers times {}, added up", link(family)),
        other => describe::takes(other),
    }
}

fn every_block() -> impl Iterator<Item = &'static Block> {
    [&blocks::STUDY].into_iter().chain(blocks::BLOCKS.iter().copied()).chain([&blocks::RUN])
}

fn blocks_page() -> String {
    let mut out = format!(
        "{NOTICE}# Blocks and settings\n\nA study is a block `study NAME {{ ... }}` with the blocks below in it, in any order. \
         A setting without a default must\nbe written. `data.limit = each(500)` in a study is the same as `limit = each(500)` in \
         its `data` block. `run NAME {{ ... }}`\nstands beside the study: it says where to run and is no part of it.\n"
    );
    for block in every_block() {
        let _ = write!(out, "\n## `{}`\n\n{}\n", block.name, block.about);
        if !block.settings.is_empty() {
            out.push_str("\n| setting | takes | default | |\n|---|---|---|---|\n");
        }
        for setting in block.settings {
            let Setting { name, takes: taken, default, about } = setting;
            let default = match *default {
                "" => "must be written".to_owned(),
                words if words.contains(' ') && !words.ends_with([')', ']']) => words.to_owned(),
                code => format!("`{code}`"),
            };
            let _ = writeln!(out, "| `{name}` | {} | {} | {} |", cell(&takes(taken)), cell(&default), cell(about));
        }
        later(&mut out, block.later);
    }
    out
}

fn later(out: &mut String, names: &[&str]) {
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _ = write!(out, "\nNamed, but not run by this version (E0110): {}.\n", names.join(", "));
    }
}

/// The settings that take operations of a family.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others take no operations")]
fn takers(family: &Family) -> Vec<String> {
    let mut takers = Vec::new();
    for block in every_block() {
        for setting in block.settings {
            let of = match setting.takes {
                Takes::Operation(one) | Takes::Operations(one) | Takes::Formula(one) => one.many == family.many,
                _ => false,
            };
            if of {
                let path = if block.name == "study" {
                    setting.name.to_owned()
                } else {
                    format!("{}.{}", block.name, setting.name)
                };
                takers.push(format!("`{path}`"));
            }
        }
    }
    takers
}

fn operations_page() -> String {
    let mut out = format!(
        "{NOTICE}# Operations\n\nWhat can be called in a value, by the setting that takes it. Arguments go by position or by name; \
         those with a default may\nbe left out. An operation without arguments may be written without brackets.\n"
    );
    for family in FAMILIES {
        let _ = write!(out, "\n## {}\n", capital(family.many));
        let takers = takers(family);
        if !takers.is_empty() {
            let _ = write!(out, "\nTaken by {}.\n", takers.join(", "));
        }
        family_of(&mut out, family);
        later(&mut out, family.later);
    }
    out
}

/// A table when all operations of a family take the same arguments or the first ones of them, else a section each.
fn family_of(out: &mut String, family: &Family) {
    let names = |operation: &Operation| operation.parameters.iter().map(|one| one.name).collect::<Vec<_>>();
    let Some(most) = family.operations.iter().max_by_key(|operation| operation.parameters.len()) else { return };
    let alike = family.operations.iter().all(|one| names(most).starts_with(&names(one)));
    if !alike || family.operations.len() < 3 {
        for operation in family.operations {
            operation_of(out, operation);
        }
        return;
    }
    if !most.parameters.is_empty() {
        parameters(out, most.parameters);
    }
    for count in 0..most.parameters.len() {
        let fewer = family.operations.iter().filter(|one| one.parameters.len() == count);
        let fewer: Vec<String> = fewer.map(|one| format!("`{}`", one.name)).collect();
        if !fewer.is_empty() {
            let last: Vec<String> = most.parameters.iter().skip(count).map(|one| format!("`{}`", one.name)).collect();
            let _ = write!(out, "\nWithout {}: {}.\n", last.join(" and "), fewer.join(", "));
        }
    }
    let sources = family.operations.iter().any(|operation| !operation.source.is_empty());
    out.push_str(if sources { "\n| | | source |\n|---|---|---|\n" } else { "\n| | |\n|---|---|\n" });
    for operation in family.operations {
        let example = operation.examples.last().copied().unwrap_or(operation.name);
        let _ = write!(out, "| `{example}` | {} |", cell(operation.about));
        if sources {
            let _ = write!(out, " {} |", cell(operation.source));
        }
        out.push('\n');
    }
}

fn operation_of(out: &mut String, operation: &Operation) {
    let _ = write!(
        out,
        "\n### `{}`\n\n{}\n\n```hcl\n{}\n```\n",
        operation.name,
        operation.about,
        describe::signature(operation)
    );
    if !operation.parameters.is_empty() {
        parameters(out, operation.parameters);
    }
    let later: Vec<String> = operation.later.iter().map(|name| format!("`{name}`")).collect();
    if !later.is_empty() {
        let _ = write!(out, "\nArguments that are named, but not run by this version (E0110): {}.\n", later.join(", "));
    }
    if !operation.source.is_empty() {
        let _ = write!(out, "\nSource: {}\n", operation.source);
    }
    let examples: Vec<String> = operation.examples.iter().map(|example| format!("`{}`", cell(example))).collect();
    let examples: Vec<String> = examples
        .into_iter()
        .map(|one| if one.matches('`').count() > 2 { format!("``{} ``", &one[..one.len() - 1][1..]) } else { one })
        .collect();
    let _ = write!(out, "\nFor example {}\n", examples.join(", "));
}

fn parameters(out: &mut String, parameters: &[Parameter]) {
    out.push_str("\n| argument | takes | default | |\n|---|---|---|---|\n");
    for parameter in parameters {
        let default = match (parameter.default, describe::default(parameter)) {
            (_, Some(default)) => format!("`{default}`"),
            (Default::Required, None) => "must be written".to_owned(),
            (_, None) => "absent".to_owned(),
        };
        let _ = writeln!(
            out,
            "| `{}` | {} | {default} | {} |",
            parameter.name,
            cell(&takes(&parameter.takes)),
            cell(parameter.about)
        );
    }
}

fn words_page() -> String {
    let mut out = format!(
        "{NOTICE}# Words, units and types\n\nWhat the language itself reserves. [The grammar](../../grammar/README.md) tells how texts are read; every other name\n\
         is the catalog's or the author's own.\n\n## Reserved words\n"
    );
    table(&mut out, "word", KEYWORDS);
    out.push_str("\nEvery reserved word but `pipe` is refused as a name.\n\n## Units\n\nA unit stands directly behind its number.\n");
    table(&mut out, "unit", UNITS);
    out.push_str(
        "\n## Types of a `param`\n\nA type with `?` behind it may be left without a value: `param seed : int?`.\n",
    );
    table(&mut out, "type", TYPES);
    out
}

fn table(out: &mut String, what: &str, words: &[Keyword]) {
    let _ = write!(out, "\n| {what} | | for example |\n|---|---|---|\n");
    for word in words {
        let example =
            if word.example.contains('`') { format!("`` {} ``", word.example) } else { format!("`{}`", word.example) };
        let _ = writeln!(out, "| `{}` | {} | {} |", word.name, cell(word.about), cell(&example));
    }
}

/// Every code's page, as `pipe explain CODE` prints it; the programs there are checked by the tests of `explain`.
fn codes_page() -> String {
    let mut out = format!(
        "{NOTICE}# Codes\n\nEvery problem has a code; `E` stops a run, `W` does not. Codes are never used again for something else. \
         `pipe explain E0304`\nprints the same on a terminal.\n"
    );
    for code in Code::ALL {
        let page = explain::page(*code);
        let mut lines = page.lines();
        let title = lines.next().unwrap_or_default().trim_start_matches("# ");
        let _ = write!(out, "\n## {title}\n");
        let mut is_open = false;
        for line in lines {
            let line = match line.strip_prefix("```") {
                Some(_) if !is_open => "```hcl",
                _ => line,
            };
            is_open ^= line.starts_with("```");
            out.push_str(line);
            out.push('\n');
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    out
}

#[test]
fn reference_is_what_the_catalog_says() {
    let bless = std::env::var_os("PIPE_BLESS").is_some();
    let mut stale = Vec::new();
    for (name, text) in pages() {
        let path = folder().join(name);
        if std::fs::read_to_string(&path).ok().as_deref() == Some(text.as_str()) {
            continue;
        }
        if bless {
            std::fs::create_dir_all(folder()).unwrap();
            std::fs::write(&path, text).unwrap();
        } else {
            stale.push(name);
        }
    }
    assert!(
        stale.is_empty(),
        "{} under docs/reference; PIPE_BLESS=1 cargo test reference writes it anew",
        stale.join(", ")
    );
}

#[test]
fn reference_names_everything_there_is() {
    let all: String = pages().into_iter().map(|(_, text)| text).collect();
    for block in every_block() {
        assert!(all.contains(&format!("## `{}`", block.name)));
        for setting in block.settings {
            assert!(all.contains(&format!("| `{}` |", setting.name)), "{}.{}", block.name, setting.name);
        }
    }
    for operation in FAMILIES.iter().flat_map(|family| family.operations) {
        assert!(all.contains(&format!("`{}", operation.name)), "{}", operation.name);
        assert!(operation.source.is_empty() || all.contains(&cell(operation.source)), "{}", operation.source);
    }
}

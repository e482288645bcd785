//! A word becomes what there is to know about it: a page for each code, and what the catalog holds.
//!
//! Promises: every code, block, setting, operation and family of the catalog is found by its name; a word that is
//! several things gives all of them. Programs in pages and examples of the catalog are run by tests.

mod entries;
mod pages;

pub use entries::{backbones, block, family, keyword, operation, parameter, setting, value};
pub use pages::{page, programs};

use std::collections::BTreeSet;

use crate::catalog::keywords::{KEYWORDS, Keyword, TYPES, UNITS};
use crate::catalog::{Block, FAMILIES, Family, Operation, Takes, blocks};
use crate::diag::{Code, suggest};

/// What is known about a word: a code, `train`, `train.epochs`, `epochs`, `focal`, `losses`, `losses.focal`, `focal.gamma`,
/// `backbones`, `holm`, `vary`, `GiB`.
///
/// # Errors
/// The word that was probably meant, if there is one near.
pub fn explain(word: &str) -> Result<String, Option<String>> {
    let word = word.trim();
    if let Some(code) = Code::parse(word) {
        return Ok(page(code));
    }
    let mut found: Vec<String> = Vec::new();
    if word == "backbones" {
        found.push(backbones());
    }
    for table in all_blocks() {
        if table.name == word {
            found.push(block(table));
        }
        for one in table.settings {
            if one.name == word || is_path(word, table.name, one.name) {
                found.push(setting(table, one));
            }
        }
    }
    for group in FAMILIES {
        if (group.one == word || group.many == word) && word != "backbones" {
            found.push(family(group));
        }
        for one in group.operations.iter().filter(|one| one.name == word) {
            found.push(operation(group, one));
        }
        if group.later.contains(&word) {
            found.push(format!("{word}\n\n  a {} that is known, but not run by this version.\n", group.one));
        }
        found.extend(dotted(word, group));
    }
    let parameters = all_operations().filter(|(_, one)| one.parameter(word).is_some());
    let takers: Vec<&str> = parameters.map(|(_, one)| one.name).collect();
    if found.is_empty() && !takers.is_empty() {
        found.push(format!("{word}\n\n  an argument of: {}\n", entries::wrapped(&takers.join(", "), 18)));
    }
    let places = places_of(word);
    if found.is_empty() && !places.is_empty() {
        found.push(value(word, &places));
    }
    found.extend(reserved().filter(|(_, one)| one.name == word).map(|(kind, one)| keyword(kind, one)));
    if found.is_empty() {
        let all = words();
        return Err(suggest::nearest(word, all.iter().map(String::as_str)).map(str::to_owned));
    }
    found.dedup();
    Ok(found.join("\n"))
}

fn is_path(word: &str, block: &str, setting: &str) -> bool {
    word.split_once('.').is_some_and(|(left, right)| left == block && right == setting)
}

/// `losses.focal` and `focal.gamma`, of one family.
fn dotted(word: &str, group: &Family) -> Vec<String> {
    let Some((left, right)) = word.split_once('.') else { return Vec::new() };
    let member = group.operation(right).filter(|_| left == group.one || left == group.many);
    let argument = group.operation(left).and_then(|one| Some((one, one.parameter(right)?)));
    let member = member.map(|one| operation(group, one));
    member.into_iter().chain(argument.map(|(one, argument)| parameter(one, argument))).collect()
}

/// Where a word is one of the values: `compare.correction`, `filter of resize`.
fn places_of(word: &str) -> Vec<String> {
    let holds = |takes: &Takes| matches!(takes, Takes::Word(words) if words.contains(&word));
    let settings = all_blocks().flat_map(|block| block.settings.iter().map(move |one| (block, one)));
    let settings =
        settings.filter(|(_, one)| holds(&one.takes)).map(|(block, one)| format!("{}.{}", block.name, one.name));
    let arguments = all_operations().flat_map(|(_, of)| of.parameters.iter().map(move |one| (of, one)));
    let arguments = arguments.filter(|(_, one)| holds(&one.takes)).map(|(of, one)| format!("{}.{}", of.name, one.name));
    settings.chain(arguments).collect()
}

/// The words of the language itself, each with what it is.
fn reserved() -> impl Iterator<Item = (&'static str, &'static Keyword)> {
    let words = KEYWORDS.iter().map(|one| ("a word of the language", one));
    let units = UNITS.iter().map(|one| ("a unit", one));
    words.chain(units).chain(TYPES.iter().map(|one| ("a type of a `param`", one)))
}

/// Every block of the catalog, that of the study itself and that of a run too.
pub fn all_blocks() -> impl Iterator<Item = &'static Block> {
    std::iter::once(&blocks::STUDY).chain(blocks::BLOCKS.iter().copied()).chain(std::iter::once(&blocks::RUN))
}

fn all_operations() -> impl Iterator<Item = (&'static Family, &'static Operation)> {
    FAMILIES.iter().flat_map(|family| family.operations.iter().map(|one| (*family, one)))
}

/// Every word that [`explain`] knows.
#[must_use]
pub fn words() -> BTreeSet<String> {
    let mut words = BTreeSet::from(["backbones".to_owned()]);
    words.extend(Code::ALL.iter().map(|code| code.id().to_owned()));
    words.extend(reserved().map(|(_, one)| one.name.to_owned()));
    for table in all_blocks() {
        words.insert(table.name.to_owned());
        for one in table.settings {
            words.insert(one.name.to_owned());
            words.insert(format!("{}.{}", table.name, one.name));
        }
    }
    for group in FAMILIES {
        words.extend([group.one.to_owned(), group.many.to_owned()]);
        words.extend(group.later.iter().map(|name| (*name).to_owned()));
        for one in group.operations {
            words.insert(one.name.to_owned());
            words.extend(one.parameters.iter().map(|parameter| parameter.name.to_owned()));
        }
    }
    words
}

/// The settings that take operations of a family, `train.loss`.
fn takers(family: &Family) -> Vec<String> {
    all_blocks()
        .flat_map(|block| block.settings.iter().map(move |setting| (block, setting)))
        .filter(|(_, setting)| setting.takes.family().is_some_and(|one| one.one == family.one))
        .map(|(block, setting)| format!("{}.{}", block.name, setting.name))
        .collect()
}

/// What can be explained, in a few lines.
#[must_use]
pub fn topics() -> String {
    let mut out = String::from("pipe explain WORD tells about:\n\n  blocks     ");
    out.push_str(&all_blocks().map(|block| block.name).collect::<Vec<_>>().join(" "));
    out.push_str("\n  settings   by name or path: epochs, train.epochs\n  words      ");
    let words = reserved().map(|(_, one)| one.name).collect::<Vec<_>>().join(" ");
    out.push_str(&entries::wrapped(&words, 13));
    out.push_str("\n  lists      ");
    let many: BTreeSet<&str> = FAMILIES.iter().map(|family| family.many).collect();
    let lists = many.into_iter().map(|many| if many.contains(' ') { format!("\"{many}\"") } else { many.to_owned() });
    out.push_str(&entries::wrapped(&lists.collect::<Vec<_>>().join(" "), 13));
    out.push_str(
        "\n  operations each by its name: focal, adamw, resize, resnet18; an argument: adamw.lr\n  codes      ",
    );
    let codes = Code::ALL.iter().map(|code| code.id()).collect::<Vec<_>>().join(" ");
    out.push_str(&entries::wrapped(&codes, 13));
    out.push('\n');
    out
}

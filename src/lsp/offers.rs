//! What may stand at a place: names from the catalog, the file and the table, each with its documentation.
//!
//! Completion lists the offers; hover shows the documentation of the one that is written there. So both always agree.

#![expect(clippy::wildcard_enum_match_arm, reason = "what is offered for one kind of value is nothing for the others")]

use gen_lsp_types::{CompletionItemKind, SymbolKind};

use std::collections::BTreeSet;

use super::cursor::{Call, Cursor, Slot, Spot};
use super::names::{Definition, Kind};
use crate::catalog::backbones::{BACKBONES, Backbone, WEIGHTS};
use crate::catalog::keywords::{KEYWORDS, Keyword, TYPES, UNITS};
use crate::catalog::{Block, Default, FAMILIES, Family, Operation, Parameter, Setting, Takes, blocks, describe};

/// A name that may be written.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    /// As it is listed, and as it stands in the text.
    pub(super) name: String,
    pub(super) kind: CompletionItemKind,
    /// A few words beside it.
    pub(super) detail: String,
    /// Markdown.
    pub(super) docs: String,
    /// What is inserted, with `${1:holes}` to fill in.
    pub(super) snippet: String,
    /// What comes first: the smaller.
    pub(super) rank: u8,
}

impl Offer {
    fn new(name: &str, kind: CompletionItemKind, detail: impl Into<String>, docs: String) -> Self {
        Self { name: name.to_owned(), kind, detail: detail.into(), docs, snippet: escaped(name), rank: 5 }
    }

    fn snippet(mut self, snippet: impl Into<String>) -> Self {
        self.snippet = snippet.into();
        self
    }

    fn rank(mut self, rank: u8) -> Self {
        self.rank = rank;
        self
    }
}

/// A text in a snippet: `$`, `}` and `\` stand for themselves.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '$' | '}' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// What may stand at a place, apart from columns and cells of the table and names of other files.
pub(super) fn offers(cursor: &Cursor, visible: &[&Definition], page: &str) -> Vec<Offer> {
    match &cursor.spot {
        Spot::Nothing | Spot::Column | Spot::Text | Spot::Import { .. } => Vec::new(),
        Spot::Item => items(page),
        Spot::Edition => vec![edition()],
        Spot::Type => TYPES.iter().map(|ty| keyword(ty, CompletionItemKind::TypeParameter)).collect(),
        Spot::Unit => units(cursor.slot),
        Spot::Study | Spot::Value if cursor.member_of.is_some() => Vec::new(),
        Spot::Study => {
            let studies = visible.iter().filter(|one| matches!(one.kind, Kind::Study | Kind::Import | Kind::Alias));
            studies.map(|one| definition(one, page)).collect()
        }
        Spot::Entry { of, in_study, written, setting_only } => entries(*of, *in_study, written, *setting_only),
        Spot::Value => values(cursor, visible, page),
    }
}

fn keyword(keyword: &Keyword, kind: CompletionItemKind) -> Offer {
    let docs = format!("{}\n\n```pipe\n{}\n```", keyword.about, keyword.example);
    Offer::new(keyword.name, kind, keyword.about, docs)
}

/// A reserved word with its documentation.
pub(super) fn reserved(word: &str) -> Option<Offer> {
    KEYWORDS.iter().find(|known| known.name == word).map(|known| keyword(known, CompletionItemKind::Keyword))
}

fn edition() -> Offer {
    let year = crate::check::EDITION;
    let docs = "The edition pins every default; a default changes only with an edition.".to_owned();
    Offer::new(&format!("\"{year}\""), CompletionItemKind::Constant, "the edition", docs)
}

const STUDY: &str = "study ${1:my_study} {\n  data {\n    table = csv(\"${2:labels.csv}\")\n    image = file(`${3:image}`)\n    \
                     label = `${4:label}`\n    group = `${5:patient}`\n  }\n  model { backbone = ${6:resnet18}(weights = ${7:imagenet}) }\n}";

fn items(page: &str) -> Vec<Offer> {
    let reserved_as =
        |word: &str, snippet: &str| reserved(word).map(|offer| Offer { snippet: snippet.to_owned(), ..offer });
    let mut offers = Vec::new();
    if !page.lines().any(|line| line.trim_start().starts_with("pipe ")) {
        let first = format!("pipe \"{}\"\n", crate::check::EDITION);
        offers.extend(reserved_as("pipe", &first).map(|offer| offer.rank(0)));
    }
    offers.push(block(&blocks::STUDY).snippet(STUDY).rank(1));
    offers.extend(reserved_as("param", "param ${1:name} : ${2:int} = ${3:1}"));
    offers.extend(reserved_as("let", "let ${1:name} = ${0}"));
    offers.extend(reserved_as("use", "use \"${1:file.pipe}\" { ${2:name} }"));
    offers.push(block(&blocks::RUN).snippet("run ${1:laptop} { device = ${2:auto} }"));
    offers
}

/// A block's documentation: what it is about and what can be set in it.
fn block(block: &Block) -> Offer {
    let mut docs = block.about.to_owned();
    if !block.settings.is_empty() {
        docs.push_str("\n\n| setting | |\n|---|---|\n");
        for setting in block.settings {
            docs.push_str(&format!("| `{}` | {} |\n", setting.name, cell(setting.about)));
        }
    }
    let snippet = format!("{} {{\n  ${{0}}\n}}", block.name);
    Offer::new(block.name, CompletionItemKind::Struct, block.about, docs).snippet(snippet)
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn entries(of: Option<&'static Block>, in_study: bool, written: &[String], setting_only: bool) -> Vec<Offer> {
    let free = |name: &str| !written.iter().any(|path| path == name);
    let mut offers: Vec<Offer> = Vec::new();
    let settings = of.into_iter().flat_map(|block| block.settings.iter().map(move |setting| (block, setting)));
    // what must be written comes first, then the order of the catalog
    for (rank, (block, one)) in (0_u8..).zip(settings) {
        if free(one.name) {
            let first = u8::from(!one.default.is_empty()) * 100;
            offers.push(setting(block, one).rank(first.saturating_add(rank)));
        }
    }
    if in_study {
        for (rank, one) in (50_u8..).zip(blocks::BLOCKS) {
            if setting_only {
                offers.push(block(one).snippet(format!("{}.", one.name)).rank(rank));
            } else if free(one.name) {
                offers.push(block(one).rank(rank));
            }
        }
    }
    if in_study && !setting_only {
        let vary =
            reserved("vary").map(|offer| offer.snippet("vary ${1:train.loss} = { ${2:name} = ${0} }").rank(u8::MAX));
        offers.extend(vary);
    }
    if of.is_some() && !setting_only {
        let name = reserved("let").map(|offer| offer.snippet("let ${1:name} = ${0}").rank(u8::MAX));
        offers.extend(name);
    }
    offers
}

/// A setting: what it takes, its default, what it does.
fn setting(block: &Block, setting: &Setting) -> Offer {
    let path = if block.name == "study" { setting.name.to_owned() } else { format!("{}.{}", block.name, setting.name) };
    let default = match setting.default {
        "" => "must be written".to_owned(),
        default => format!("default: {default}"),
    };
    let docs = format!("**`{path}`**: {}\n\ntakes {}\n\n{default}", setting.about, describe::takes(&setting.takes));
    let snippet = format!("{} = {}", setting.name, hole(&setting.takes, setting.default));
    Offer::new(setting.name, CompletionItemKind::Property, default, docs).snippet(snippet)
}

/// A value to start from, as a hole of a snippet: the default, or an example of what must be written.
fn hole(takes: &Takes, default: &str) -> String {
    match takes {
        Takes::Column => "`${1}`".to_owned(),
        Takes::Text => "\"${1}\"".to_owned(),
        Takes::Path => "\"${1:file}\"".to_owned(),
        Takes::Operations(_) => "[${0}]".to_owned(),
        Takes::Shaped(_) | Takes::Flag | Takes::Word(_) | Takes::Operation(_) | Takes::Formula(_) => "${0}".to_owned(),
        Takes::Whole { .. }
        | Takes::Number { .. }
        | Takes::Share { .. }
        | Takes::Epochs { .. }
        | Takes::Degrees { .. } => {
            let number = default.starts_with(|c: char| c.is_ascii_digit());
            let start = if number { default.to_owned() } else { describe::example(takes) };
            format!("${{1:{}}}", escaped(&start))
        }
    }
}

/// An operation: how it is called, what each parameter does, where the formula comes from.
pub(super) fn operation(family: &Family, operation: &Operation) -> Offer {
    let mut docs = format!("```pipe\n{}\n```\n{}\n", describe::signature(operation), operation.about);
    if !operation.parameters.is_empty() {
        docs.push_str("\n| parameter | takes | default | |\n|---|---|---|---|\n");
        for parameter in operation.parameters {
            docs.push_str(&format!(
                "| `{}` | {} | {} | {} |\n",
                parameter.name,
                cell(&describe::takes(&parameter.takes)),
                default_words(parameter),
                cell(parameter.about)
            ));
        }
    }
    if !operation.source.is_empty() {
        docs.push_str(&format!("\nSource: {}\n", operation.source));
    }
    if !operation.examples.is_empty() {
        docs.push_str(&format!("\nFor example\n```pipe\n{}\n```", operation.examples.join("\n")));
    }
    Offer::new(operation.name, CompletionItemKind::Function, family.one, docs).snippet(call(operation))
}

fn default_words(parameter: &Parameter) -> String {
    match (parameter.default, describe::default(parameter)) {
        (_, Some(default)) => format!("`{default}`"),
        (Default::Required, None) => "must be written".to_owned(),
        (_, None) => "absent".to_owned(),
    }
}

/// A call with a hole for each argument that must be written.
fn call(operation: &Operation) -> String {
    let required: Vec<&Parameter> =
        operation.parameters.iter().filter(|parameter| parameter.default == Default::Required).collect();
    if operation.parameters.is_empty() {
        // as the catalog's own example writes it: with brackets where they are usual
        return escaped(
            operation.examples.first().filter(|example| example.ends_with("()")).unwrap_or(&operation.name),
        );
    }
    if required.is_empty() {
        return format!("{}(${{0}})", operation.name);
    }
    let holes: Vec<String> = (1..)
        .zip(&required)
        .map(|(nth, parameter)| match parameter.takes {
            Takes::Column => format!("`${{{nth}}}`"),
            Takes::Text | Takes::Path => format!("\"${{{nth}}}\""),
            _ => format!("${{{nth}:{}}}", escaped(&describe::example(&parameter.takes))),
        })
        .collect();
    format!("{}({})", operation.name, holes.join(", "))
}

/// An argument's name.
fn argument(operation: &Operation, parameter: &Parameter) -> Offer {
    let docs = format!(
        "**`{}`** of `{}`: {}\n\ntakes {}\n\ndefault: {}",
        parameter.name,
        operation.name,
        parameter.about,
        describe::takes(&parameter.takes),
        default_words(parameter)
    );
    let start = describe::default(parameter).unwrap_or_default();
    let snippet = format!("{} = {}", parameter.name, hole(&parameter.takes, &start));
    Offer::new(parameter.name, CompletionItemKind::Field, parameter.about, docs).snippet(snippet)
}

/// The documentation of what a value is for.
pub(super) fn slot(slot: Slot) -> Offer {
    match slot {
        Slot::Setting(block, one) => setting(block, one),
        Slot::Parameter(operation, parameter) => argument(operation, parameter),
    }
}

fn units(slot: Option<Slot>) -> Vec<Offer> {
    let wanted: &[&str] = match slot.map(Slot::takes) {
        Some(Takes::Share { .. }) => &["%"],
        Some(Takes::Epochs { .. }) => &["epochs", "epoch"],
        Some(Takes::Degrees { .. }) => &["deg"],
        _ => &[],
    };
    UNITS
        .iter()
        .filter(|unit| wanted.contains(&unit.name))
        .map(|unit| keyword(unit, CompletionItemKind::Unit))
        .collect()
}

fn values(cursor: &Cursor, visible: &[&Definition], page: &str) -> Vec<Offer> {
    let mut offers = Vec::new();
    if let Some(Call { operation, given, at_name: true, .. }) = &cursor.call {
        for (rank, parameter) in (10_u8..).zip(operation.parameters) {
            if !given.contains(&parameter.name) {
                offers.push(argument(operation, parameter).rank(rank));
            }
        }
    }
    if let Some(slot) = cursor.slot {
        if let Some(family) = slot.family() {
            let fitting = family.operations.iter().filter(|one| slot.takes_operation(family, one));
            offers.extend(fitting.map(|one| operation(family, one).rank(2)));
        }
        offers.extend(words(slot));
        offers.extend(starts(slot, cursor.in_list));
    } else if cursor.defines.is_some() {
        offers.extend(operations());
    }
    // what a file names itself comes after what fits by the catalog
    let itself = |one: &Definition| one.kind == Kind::Let && cursor.defines.as_ref() == Some(&one.name.text);
    let value = |one: &Definition| matches!(one.kind, Kind::Let | Kind::Param | Kind::Import | Kind::Alias);
    let values = visible.iter().filter(|one| value(one) && !itself(one));
    offers.extend(values.map(|one| definition(one, page).rank(30)));
    offers
}

/// Every operation there is, for a name that is not used yet; networks, of which there are many, come last.
fn operations() -> Vec<Offer> {
    let mut seen = BTreeSet::new();
    let all = FAMILIES.iter().flat_map(|family| family.operations.iter().map(move |one| (*family, one)));
    all.filter(|(_, one)| seen.insert(one.name))
        .map(|(family, one)| operation(family, one).rank(if family.one == BACKBONES.one { 20 } else { 2 }))
        .collect()
}

impl Slot {
    /// May an operation of its family stand here? A network has only some of the weights.
    fn takes_operation(self, family: &Family, one: &Operation) -> bool {
        let network = match self {
            Self::Parameter(network, _) if family.one == WEIGHTS.one => Backbone::named(network.name),
            Self::Parameter(..) | Self::Setting(..) => None,
        };
        let is_word = one.parameters.is_empty() && one.name != "none";
        network.is_none_or(|network| !is_word || network.card().words().contains(&one.name))
    }
}

/// Words and flags that a slot takes.
fn words(slot: Slot) -> Vec<Offer> {
    let words: &[&str] = match slot.takes() {
        Takes::Word(words) => words,
        Takes::Flag => &["true", "false"],
        Takes::Shaped(_) if slot.name() == "class_weights" => &["balanced", "none"],
        _ => &[],
    };
    let about = self::slot(slot).docs;
    words
        .iter()
        .map(|word| Offer::new(word, CompletionItemKind::EnumMember, slot.name(), about.clone()).rank(1))
        .collect()
}

/// The bracket or quote with which a value of this kind starts.
fn starts(slot: Slot, in_list: bool) -> Vec<Offer> {
    let about = self::slot(slot).docs;
    let offer = |name: &str, snippet: &str, detail: &str| {
        Offer::new(name, CompletionItemKind::Snippet, detail, about.clone()).snippet(snippet).rank(3)
    };
    match slot.takes() {
        Takes::Column => vec![offer("`...`", "`${1}`", "a column of the table")],
        Takes::Text => vec![offer("\"...\"", "\"${1}\"", "a text")],
        Takes::Path => vec![offer("\"...\"", "\"${1}\"", "a path")],
        Takes::Operations(_) if !in_list => vec![offer("[...]", "[${0}]", "a list")],
        Takes::Shaped(_) => match slot.name() {
            "group" | "keep" => vec![offer("`...`", "`${1}`", "a column of the table")],
            "classes" if !in_list => vec![offer("[...]", "[\"${1}\"]", "a list of classes")],
            "limit" | "class_weights" => vec![offer("{...}", "{ \"${1:class}\" = ${2:1} }", "a number a class")],
            "merge" => vec![offer("{...}", "{ ${1:new} = [\"${2:old}\"] }", "what a new class takes in")],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// A name of the file: what defines it.
pub(super) fn definition(definition: &Definition, page: &str) -> Offer {
    let (word, kind) = match definition.kind {
        Kind::Let => ("let", CompletionItemKind::Variable),
        Kind::Param => ("param", CompletionItemKind::Constant),
        Kind::Alias | Kind::Import => ("use", CompletionItemKind::Module),
        Kind::Study => ("study", CompletionItemKind::Struct),
        Kind::Run => ("run", CompletionItemKind::Struct),
    };
    let whole = page.get(definition.whole.range()).unwrap_or("");
    let shown = match definition.kind {
        Kind::Let | Kind::Param | Kind::Alias | Kind::Import => whole,
        Kind::Study | Kind::Run => whole.lines().next().unwrap_or("").trim_end_matches(['{', ' ']),
    };
    let comment = comment_above(page, definition.whole.range().start);
    let docs = format!("```pipe\n{shown}\n```{}{comment}", if comment.is_empty() { "" } else { "\n" });
    Offer::new(&definition.name.text, kind, word, docs)
}

/// The comment lines directly above a place.
fn comment_above(page: &str, at: usize) -> String {
    let before = page.get(..at).unwrap_or("");
    let mut lines: Vec<&str> = Vec::new();
    let above = before.lines().rev().skip(usize::from(!before.ends_with('\n') && !before.is_empty()));
    for line in above {
        match line.trim_start().strip_prefix('#') {
            Some(comment) => lines.push(comment.trim()),
            None => break,
        }
    }
    lines.reverse();
    lines.join("\n")
}

/// The sign that outlines show for a definition.
pub(super) fn symbol(kind: Kind) -> SymbolKind {
    match kind {
        Kind::Let => SymbolKind::Variable,
        Kind::Param => SymbolKind::Constant,
        Kind::Alias | Kind::Import => SymbolKind::Module,
        Kind::Study => SymbolKind::Class,
        Kind::Run => SymbolKind::Namespace,
    }
}

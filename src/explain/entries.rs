//! Blocks, settings, operations and families of the catalog become text for a terminal.

use std::fmt::Write as _;

use super::takers;
use crate::catalog::backbones::{Backbone, Card};
use crate::catalog::keywords::Keyword;
use crate::catalog::{Block, Default, Family, Operation, Parameter, Setting, describe};

/// Columns of a page.
const WIDTH: usize = 100;

/// Words in lines of at most [`WIDTH`] columns; lines after the first begin with blanks.
pub(super) fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > indent && column + 1 + width > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out
}

/// `  name      text`, wrapped.
fn row(out: &mut String, name: &str, width: usize, text: &str) {
    let _ = writeln!(out, "  {name:<width$}  {}", wrapped(text, width + 4));
}

/// A block with all its settings.
#[must_use]
pub fn block(block: &Block) -> String {
    let mut out = format!("{}\n\n  {}\n\n", block.name, block.about);
    let width = block.settings.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
    for setting in block.settings {
        row(&mut out, setting.name, width, setting.about);
        row(&mut out, "", width, &describe::takes(&setting.takes));
        row(&mut out, "", width, &default_in_words(setting));
    }
    later(&mut out, block.later);
    out
}

fn default_in_words(setting: &Setting) -> String {
    if setting.default.is_empty() { "no default".to_owned() } else { format!("default: {}", setting.default) }
}

fn later(out: &mut String, names: &[&str]) {
    if !names.is_empty() {
        let text = format!("  Known, but not run by this version: {}", names.join(", "));
        let _ = writeln!(out, "\n  {}", wrapped(&text, 2));
    }
}

/// One setting: what it takes, and each operation it may be.
#[must_use]
pub fn setting(block: &Block, setting: &Setting) -> String {
    let path = if block.name == "study" { setting.name.to_owned() } else { format!("{}.{}", block.name, setting.name) };
    let mut out = format!("{path}\n\n  {}\n\n", setting.about);
    row(&mut out, "takes", 7, &describe::takes(&setting.takes));
    row(&mut out, "default", 7, if setting.default.is_empty() { "none: it must be written" } else { setting.default });
    let _ = writeln!(out);
    if let Some(family) = setting.takes.family() {
        operations(&mut out, family);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn operations(out: &mut String, family: &Family) {
    let width = family.names().map(str::len).max().unwrap_or(0);
    for one in family.operations {
        row(out, one.name, width, one.about);
    }
    later(out, family.later);
}

/// A family with all its operations.
#[must_use]
pub fn family(family: &Family) -> String {
    let mut out = format!("{}\n\n", family.many);
    operations(&mut out, family);
    let takers = takers(family);
    if !takers.is_empty() {
        let _ = writeln!(out, "\n  taken by {}", takers.join(", "));
    }
    out
}

/// An operation: how it is called, its parameters, where its formula comes from, examples.
#[must_use]
pub fn operation(family: &Family, one: &Operation) -> String {
    let article = describe::article(family.one);
    let takers = takers(family);
    let of = if takers.is_empty() { String::new() } else { format!(" ({})", takers.join(", ")) };
    let mut out = format!("{}: {article} {}{of}\n\n  {}\n\n", one.name, family.one, wrapped(one.about, 2));
    let width = one.parameters.iter().map(|parameter| parameter.name.len()).max().unwrap_or(0).max(8);
    for parameter in one.parameters {
        let text =
            format!("{}: {}; {}", parameter.about, describe::takes(&parameter.takes), parameter_default(parameter));
        row(&mut out, parameter.name, width, &text);
    }
    if !one.parameters.is_empty() {
        out.push('\n');
    }
    later_arguments(&mut out, one.later);
    if !one.source.is_empty() {
        row(&mut out, "source", width, one.source);
    }
    if let Some(backbone) = Backbone::named(one.name).filter(|_| family.one == "backbone") {
        out.push_str(&card(backbone.card()));
    }
    for (at, example) in one.examples.iter().enumerate() {
        row(&mut out, if at == 0 { "examples" } else { "" }, width, example);
    }
    out
}

fn parameter_default(parameter: &Parameter) -> String {
    match parameter.default {
        Default::Required => "required".to_owned(),
        Default::Absent => "may be left out".to_owned(),
        Default::Number(_) | Default::Flag(_) | Default::Word(_) => {
            format!("default {}", describe::default(parameter).unwrap_or_default())
        }
    }
}

/// One parameter of an operation.
#[must_use]
pub fn parameter(of: &Operation, one: &Parameter) -> String {
    let mut out = format!("{}.{}: an argument, {}\n\n  {}\n\n", of.name, one.name, parameter_default(one), one.about);
    row(&mut out, "takes", 7, &describe::takes(&one.takes));
    row(&mut out, "of", 7, &describe::signature(of));
    out
}

/// A word of the language itself; `kind` says what it is.
#[must_use]
pub fn keyword(kind: &str, one: &Keyword) -> String {
    let mut out = format!("{}: {kind}\n\n  {}\n\n", one.name, one.about);
    row(&mut out, "example", 7, one.example);
    out
}

/// Where a word is one of the values that may be written.
#[must_use]
pub fn value(word: &str, places: &[String]) -> String {
    format!("{word}\n\n  a value of: {}\n", wrapped(&places.join(", "), 14))
}

fn later_arguments(out: &mut String, names: &[&str]) {
    if !names.is_empty() {
        let _ = writeln!(out, "  arguments known, but not run by this version: {}\n", names.join(", "));
    }
}

/// Every backbone this version runs, with what its card says.
#[must_use]
pub fn backbones() -> String {
    let mut out = String::from("backbones\n\n");
    let all: Vec<&Card> = Backbone::all().map(Backbone::card).collect();
    let width = all.iter().map(|card| card.name.len()).max().unwrap_or(0);
    let _ = writeln!(out, "  {:<width$}  {:>9}  {:>7}  {:>6}  {:>4}  weights", "name", "params", "GMACs", "MB", "side");
    for card in all {
        let weights: Vec<String> = card.words().into_iter().map(|word| preferred(card, word)).collect();
        let weights = if weights.is_empty() { "-".to_owned() } else { weights.join(", ") };
        let side = card.input.side;
        let (millions, megabytes) = size(card);
        let _ = writeln!(
            out,
            "  {:<width$}  {millions:>7.2} M  {:>7.2}  {megabytes:>6.0}  {side:>4}  {weights}",
            card.name, card.gmacs
        );
    }
    out.push_str(
        "\n  params with a head of 1000 classes; GMACs: 10^9 multiply-adds of one image of this side, two GFLOPs each;\n  MB: \
         weights in f32; weights: per cent of ImageNet's validation images named first, as timm's table states it, and licence\n",
    );
    out
}

/// A word for weights with the accuracy and the licence of those it means.
fn preferred(card: &Card, word: &str) -> String {
    let Some(one) = card.pretrained(word).next() else { return word.to_owned() };
    let top1 = one.top1.map_or(String::new(), |top1| format!("{top1} %, "));
    format!("{word} ({top1}{})", one.licence)
}

/// Millions of parameters, and megabytes of them.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn size(card: &Card) -> (f64, f64) {
    (card.parameters as f64 / 1e6, card.parameters as f64 * 4.0 / 1e6)
}

/// What is known of a backbone beyond its call.
fn card(card: &Card) -> String {
    let (millions, megabytes) = size(card);
    let mut out = String::new();
    row(
        &mut out,
        "size",
        8,
        &format!("{millions:.2} million parameters, {megabytes:.0} MB, {:.2} GMACs an image", card.gmacs),
    );
    row(&mut out, "features", 8, &card.features.to_string());
    let smallest = card.smallest_side;
    row(&mut out, "images", 8, &format!("side {} as trained, at least {smallest}", card.input.side));
    row(&mut out, "timm", 8, card.timm);
    for one in card.weights {
        let top1 = one.top1.map_or(String::new(), |top1| format!(", {top1} % top-1"));
        let normalize = serde_json::to_value(one.input.normalize).ok();
        let normalize = normalize.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
        let text = format!(
            "{}: {} (side {}, normalize({normalize}){top1}; {})",
            one.word, one.tag, one.input.side, one.licence
        );
        row(&mut out, "weights", 8, &text);
    }
    out
}

//! The `TextMate` grammar names the words, units and types of the language, all of them and no others.

use pipe::catalog::keywords::{KEYWORDS, Keyword, TYPES, UNITS};
use serde_json::Value;

use super::cli::root;

fn grammar() -> Value {
    let path = root().join("grammar/vscode/syntaxes/pipe.tmLanguage.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Every pattern below a value, as `(scope, expression)`, its own scope or that of its captures.
fn patterns(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            let scope = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            for key in ["match", "begin", "end"] {
                if let Some(expression) = fields.get(key).and_then(Value::as_str) {
                    found.push((scope.clone(), expression.to_owned()));
                }
            }
            fields.values().for_each(|inner| patterns(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| patterns(inner, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The alternatives of the first group of an expression that starts so.
fn alternatives(expression: &str, start: &str) -> Vec<String> {
    let inside = expression.split(start).nth(1).and_then(|rest| rest.split(')').next());
    inside.map(|words| words.split('|').map(str::to_owned).collect()).unwrap_or_default()
}

fn sorted(words: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    let mut words: Vec<String> = words.into_iter().map(Into::into).collect();
    words.sort();
    words.dedup();
    words
}

fn names(words: &[Keyword]) -> Vec<String> {
    sorted(words.iter().map(|word| word.name))
}

#[test]
fn highlighting_knows_every_reserved_word_and_no_other() {
    let grammar = grammar();
    let mut found = Vec::new();
    patterns(&grammar["repository"]["keyword"], &mut found);
    let words = found.iter().flat_map(|(_, expression)| {
        let inside = expression.trim_start_matches("\\b").trim_end_matches("\\b");
        inside.trim_start_matches("(?:").trim_end_matches(')').split('|').map(str::to_owned).collect::<Vec<_>>()
    });
    let mut reserved = names(KEYWORDS);
    reserved.retain(|word| word != "pipe");
    assert_eq!(sorted(words), reserved);
    // a block cannot be called by any of them
    let block = grammar["repository"]["block"]["begin"].as_str().unwrap();
    assert_eq!(sorted(alternatives(block, "(?!(?:")), reserved);
}

#[test]
fn highlighting_knows_every_unit_and_type() {
    let grammar = grammar();
    let quantity = grammar["repository"]["quantity"]["match"].as_str().unwrap();
    let mut units = alternatives(quantity, "(%|(?:");
    // longer units must be tried first: `min` before `m`, `epochs` before `epoch`
    for (at, unit) in units.iter().enumerate() {
        assert!(!units[at + 1..].iter().any(|later| later.starts_with(unit.as_str())), "{unit} hides a longer unit");
    }
    units.push("%".to_owned());
    assert_eq!(sorted(units), names(UNITS));
    let param = grammar["repository"]["param"]["begin"].as_str().unwrap();
    assert_eq!(sorted(alternatives(param, "(:)\\s*(")), names(TYPES));
    let argument = grammar["repository"]["param"]["patterns"][1]["match"].as_str().unwrap();
    assert_eq!(sorted(alternatives(argument, "(\\[)\\s*(")), names(TYPES));
}

#[test]
fn the_extension_names_files_that_are_there() {
    let folder = root().join("grammar/vscode");
    let read =
        |name: &str| -> Value { serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap() };
    let package = read("package.json");
    let contributes = &package["contributes"];
    for path in [&package["main"], &contributes["languages"][0]["configuration"], &contributes["grammars"][0]["path"]] {
        assert!(folder.join(path.as_str().unwrap()).is_file(), "{path}");
    }
    assert_eq!(contributes["grammars"][0]["scopeName"], grammar()["scopeName"]);
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    read("language-configuration.json");
    let client = std::fs::read_to_string(folder.join("client.js")).unwrap();
    for setting in contributes["configuration"]["properties"].as_object().unwrap().keys() {
        let own = setting.strip_prefix("pipe.").unwrap();
        // the client library itself reads what is traced
        assert!(own == "trace.server" || client.contains(&format!("\"{own}\"")), "nobody reads {setting}");
    }
}

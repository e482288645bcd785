//! What trees come out, how far recovery reaches, and where places are.

use super::ast::{BinaryOperator, Entry, Expr, ExprKind, Item, Setting, TextPart, Unit};
use super::{Parsed, parse, parse_value, read};
use crate::diag::{Code, Problems};
use crate::source::{FileId, SourceMap};

fn file() -> FileId {
    SourceMap::new().add("test.pipe", None, "")
}

fn value(text: &str) -> Expr {
    let (value, problems) = parse_value(file(), 0, text);
    assert!(problems.is_empty(), "{text}: {problems:?}");
    value
}

/// A value with brackets around everything that hangs together.
fn shape(value: &Expr) -> String {
    let infix = |sign: &str, left: &Expr, right: &Expr| format!("({} {sign} {})", shape(left), shape(right));
    match &value.kind {
        ExprKind::Number(number) => format!("{}{}", number.value, number.unit.map_or("", |_| "u")),
        ExprKind::Text(text) => format!("{:?}", text.plain().unwrap_or_else(|| "holes".into())),
        ExprKind::Column(name) => format!("`{name}`"),
        ExprKind::Bool(truth) => truth.to_string(),
        ExprKind::Name(name) => name.clone(),
        ExprKind::List(values) => format!("[{}]", values.iter().map(shape).collect::<Vec<_>>().join(", ")),
        ExprKind::Record(fields) => {
            let fields = fields.iter().map(|field| format!("{} = {}", field.name.text, shape(&field.value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        ExprKind::Call { callee, arguments } => {
            let arguments = arguments.iter().map(|a| match &a.name {
                Some(name) => format!("{} = {}", name.text, shape(&a.value)),
                None => shape(&a.value),
            });
            format!("{}({})", shape(callee), arguments.collect::<Vec<_>>().join(", "))
        }
        ExprKind::Member { of, name } => format!("{}.{}", shape(of), name.text),
        ExprKind::Negate(of) => format!("(-{})", shape(of)),
        ExprKind::Not(of) => format!("(not {})", shape(of)),
        ExprKind::Binary { operator, left, right } => {
            let sign = match operator {
                BinaryOperator::Add => "+",
                BinaryOperator::Subtract => "-",
                BinaryOperator::Multiply => "*",
                BinaryOperator::Divide => "/",
                BinaryOperator::And => "and",
                BinaryOperator::Or => "or",
                BinaryOperator::Equal => "==",
                BinaryOperator::NotEqual => "!=",
                BinaryOperator::Less => "<",
                BinaryOperator::LessEqual => "<=",
                BinaryOperator::Greater => ">",
                BinaryOperator::GreaterEqual => ">=",
            };
            infix(sign, left, right)
        }
        ExprKind::In { item, set, negated } => infix(if *negated { "not in" } else { "in" }, item, set),
        ExprKind::Range { start, end, inclusive } => infix(if *inclusive { "..=" } else { ".." }, start, end),
        ExprKind::If { condition, then, otherwise } => {
            format!("(if {} then {} else {})", shape(condition), shape(then), shape(otherwise))
        }
        ExprKind::Error => "?".to_owned(),
    }
}

fn codes(problems: &Problems) -> Vec<Code> {
    problems.sorted().iter().map(|problem| problem.code).collect()
}

fn settings(parsed: &Parsed) -> Vec<(String, String)> {
    fn collect(entries: &[Entry], into: &mut Vec<(String, String)>) {
        for entry in entries {
            match entry {
                Entry::Setting(Setting { path, value, .. }) | Entry::Vary(Setting { path, value, .. }) => {
                    let names: Vec<&str> = path.names.iter().map(|name| name.text.as_str()).collect();
                    into.push((names.join("."), shape(value)));
                }
                Entry::Block(block) => collect(&block.entries, into),
                Entry::Let(binding) => into.push((binding.name.text.clone(), shape(&binding.value))),
                Entry::Error(_) => into.push(("?".to_owned(), "?".to_owned())),
            }
        }
    }
    let mut found = Vec::new();
    for item in &parsed.file.items {
        if let Item::Block(block) = item {
            collect(&block.entries, &mut found);
        }
    }
    found
}

fn body(text: &str) -> Parsed {
    parse(file(), &format!("pipe \"2026\"\nstudy s {{\n{text}\n}}\n"))
}

#[test]
fn operators_bind_as_in_mathematics() {
    for (text, expected) in [
        ("0.6 * focal() + 0.4 * f1", "((0.6 * focal()) + (0.4 * f1))"),
        ("1 - 2 - 3", "((1 - 2) - 3)"),
        ("1 / 2 * 3", "((1 / 2) * 3)"),
        ("-a * b", "((-a) * b)"),
        ("(1 + 2) * 3", "((1 + 2) * 3)"),
        ("a or b and not c == d", "(a or (b and (not (c == d))))"),
        ("`Age` in 16..=100 and `View` in [\"PA\"]", "((`Age` in (16 ..= 100)) and (`View` in [\"PA\"]))"),
        ("a not in 1 + 1..3 * 2", "(a not in ((1 + 1) .. (3 * 2)))"),
        ("if a < 1 then b else if c then d else e", "(if (a < 1) then b else (if c then d else e))"),
        ("lab.ce(x, s = 1).b", "lab.ce(x, s = 1).b"),
        ("a\n  + b\n\n  # comment\n  * c", "(a + (b * c))"),
        ("[1,\n 2,\n]", "[1, 2]"),
        ("{ a = 1, \"b c\" = [2]\n d = 3 }", "{a = 1, b c = [2], d = 3}"),
        ("f(\n  a =\n 1,\n)", "f(a = 1)"),
        ("not true", "(not true)"),
        ("nothing", "nothing"),
    ] {
        assert_eq!(shape(&value(text)), expected, "{text}");
    }
}

#[test]
fn numbers_keep_their_value_and_unit() {
    let cases: [(&str, f64, bool, Option<Unit>); 9] = [
        ("10_000", 10_000.0, true, None),
        ("3e-4", 3e-4, false, None),
        ("1.5", 1.5, false, None),
        ("20%", 20.0, true, Some(Unit::Percent)),
        ("1epoch", 1.0, true, Some(Unit::Epochs)),
        ("10deg", 10.0, true, Some(Unit::Degrees)),
        ("24GiB", 24.0, true, Some(Unit::GiB)),
        ("0.5h", 0.5, false, Some(Unit::Hours)),
        ("15min", 15.0, true, Some(Unit::Minutes)),
    ];
    for (text, expected, integer, unit) in cases {
        let ExprKind::Number(number) = value(text).kind else { panic!("{text} is no number") };
        assert!((number.value - expected).abs() < 1e-12, "{text}");
        assert_eq!((number.integer, number.unit), (integer, unit), "{text}");
    }
}

#[test]
fn texts_replace_escapes_and_hold_values() {
    let ExprKind::Text(text) = value(r#""a\"\\\n\t\$ # ${root}/x""#).kind else { panic!("no text") };
    let [TextPart::Plain(before), TextPart::Hole(hole), TextPart::Plain(after)] = &text.parts[..] else {
        panic!("{:?}", text.parts)
    };
    assert_eq!((before.as_str(), shape(hole).as_str(), after.as_str()), ("a\"\\\n\t$ # ", "root", "/x"));
    assert_eq!(value("\"\"").kind, ExprKind::Text(super::ast::Text { parts: vec![], span: value("\"\"").span }));
}

#[test]
fn places_are_those_of_the_written_text() {
    let text = "pipe \"2026\"\r\nstudy s { # é\r\n  lr = f(“a”, 3) # end\r\n  x = [1]\r\n}\r\n";
    let parsed = parse(file(), text);
    let Some(Item::Block(block)) = parsed.file.items.first() else { panic!("no block") };
    assert!(text[block.span.range()].starts_with("study s {") && text[block.span.range()].ends_with('}'));
    let Some(Entry::Setting(lr)) = block.entries.first() else { panic!("no setting") };
    assert_eq!(&text[lr.span.range()], "lr = f(“a”, 3)");
    assert_eq!(&text[lr.value.span.range()], "f(“a”, 3)");
    assert_eq!(shape(&lr.value), "f(\"a\", 3)");
    let Some(Entry::Setting(x)) = block.entries.get(1) else { panic!("no second setting") };
    assert_eq!(&text[x.value.span.range()], "[1]");
}

#[test]
fn places_after_inserted_brackets_are_right() {
    let text = "pipe \"2026\"\nstudy s {\n  a = f(1\n  b = [2]\n}\n";
    let parsed = parse(file(), text);
    assert_eq!(codes(&parsed.problems), [Code::E0003]);
    let Some(Item::Block(block)) = parsed.file.items.first() else { panic!("no block") };
    let Some(Entry::Setting(b)) = block.entries.get(1) else { panic!("{block:?}") };
    assert_eq!(&text[b.span.range()], "b = [2]");
    assert_eq!(settings(&parsed), [("a".into(), "f(1)".into()), ("b".into(), "[2]".into())]);
}

#[test]
fn a_value_of_the_command_line_points_into_its_source() {
    let mut map = SourceMap::new();
    let file = map.add("--set", None, "epochs=5 @");
    let (value, problems) = parse_value(file, 7, "5 @");
    assert_eq!(value.kind, ExprKind::Error);
    let problem = problems.sorted()[0].clone();
    assert_eq!((problem.code, map.slice(problem.labels[0].span)), (Code::E0006, "@"));
    let (value, problems) = parse_value(file, 7, "5");
    assert!(problems.is_empty());
    assert_eq!(map.slice(value.span), "5");
    assert_eq!(codes(&parse_value(file, 0, "").1), [Code::E0002]);
    assert_eq!(codes(&parse_value(file, 0, "[1").1), [Code::E0003]);
}

#[test]
fn what_stands_around_a_mistake_is_kept() {
    for (text, code, kept) in [
        ("a = [1, @, 3]", Code::E0006, vec![("a", "[1, ?, 3]")]),
        ("a = [1 2]", Code::E0006, vec![("a", "[1, 2]")]),
        ("a = f(b = 1 epoch, c)", Code::E0006, vec![("a", "f(b = 1u, c)")]),
        ("a = f(1, x = , z = 2)", Code::E0002, vec![("a", "f(1, x = ?, z = 2)")]),
        ("a =\nb = 2", Code::E0002, vec![("a", "?"), ("b", "2")]),
        ("a: 1\nb = 2", Code::E0004, vec![("a", "1"), ("b", "2")]),
        ("a = 1; b = 2", Code::E0005, vec![("a", "1"), ("b", "2")]),
        ("a = True\nb = 2", Code::E0005, vec![("a", "true"), ("b", "2")]),
        ("a = 'x'\nb = 2", Code::E0005, vec![("a", "\"x\""), ("b", "2")]),
        ("a = \"x\nb = 2", Code::E0003, vec![("a", "\"x\""), ("b", "2")]),
        ("a = f(g(1)\nb = 2", Code::E0003, vec![("a", "f(g(1))"), ("b", "2")]),
        ("a = [f(1]\nb = 2", Code::E0003, vec![("a", "[f(1)]"), ("b", "2")]),
        ("a = f(1))\nb = 2", Code::E0003, vec![("a", "f(1)"), ("b", "2")]),
        ("a = f(1]\nb = 2", Code::E0003, vec![("a", "f(1)"), ("b", "2")]),
        ("d {\n  a = 1\ne { b = 2 }", Code::E0003, vec![("a", "1"), ("b", "2")]),
        ("d x-y {\n  a = 1\n}\nb = 2", Code::E0006, vec![("a", "1"), ("b", "2")]),
        ("a = { x = 1, @, y = 2 }", Code::E0006, vec![("a", "{x = 1, y = 2}")]),
        ("??\nb = 2", Code::E0006, vec![("?", "?"), ("b", "2")]),
    ] {
        let parsed = body(text);
        assert_eq!(codes(&parsed.problems), [code], "{text}: {:?}", parsed.problems);
        let kept: Vec<(String, String)> = kept.into_iter().map(|(a, b)| (a.into(), b.into())).collect();
        assert_eq!(settings(&parsed), kept, "{text}");
    }
}

#[test]
fn a_fix_mends_its_mistake() {
    for text in [
        "study a { }",
        "pipe 2026\nstudy a { }",
        "pipe \"2026\"\nlet a = [1, f(2]",
        "pipe \"2026\"\nlet a: 3",
        "pipe \"2026\"\nlet a = “x”",
        "pipe \"2026\"\nlet a = 'x'",
        "pipe \"2026\"\nlet a = True",
        "pipe \"2026\"\nstudy a { b = 1; c = 2 }",
        "pipe \"2026\"\nlet a = \"x\ty\"",
        "pipe \"2026\"\nlet a = b&&c",
        "pipe \"2026\"\nlet a = 3 // note",
        "pipe \"2026\"\nlet a = [1 2]",
        "pipe \"2026\"\nlet a = 3 epochs",
        "pipe \"2026\"\nlet a = \"x",
        "pipe \"2026\"\nlet a = `x",
        "pipe \"2026\"\nlet a = \"${x/y\"",
        "pipe \"2026\"\nlet a = \"C:\\data\"",
        "pipe \"2026\"\nstudy a\n{ }",
        "pipe \"2026\"\nstudy a {\n  b:\n    - c\n    - d\n}",
        "pipe \"2026\"\nstudy a { b { } c { } }",
    ] {
        let problems = parse(file(), text).problems;
        assert!(problems.has_errors(), "{text}");
        let mut edits: Vec<_> = problems.sorted().into_iter().flat_map(|problem| problem.fixes.clone()).collect();
        edits.sort_by_key(|edit| std::cmp::Reverse(edit.span));
        let mut mended = text.to_owned();
        for edit in edits {
            mended.replace_range(edit.span.range(), &edit.text);
        }
        let left = parse(file(), &mended).problems;
        assert!(left.is_empty(), "{text}\nmended to\n{mended}\n{left:?}");
    }
}

#[test]
fn seven_mistakes_give_seven_problems() {
    let text = "pipe \"2026\"\n\nstudy seven {\n  data {\n    table = csv(“labels.csv”)\n    group: `patient`\n  }\n  train {\n    \
                lr =\n    epochs = 3 epochs\n    batch = 32;\n    weighted = True\n  }\n  images {\n    \
                augment = [flip(h), rotate(10deg]\n  }\n}\n";
    let mut map = SourceMap::new();
    let (file, parsed) = read(&mut map, "seven.pipe", None, text.as_bytes());
    let found: Vec<(Code, usize)> = parsed
        .problems
        .sorted()
        .iter()
        .map(|problem| (problem.code, map.line_column(file, problem.labels[0].span.range().start).line))
        .collect();
    let expected = [
        (Code::E0005, 5),
        (Code::E0004, 6),
        (Code::E0002, 9),
        (Code::E0006, 10),
        (Code::E0005, 11),
        (Code::E0005, 12),
        (Code::E0003, 15),
    ];
    assert_eq!(found, expected);
}

#[test]
fn hostile_nesting_is_answered_at_once() {
    let start = std::time::Instant::now();
    let deep =
        |open: &str, n: usize, close: &str| format!("pipe \"2026\"\nlet a = {}1{}\n", open.repeat(n), close.repeat(n));
    for text in [
        deep("f(", 60, ")"),
        deep("f(", 60, ""),
        deep("[", 60, "]"),
        deep("[", 60, ""),
        deep("f(1 @ ", 60, ")"),
        deep("f(a = ", 60, " b @)"),
        deep("(", 60, " @)"),
        deep("{ a = ", 60, " @ }"),
        deep("\"${", 30, " x}\""),
        deep("not ", 200, ""),
        deep("- ", 200, ""),
        deep("if a then b else ", 80, ""),
    ] {
        assert_eq!(parse(file(), &text).file.items.len(), 1, "{text}");
    }
    let blocks = format!("pipe \"2026\"\n{}{}", "a {\n".repeat(60), " x } b\n".repeat(60));
    assert!(parse(file(), &blocks).problems.has(Code::E0006));
    for text in [
        deep("f(", 65, ")"),
        deep("[", 1_000_000, ""),
        deep("if a then b else ", 10_000, ""),
        deep("1 + ", 10_000, ""),
        deep("a.", 10_000, ""),
        deep("- ", 10_000, ""),
    ] {
        assert_eq!(codes(&parse(file(), &text).problems), [Code::E0007]);
    }
    assert!(parse(file(), &"@\n".repeat(200_000)).problems.has(Code::E0006));
    assert!(start.elapsed().as_secs() < 60, "took {:?}", start.elapsed());
}

#[test]
fn a_long_file_is_parsed_in_a_blink() {
    let study = "  train {\n    loss = 0.6 * focal(gamma = 2.0, smoothing = 0.05) + 0.4 * soft_f1()\n    batch = [1, 2, 3]\n  }\n";
    let text = format!("pipe \"2026\"\nstudy a {{\n{}}}\n", study.repeat(125));
    let best = (0..5)
        .map(|_| {
            let start = std::time::Instant::now();
            assert!(parse(file(), &text).problems.is_empty());
            start.elapsed()
        })
        .min();
    assert!(best.unwrap_or_default().as_millis() < 200, "500 lines took {best:?} without optimisation");
}

#[test]
fn what_is_being_typed_leaves_the_rest_in_its_place() {
    for start in
        ["study s {\n  data {\n    table = phantoms()\n    image = file(`", "study s {\n  data {\n    table = csv(\""]
    {
        let text = format!("pipe \"2026\"\n{start}");
        let parsed = parse(file(), &text);
        let [Item::Block(study)] = parsed.file.items.as_slice() else { panic!("{start}: {:#?}", parsed.file.items) };
        let [Entry::Block(data)] = study.entries.as_slice() else { panic!("{start}: {:#?}", study.entries) };
        assert!(matches!(data.entries.first(), Some(Entry::Setting(table)) if table.path.names[0].text == "table"));
        assert_eq!(parsed.problems.sorted().iter().filter(|problem| problem.code != Code::E0003).count(), 0);
    }
}

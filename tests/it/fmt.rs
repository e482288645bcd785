//! The canonical layout: it is stable, it changes no meaning, and everything we ship has it.

use std::fs;
use std::path::{Path, PathBuf};

use pipe::check::{Overrides, check_source};
use pipe::host::RealHost;
use pipe::source::{FileId, SourceMap};
use pipe::syntax::{self, ast};

use crate::cli::{TINY, command, pipe, root};
use crate::corpus::{folder, programs};
use crate::mutants::{Draws, damaged};

fn file() -> FileId {
    SourceMap::new().add("test.pipe", None, "")
}

fn laid_out(text: &str) -> String {
    syntax::format(file(), text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

/// A tree without its places.
fn meaning(tree: &ast::File) -> String {
    let mut out = String::new();
    let shown = format!("{tree:?}");
    let mut rest = shown.as_str();
    while let Some(at) = rest.find("Span {") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = rest.find('}').map_or("", |end| &rest[end + 1..]);
    }
    out + rest
}

/// Printing twice gives what printing once gives, and the tree stays.
fn holds(text: &str) -> bool {
    let before = syntax::parse(file(), text);
    let Ok(printed) = syntax::format(file(), text) else {
        assert!(!before.problems.is_empty(), "refused without a problem:\n{text}");
        return false;
    };
    let after = syntax::parse(file(), &printed);
    assert!(after.problems.is_empty(), "{:?}\nof\n{text}\nbecame\n{printed}", after.problems);
    assert_eq!(meaning(&before.file), meaning(&after.file), "{text}\nbecame\n{printed}");
    assert_eq!(comments(text), comments(&printed), "{text}\nbecame\n{printed}");
    assert_eq!(laid_out(&printed), printed, "not stable:\n{text}");
    true
}

/// How many characters stand in comments, seen without the formatter: `#` outside of texts and columns.
fn comments(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines().flat_map(|line| line.split('\r')) {
        let (mut quote, mut escaped, mut holes) = (None, false, 0_usize);
        for (at, c) in line.char_indices() {
            match quote {
                None if c == '#' => {
                    found.push(line[at..].trim_end().to_owned());
                    break;
                }
                None if c == '"' || c == '`' => quote = Some(c),
                Some('"') if line[at..].starts_with("${") && !escaped => holes += 1,
                Some('"') if holes > 0 => holes -= usize::from(c == '}'),
                Some('"') if escaped => escaped = false,
                Some('"') if c == '\\' => escaped = true,
                Some(open) if c == open => quote = None,
                // texts in holes in texts are left to the parser
                None | Some(_) => {}
            }
        }
    }
    found
}

fn shipped() -> Vec<PathBuf> {
    [root().join("pipelines"), root().join("examples"), folder("good")].iter().flat_map(|at| programs(at)).collect()
}

#[test]
fn everything_we_ship_is_laid_out() {
    let mut otherwise = Vec::new();
    for path in shipped() {
        let text = fs::read_to_string(&path).unwrap();
        if laid_out(&text) != text {
            otherwise.push(path.display().to_string());
        }
    }
    assert!(otherwise.is_empty(), "run `pipe fmt` on {}", otherwise.join(" "));
}

#[test]
fn an_untidy_file_is_laid_out_as_stored() {
    let text = fs::read_to_string(folder("fmt").join("untidy.pipe")).unwrap();
    assert!(holds(&text));
    let kept = folder("fmt").join("untidy.txt");
    let now = laid_out(&text);
    if std::env::var_os("PIPE_UPDATE").is_some() {
        fs::write(&kept, &now).unwrap();
    }
    assert_eq!(fs::read_to_string(&kept).unwrap(), now);
}

#[test]
fn fmt_is_idempotent_and_keeps_meaning_in_every_program() {
    let mut held = 0;
    for folder in [folder("good"), folder("bad"), folder("set"), folder("syntax"), root().join("pipelines")] {
        for path in programs(&folder) {
            held += usize::from(fs::read_to_string(path).is_ok_and(|text| holds(&text)));
        }
    }
    assert!(held > 50, "{held}");
}

#[test]
fn fmt_is_idempotent_and_keeps_meaning_in_mutants() {
    let paths = [shipped(), programs(&folder("syntax")), programs(&folder("fmt"))].concat();
    let texts: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let wanted = std::env::var("PIPE_MUTANTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_usize);
    let mut draws = Draws(0x5851_f42d_4c95_7f2d);
    let held = (0..wanted).filter(|_| admitted(&damaged(&texts, &mut draws)).is_some_and(|text| holds(&text))).count();
    assert!(held > wanted / 20, "only {held} of {wanted} mutants were still programs");
}

/// The text as the program would read it.
fn admitted(text: &str) -> Option<String> {
    let (text, refusals) = syntax::guard::admit(text.as_bytes());
    refusals.is_empty().then_some(text)
}

/// Blanks and line ends thrown in wherever the language allows them.
#[test]
fn layout_means_nothing() {
    for path in shipped() {
        let text = fs::read_to_string(&path).unwrap();
        let wide = text.replace(", ", "  ,   ").replace('(', "(  ").replace(" = ", "   =  ").replace('\n', "  \n\n\n");
        assert!(holds(&wide), "{}", path.display());
        let narrow: String = text.lines().map(|line| line.trim().to_owned() + "\n").collect();
        assert!(holds(&narrow), "{}", path.display());
        let carried = text.replace('\n', "\r\n");
        assert_eq!(laid_out(&carried), carried, "{}", path.display());
    }
}

#[test]
fn the_study_stays_the_same() {
    for path in shipped() {
        let text = fs::read_to_string(&path).unwrap();
        let base = path.parent().unwrap();
        let untidy: String = text.lines().flat_map(|line| ["   ", line, "\n"]).collect();
        let study = |text: &str| {
            let outcome = check_source(&RealHost, "a.pipe", text, base, &Overrides::default());
            format!(
                "{:?}",
                outcome.checked.map(|checked| checked
                    .variants
                    .into_iter()
                    .map(|variant| variant.study)
                    .collect::<Vec<_>>())
            )
        };
        assert_eq!(study(&untidy), study(&laid_out(&untidy)), "{}", path.display());
    }
}

#[test]
fn hostile_layout_does_not_grow_without_end() {
    let lists = format!("pipe \"2026\"\nlet a = {}{}{}\n", "[".repeat(60), "1,\n".repeat(20_000), "]".repeat(60));
    let names: Vec<String> = (0..2_000).map(|n| format!("{}{n} = 1 # x\n", "a".repeat(n % 400 + 1))).collect();
    let names = names.concat();
    let long = format!("pipe \"2026\"\nstudy s {{\n{names}}}\n");
    let sum = format!("pipe \"2026\"\nlet {} = 1{}\n", "a".repeat(100_000), "\n+ 1".repeat(200));
    for text in [lists, long, sum] {
        assert!(holds(&text));
        let grown = laid_out(&text).len();
        assert!(grown < 40 * text.len(), "{} bytes became {grown}", text.len());
    }
}

#[test]
fn fix_mends_what_a_problem_offers_to_mend() {
    let mended = |text: &str| syntax::mend(file(), text).map(|text| laid_out(&text));
    for (before, after) in [
        ("let a: 3", "let a = 3"),
        ("let a = “x”", "let a = \"x\""),
        ("let a = True", "let a = true"),
        ("let a = [1 2]", "let a = [1, 2]"),
        ("let a = [1, f(2]", "let a = [1, f(2)]"),
        ("let a = 3 epochs", "let a = 3epochs"),
        ("study a { b: 1; c := ‘x’ }", "study a {\n  b = 1\n  c = \"x\"\n}"),
        ("study a {\n  b:\n    - True\n    - 'd'\n}", "study a {\n  b = [true, \"d\"]\n}"),
    ] {
        let file = |text: &str| format!("pipe \"2026\"\n\n{text}\n");
        assert_eq!(mended(&file(before)).ok(), Some(file(after)), "{before}");
    }
    let (_, problems) = mended("pipe \"2026\"\nlet a: True\nlet b =\n").unwrap_err();
    assert!(problems.has_errors());
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    fs::write(folder.join(name), text).unwrap();
    text.to_owned()
}

#[test]
fn the_command_writes_checks_and_leaves_broken_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let untidy = TINY.replace("  ", "     ");
    written(at, "a.pipe", &untidy);
    written(at, "tidy.pipe", &laid_out(TINY));
    let broken = written(at, "broken.pipe", &untidy.replace("holdout = 20%", "holdout: 20%"));
    written(at, "hopeless.pipe", "pipe \"2026\"\nlet a: True\nlet b =\n");
    let told = pipe(at, &["fmt", "--check", "a.pipe", "tidy.pipe"]).ends(1);
    assert!(told.out.starts_with("a.pipe\n-") && !told.out.contains("tidy.pipe"), "{}", told.out);
    assert_eq!(fs::read_to_string(at.join("a.pipe")).unwrap(), untidy);

    let told = pipe(at, &["fmt", "."]).ends(1).says("E0002").says("a.pipe: laid out");
    assert!(told.err.contains("hopeless.pipe: left as it is"), "{}", told.err);
    assert_eq!(fs::read_to_string(at.join("a.pipe")).unwrap(), laid_out(TINY));
    assert_eq!(fs::read_to_string(at.join("broken.pipe")).unwrap(), broken);
    pipe(at, &["fmt", "--check", "a.pipe", "tidy.pipe"]).ends(0);

    let told = pipe(at, &["fmt", "--fix", "broken.pipe", "hopeless.pipe"]).ends(1).says("E0002");
    assert!(told.err.contains("hopeless.pipe: mended in part, not laid out; 1 error"), "{}", told.err);
    let partly = fs::read_to_string(at.join("hopeless.pipe")).unwrap();
    assert_eq!(partly, "pipe \"2026\"\nlet a = true\nlet b =\n");
    assert_eq!(fs::read_to_string(at.join("broken.pipe")).unwrap(), laid_out(TINY));
    pipe(at, &["fmt", "gone.pipe"]).ends(1).says("`gone.pipe` cannot be read");
    // what is not text is not written over, whatever is asked
    fs::write(at.join("binary.pipe"), b"pipe \"2026\"\nlet a: 1 # \xff\n").unwrap();
    pipe(at, &["fmt", "--fix", "binary.pipe"]).ends(1).says("E0007");
    assert_eq!(fs::read(at.join("binary.pipe")).unwrap(), b"pipe \"2026\"\nlet a: 1 # \xff\n");
}

#[test]
fn stdin_goes_to_stdout() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path(), &["fmt", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(TINY.replace("  ", " ").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), laid_out(TINY));
}

#[cfg(unix)]
#[test]
fn permissions_and_links_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    written(at, "real.pipe", &TINY.replace("  ", " "));
    fs::set_permissions(at.join("real.pipe"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.pipe", at.join("link.pipe")).unwrap();
    pipe(at, &["fmt", "link.pipe"]).ends(0);
    assert!(fs::symlink_metadata(at.join("link.pipe")).unwrap().is_symlink());
    assert_eq!(fs::metadata(at.join("real.pipe")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_to_string(at.join("real.pipe")).unwrap(), laid_out(TINY));
}

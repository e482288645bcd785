//! The language server from outside: a scripted client over stdio, against the real binary.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::cli::{command, root, table_study};

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// An editor.
struct Editor {
    server: Child,
    input: Option<ChildStdin>,
    inbox: Receiver<Value>,
    /// Notifications that came while something else was waited for.
    heard: VecDeque<Value>,
    next: i64,
    utf8: bool,
}

/// Reads messages until the end of the output.
fn listen(output: impl Read) -> impl Iterator<Item = Value> {
    let mut output = BufReader::new(output);
    std::iter::from_fn(move || {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if output.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            length = line.strip_prefix("Content-Length: ").unwrap().trim().parse().unwrap();
        }
        let mut body = vec![0; length];
        output.read_exact(&mut body).unwrap();
        let message: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(message["jsonrpc"], "2.0");
        Some(message)
    })
}

impl Editor {
    /// Starts a server without greeting it.
    fn start(folder: &Path) -> Self {
        let mut server = command(folder, &["lsp", "--stdio"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, inbox) = channel();
        let output = server.stdout.take().unwrap();
        std::thread::spawn(move || listen(output).for_each(|message| drop(sender.send(message))));
        let input = server.stdin.take();
        Self { server, input, inbox, heard: VecDeque::new(), next: 0, utf8: false }
    }

    /// Starts a server and greets it, with what this client can.
    fn greeted(folder: &Path, encodings: &[&str]) -> (Self, Value) {
        let mut editor = Self::start(folder);
        let capabilities = json!({
            "general": { "positionEncodings": encodings },
            "textDocument": {
                "completion": { "completionItem": { "snippetSupport": true } },
                "publishDiagnostics": { "relatedInformation": true },
            },
        });
        let told =
            editor.ask("initialize", json!({ "processId": null, "rootUri": null, "capabilities": capabilities }));
        editor.utf8 = told["capabilities"]["positionEncoding"] == "utf-8";
        editor.tell("initialized", json!({}));
        (editor, told)
    }

    fn new(folder: &Path) -> Self {
        Self::greeted(folder, &["utf-16"]).0
    }

    fn raw(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        self.raw(&format!("Content-Length: {}\r\n\r\n{text}", text.len()));
    }

    #[expect(clippy::needless_pass_by_value, reason = "written where it is told")]
    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    #[expect(clippy::needless_pass_by_value, reason = "written where it is asked")]
    fn request(&mut self, method: &str, params: Value) -> i64 {
        self.next += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params }));
        self.next
    }

    fn receive(&self) -> Value {
        self.inbox.recv_timeout(PATIENCE).expect("the server answers")
    }

    /// The whole answer to a request.
    fn answer(&mut self, id: &Value) -> Value {
        loop {
            let message = self.receive();
            if message.get("method").is_none() && message["id"] == *id {
                return message;
            }
            self.heard.push_back(message);
        }
    }

    /// The result of a request that succeeds.
    #[track_caller]
    fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        let answer = self.answer(&json!(id));
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The diagnostics of a version of a document, or of a file that is not open (`version` null).
    fn diagnostics(&mut self, uri: &str, version: &Value) -> Vec<Value> {
        loop {
            let message = self.heard.pop_front().unwrap_or_else(|| self.receive());
            let params = &message["params"];
            if message["method"] == "textDocument/publishDiagnostics"
                && params["uri"] == uri
                && params.get("version").unwrap_or(&Value::Null) == version
            {
                return params["diagnostics"].as_array().unwrap().clone();
            }
        }
    }

    fn leave(mut self) -> Option<i32> {
        assert_eq!(self.ask("shutdown", Value::Null), Value::Null);
        self.tell("exit", Value::Null);
        self.server.wait().unwrap().code()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A document as the editor shows it; it keeps its own text and counts like the protocol.
struct Page {
    uri: String,
    version: i64,
    text: String,
}

fn address(path: &Path) -> String {
    format!("file://{}", path.display())
}

impl Page {
    fn open(editor: &mut Editor, path: &Path, text: &str) -> Self {
        let uri = address(path);
        let document = json!({ "uri": uri, "languageId": "pipe", "version": 1, "text": text });
        editor.tell("textDocument/didOpen", json!({ "textDocument": document }));
        Self { uri, version: 1, text: text.to_owned() }
    }

    fn position(&self, editor: &Editor, at: usize) -> Value {
        let before = &self.text[..at];
        let line = before.matches('\n').count();
        let column = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        let character = if editor.utf8 { column.len() } else { column.encode_utf16().count() };
        json!({ "line": line, "character": character })
    }

    /// The byte of a place.
    fn byte(&self, editor: &Editor, position: &Value) -> usize {
        let line = usize::try_from(position["line"].as_u64().unwrap()).unwrap();
        let start = if line == 0 { 0 } else { self.text.match_indices('\n').nth(line - 1).unwrap().0 + 1 };
        let mut left = usize::try_from(position["character"].as_u64().unwrap()).unwrap();
        for (at, c) in self.text[start..].char_indices() {
            if left == 0 {
                return start + at;
            }
            left -= if editor.utf8 { c.len_utf8() } else { c.len_utf16() };
        }
        self.text.len()
    }

    fn edit(&mut self, editor: &mut Editor, range: std::ops::Range<usize>, text: &str) {
        self.version += 1;
        let (start, end) = (self.position(editor, range.start), self.position(editor, range.end));
        let change = json!({ "range": { "start": start, "end": end }, "text": text });
        self.text.replace_range(range, text);
        let document = json!({ "uri": self.uri, "version": self.version });
        editor.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [change] }));
    }

    /// Types at the end, a character at a time.
    fn type_in(&mut self, editor: &mut Editor, text: &str) {
        for c in text.chars() {
            self.edit(editor, self.text.len()..self.text.len(), &c.to_string());
        }
    }

    /// The parameters of a request about a byte.
    fn at(&self, editor: &Editor, at: usize) -> Value {
        json!({ "textDocument": { "uri": self.uri }, "position": self.position(editor, at) })
    }

    fn diagnostics(&self, editor: &mut Editor) -> Vec<Value> {
        editor.diagnostics(&self.uri, &json!(self.version))
    }

    fn completions_at(&self, editor: &mut Editor, at: usize) -> Vec<Value> {
        let params = self.at(editor, at);
        editor.ask("textDocument/completion", params)["items"].as_array().unwrap().clone()
    }

    fn completions(&self, editor: &mut Editor) -> Vec<Value> {
        self.completions_at(editor, self.text.len())
    }

    /// Takes an item of a completion, its holes filled with what they propose.
    fn accept(&mut self, editor: &mut Editor, items: &[Value], label: &str) {
        let item = items.iter().find(|item| item["label"] == label);
        let item = item.unwrap_or_else(|| panic!("`{label}` is not among {:?}", labels(items)));
        let edit = &item["textEdit"];
        let start = self.byte(editor, &edit["range"]["start"]);
        let end = self.byte(editor, &edit["range"]["end"]);
        self.edit(editor, start..end, &filled(edit["newText"].as_str().unwrap()));
    }

    /// Makes the edits of a workspace edit that concern this document.
    fn apply(&mut self, editor: &mut Editor, edit: &Value) {
        let edits = edit["changes"][&self.uri].as_array().unwrap();
        let mut ranges: Vec<(usize, usize, String)> = edits
            .iter()
            .map(|one| {
                let range = &one["range"];
                let text = one["newText"].as_str().unwrap().to_owned();
                (self.byte(editor, &range["start"]), self.byte(editor, &range["end"]), text)
            })
            .collect();
        ranges.sort();
        for (start, end, text) in ranges.into_iter().rev() {
            self.edit(editor, start..end, &text);
        }
    }

    fn hover(&self, editor: &mut Editor, at: usize) -> String {
        let params = self.at(editor, at);
        let hover = editor.ask("textDocument/hover", params);
        hover["contents"]["value"].as_str().unwrap_or_default().to_owned()
    }

    fn find(&self, what: &str) -> usize {
        self.text.find(what).unwrap_or_else(|| panic!("`{what}` is not in:\n{}", self.text))
    }
}

/// A snippet with its holes filled with what they propose.
fn filled(snippet: &str) -> String {
    let mut out = String::new();
    let mut rest = snippet;
    while let Some(at) = rest.find(['$', '\\', '}']) {
        out.push_str(&rest[..at]);
        if rest[at..].starts_with("${") {
            let name = rest[at + 2..].find([':', '}']).unwrap();
            rest = &rest[at + 2 + name..];
            rest = &rest[1..];
        } else if rest[at..].starts_with('\\') {
            out.push_str(&rest[at + 1..at + 2]);
            rest = &rest[at + 2..];
        } else if rest[at..].starts_with('}') && snippet_is_open(snippet, snippet.len() - rest.len() + at) {
            rest = &rest[at + 1..];
        } else {
            out.push_str(&rest[at..=at]);
            rest = &rest[at + 1..];
        }
    }
    out + rest
}

/// Is a hole with a proposal open before this byte?
fn snippet_is_open(snippet: &str, at: usize) -> bool {
    let before = &snippet[..at];
    let opened = before.match_indices("${").filter(|(at, _)| {
        let name = &snippet[at + 2..];
        name.find(':').is_some_and(|colon| name[..colon].chars().all(|c| c.is_ascii_digit()))
    });
    let last = opened.map(|(at, _)| at).last();
    last.is_some_and(|start| !before[start..].replace("\\}", "").contains('}'))
}

fn labels(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["label"].as_str().unwrap()).collect()
}

fn codes(diagnostics: &[Value]) -> Vec<&str> {
    diagnostics.iter().map(|one| one["code"].as_str().unwrap()).collect()
}

/// A folder with a table of twelve patients and their images.
fn clinic() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    table_study(folder.path());
    folder
}

#[test]
fn a_study_is_typed_from_nothing() {
    let folder = clinic();
    let (mut editor, told) = Editor::greeted(folder.path(), &["utf-16"]);
    assert_eq!(told["capabilities"]["positionEncoding"], "utf-16");
    assert_eq!(told["serverInfo"]["name"], "pipe");
    let editor = &mut editor;
    let mut page = Page::open(editor, &folder.path().join("first.pipe"), "");
    assert_eq!(codes(&page.diagnostics(editor)), ["E0001", "E0112"]);

    // the first line comes from a completion
    let items = page.completions(editor);
    assert_eq!(items.iter().min_by_key(|item| item["sortText"].as_str()).unwrap()["label"], "pipe");
    page.accept(editor, &items, "pipe");
    assert_eq!(page.text, "pipe \"2026\"\n");

    // then a study, character by character: never a crash, and what is wrong is what is not written yet
    page.type_in(editor, "\nparam epochs : int = 3 where 1..=200\n\nstudy first {\n  da");
    let items = page.completions(editor);
    assert!(labels(&items).contains(&"train") && !labels(&items).contains(&"epochs"), "{:?}", labels(&items));
    page.accept(editor, &items, "data");
    page.text = page.text.replace("data {\n  \n}", "data {\n    ");
    page.version += 1;
    let document = json!({ "uri": page.uri, "version": page.version });
    editor
        .tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [{ "text": page.text }] }));
    let items = page.completions(editor);
    let required: Vec<&str> = {
        let mut sorted: Vec<&Value> = items.iter().collect();
        sorted.sort_by_key(|item| item["sortText"].as_str().unwrap());
        sorted.iter().take(4).map(|item| item["label"].as_str().unwrap()).collect()
    };
    assert_eq!(required, ["table", "image", "label", "group"], "what must be written comes first");
    page.type_in(editor, "table = ");
    let items = page.completions(editor);
    assert!(labels(&items).contains(&"phantoms") && labels(&items).contains(&"epochs"));
    page.accept(editor, &items, "csv");
    assert!(page.text.ends_with("table = csv(\"\")"), "{}", page.text);
    let inside = page.text.len() - 2;
    let files = page.completions_at(editor, inside);
    assert_eq!(labels(&files), ["images", "labels.csv"]);
    page.accept(editor, &files, "labels.csv");
    assert!(page.text.ends_with("table = csv(\"labels.csv\")"), "{}", page.text);

    // columns of the table, inside backticks that are not closed yet
    page.type_in(editor, "\n    image = file(`");
    let items = page.completions(editor);
    assert_eq!(labels(&items), ["image", "label", "patient"]);
    page.accept(editor, &items, "image");
    page.type_in(editor, ", ");
    assert_eq!(labels(&page.completions(editor)).first(), Some(&"under"), "the column is given already");
    page.type_in(editor, "under = \"images\")\n    label = `la");
    let items = page.completions(editor);
    let item = items.iter().find(|item| item["label"] == "label").unwrap().clone();
    let resolved = editor.ask("completionItem/resolve", item);
    let docs = resolved["documentation"]["value"].as_str().unwrap().to_owned();
    assert!(docs.contains("24 rows, 2 distinct, none missing") && docs.contains("| `ill` | 12 |"), "{docs}");
    page.accept(editor, &items, "label");
    page.type_in(editor, "\n    keep = `label` in [\"");
    let cells = page.completions(editor);
    assert_eq!(labels(&cells), ["ill", "well"]);
    page.accept(editor, &cells, "ill");
    page.type_in(editor, ", \"well\"]\n  }\n  model { backbone = res");
    let items = page.completions(editor);
    page.accept(editor, &items, "resnet18");
    page.type_in(editor, " }\n  train {\n    epochs = ep");
    let items = page.completions(editor);
    let param = items.iter().find(|item| item["label"] == "epochs").unwrap();
    assert_eq!(param["detail"], "param");
    page.accept(editor, &items, "epochs");
    page.type_in(editor, "\n    loss = 0.6 * focal(ga");
    let items = page.completions(editor);
    page.accept(editor, &items, "gamma");
    assert!(page.text.ends_with("focal(gamma = 2"), "{}", page.text);
    page.type_in(editor, ") + 0.4 * soft_f1()\n    bacth = 8\n  }\n}\n");

    // the patients are missing, a name is misspelt, and one value is hidden behind the other problems
    let diagnostics = page.diagnostics(editor);
    assert_eq!(codes(&diagnostics), ["E0301", "E0101"], "{diagnostics:#?}");
    let misspelt = &diagnostics[1];
    assert_eq!(misspelt["severity"], 1);
    assert_eq!(misspelt["source"], "pipe");
    let message = misspelt["message"].as_str().unwrap();
    assert!(message.contains("`train` has no setting called `bacth`") && message.contains("help: "), "{message}");
    let (start, end) = (&misspelt["range"]["start"], &misspelt["range"]["end"]);
    assert_eq!(&page.text[page.byte(editor, start)..page.byte(editor, end)], "bacth");

    // the fix it comes with
    let range = misspelt["range"].clone();
    let params = json!({
        "textDocument": { "uri": page.uri }, "range": range, "context": { "diagnostics": [misspelt] },
    });
    let actions = editor.ask("textDocument/codeAction", params);
    let action = &actions[0];
    assert_eq!((&action["kind"], &action["title"]), (&json!("quickfix"), &json!("write `batch`")));
    assert_eq!(action["diagnostics"][0]["code"], "E0101");
    page.apply(editor, &action["edit"]);
    assert!(page.text.contains("    batch = 8\n"));
    assert_eq!(codes(&page.diagnostics(editor)), ["E0301"]);

    // and the patients
    let at = page.find("    keep");
    page.edit(editor, at..at, "    group = `patient`\n");
    let diagnostics = page.diagnostics(editor);
    assert!(diagnostics.iter().all(|one| one["severity"] == 2), "{diagnostics:#?}");

    // the text is a study that the command line accepts too
    let file = folder.path().join("first.pipe");
    fs::write(&file, &page.text).unwrap();
    super::cli::pipe(folder.path(), &["check", "first.pipe"]).ends(0);
}

#[test]
fn hover_tells_what_the_catalog_and_the_table_know() {
    let folder = clinic();
    let mut editor = Editor::new(folder.path());
    let editor = &mut editor;
    let text = fs::read_to_string(root().join("pipelines/nih_resnet18.pipe")).unwrap();
    let text = text.replace("./nih", ".").replace("Data_Entry_2017.csv", "labels.csv");
    let text = text.replace("`Finding Labels`", "`label`").replace("`Patient ID`", "`patient`");
    let page = Page::open(editor, &folder.path().join("nih.pipe"), &text);
    for (place, words) in [
        ("epochs    = epochs", "a whole number, from 1 to 100000 (passes over the data)\n\ndefault: 10"),
        ("smoothing", "**`smoothing`** of `cross_entropy`"),
        ("cross_entropy", "Source: Keras CategoricalCrossentropy"),
        ("plateau(", "`patience` | whole epochs with the unit, at least 0: `5epochs` | `10epochs`"),
        ("data {", "| `group` |"),
        ("study nih", "One question, its data"),
        ("nih_resnet18 {", "study nih_resnet18"),
        ("param root", "A knob that"),
        ("lanczos", "**`filter`** of `resize`"),
        ("256", "**`side`** of `resize`"),
        ("32\n", "**`train.batch`**"),
        ("when_many = drop", "what becomes of rows with several labels"),
        ("`label`", "**`label`** of `labels.csv`: texts\n\n24 rows, 2 distinct, none missing"),
        ("patient`", "24 rows, 12 distinct"),
        ("Labels`", ""),
        ("# NIH", ""),
    ] {
        let Some(at) = page.text.find(place) else {
            assert_eq!(words, "", "{place}");
            continue;
        };
        let at = if place.starts_with('`') { at + 1 } else { at };
        let told = page.hover(editor, at);
        assert!(told.contains(words) && (words.is_empty() == told.is_empty()), "{place}: {told}");
    }
    // the use of a param tells its definition and the comment above it
    let told = page.hover(editor, page.find("epochs    = epochs") + "epochs    = ".len());
    assert!(told.contains("param epochs : int") && told.contains("where 1..=200"), "{told}");
    let params = page.at(editor, page.find("factor = 0.1") + 9);
    let signature = editor.ask("textDocument/signatureHelp", params);
    assert!(signature["signatures"][0]["label"].as_str().unwrap().starts_with("plateau(on = loss, factor = 0.1"));
    assert_eq!(signature["activeParameter"], 1);
}

const LIBRARY: &str = "pipe \"2026\"\n\n# What the lab trains with.\nlet noisy = 0.6 * focal() + 0.4 * soft_f1()\n";

fn using(folder: &Path) -> (String, PathBuf) {
    fs::create_dir_all(folder.join("lab")).unwrap();
    fs::write(folder.join("lab/losses.pipe"), LIBRARY).unwrap();
    let text = "pipe \"2026\"\n\nuse \"lab/losses.pipe\" as lab\nuse \"lab/losses.pipe\" { noisy }\n\nparam epochs : int = 3\n\n\
                study one {\n  data { table = phantoms() }\n  model { backbone = resnet18() }\n  train {\n    \
                epochs = epochs\n    loss = lab.noisy\n  }\n}\n\nstudy two {\n  train.loss = noisy\n  train.epochs = epochs\n}\n";
    (text.to_owned(), folder.join("lab/losses.pipe"))
}

#[test]
fn definitions_are_found_across_files_and_renamed_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (text, library) = using(folder.path());
    let mut editor = Editor::new(folder.path());
    let editor = &mut editor;
    let mut page = Page::open(editor, &folder.path().join("study.pipe"), &text);
    let definition = |editor: &mut Editor, page: &Page, at: usize| {
        let params = page.at(editor, at);
        editor.ask("textDocument/definition", params)
    };

    // the library holds no study, and nothing in it is unused: others use it
    let opened = Page::open(editor, &library, LIBRARY);
    assert_eq!(opened.diagnostics(editor), Vec::<Value>::new());
    // a param, from its use
    let found = definition(editor, &page, page.find("= epochs") + 2);
    assert_eq!(found["uri"], page.uri);
    assert_eq!(page.byte(editor, &found["range"]["start"]), page.find("epochs : int"));
    // a let of another file, by either way and from the `use` line
    for place in ["lab.noisy", "= noisy"] {
        let at = page.find(place) + place.len() - 1;
        let found = definition(editor, &page, at);
        assert_eq!(found["uri"], address(&library));
        assert_eq!(found["range"]["start"], json!({ "line": 3, "character": 4 }));
    }
    let found = definition(editor, &page, page.find("losses.pipe"));
    assert_eq!(found["uri"], address(&library));
    assert_eq!(definition(editor, &page, page.find("phantoms")), Value::Null);

    // uses
    let mut params = page.at(editor, page.find("epochs : int"));
    params["context"] = json!({ "includeDeclaration": false });
    assert_eq!(editor.ask("textDocument/references", params).as_array().unwrap().len(), 2);
    let params = page.at(editor, page.find("= epochs") + 2);
    assert_eq!(editor.ask("textDocument/documentHighlight", params).as_array().unwrap().len(), 3);

    // names that cannot be
    for (new, why) in
        [("1x", "is no name"), ("let", "is a word of the language"), ("noisy", "is defined already, in line 4")]
    {
        let mut params = page.at(editor, page.find("= epochs") + 2);
        params["newName"] = json!(new);
        let id = editor.request("textDocument/rename", params);
        let answer = editor.answer(&json!(id));
        assert!(answer["error"]["message"].as_str().unwrap().contains(why), "{answer}");
    }
    // the name of the other file: in both
    let params = page.at(editor, page.find("lab.noisy") + 4);
    let range = editor.ask("textDocument/prepareRename", params.clone());
    assert_eq!(page.byte(editor, &range["start"]), page.find("lab.noisy") + 4);
    let mut params = params;
    params["newName"] = json!("mixed");
    let edit = editor.ask("textDocument/rename", params);
    assert_eq!(edit["changes"][address(&library)].as_array().unwrap().len(), 1);
    page.apply(editor, &edit);
    assert!(page.text.contains("{ mixed }") && page.text.contains("= lab.mixed") && page.text.contains("= mixed"));
    assert!(!page.text.contains("noisy"), "{}", page.text);
    // nothing to rename
    let params = page.at(editor, page.find("phantoms"));
    assert_eq!(editor.ask("textDocument/prepareRename", params), Value::Null);
}

/// What is offered where `|` stands in a text.
fn offered_in(editor: &mut Editor, path: &Path, text: &str) -> Vec<String> {
    let (before, behind) = text.split_once('|').unwrap();
    let page = Page::open(editor, path, &format!("{before}{behind}"));
    let items = page.completions_at(editor, before.len());
    editor.tell("textDocument/didClose", json!({ "textDocument": { "uri": page.uri } }));
    labels(&items).into_iter().map(str::to_owned).collect()
}

const MORE: &str = "pipe \"2026\"\n\nuse \"losses.pipe\" { noisy }\nparam fast : bool = true\nlet q = 3\n\n\
                    study base {\n  data { table = phantoms() }\n  model { backbone = resnet18() }\n}\n";

#[test]
fn names_of_used_files_are_offered_and_told() {
    let folder = tempfile::tempdir().unwrap();
    using(folder.path());
    fs::write(folder.path().join("lab/more.pipe"), MORE).unwrap();
    let mut editor = Editor::new(folder.path());
    let editor = &mut editor;
    let path = folder.path().join("a.pipe");
    let head = "pipe \"2026\"\nuse \"lab/more.pipe\" as bb\n\n";
    let mut offered = |text: &str| offered_in(editor, &path, &format!("{head}{text}"));
    // values behind the dot, studies behind `extends`, all of them in the braces of a `use`
    let values = offered("study s {\n  train.epochs = bb.|\n}\n");
    assert_eq!(values, ["noisy", "fast", "q"]);
    assert_eq!(offered("study s {\n  train {\n    loss = 0.5 * bb.no|\n  }\n}\n"), values);
    assert_eq!(offered("study s extends bb.|"), ["base"]);
    assert_eq!(offered("use \"lab/more.pipe\" { | }\n"), ["noisy", "fast", "q", "base"]);
    assert_eq!(offered("use \"lab/more.pipe\" { q, | }\n"), ["noisy", "fast", "base"]);
    assert_eq!(offered("use \"lab/gone.pipe\" { | }\n"), Vec::<String>::new());
    assert_eq!(offered("study s {\n  train.epochs = cc.|\n}\n"), Vec::<String>::new());

    // hover tells the definition in the other file, not the line that brings it
    let text = format!(
        "{head}use \"lab/more.pipe\" {{ noisy }}\nstudy s extends bb.base {{\n  train.epochs = bb.q\n  train.loss = noisy\n}}\n"
    );
    let page = Page::open(editor, &path, &text);
    for (place, words) in [
        ("q\n", "let q = 3"),
        ("bb.q", "use \"lab/more.pipe\" as bb"),
        ("base {", "study base"),
        ("noisy\n}", "let noisy = 0.6 * focal() + 0.4 * soft_f1()\n```\nWhat the lab trains with."),
    ] {
        let told = page.hover(editor, page.find(place));
        assert!(told.contains(words), "{place}: {told}");
    }
}

#[test]
fn what_would_be_wrong_is_not_offered() {
    let folder = tempfile::tempdir().unwrap();
    let mut editor = Editor::new(folder.path());
    let editor = &mut editor;
    let path = folder.path().join("a.pipe");
    let mut offered = |text: &str| offered_in(editor, &path, &format!("pipe \"2026\"\n{text}"));
    // a `let` may be anything, but not itself
    let values = offered("let other = 2\nlet l = |\n");
    for (name, there) in [("focal", true), ("resnet18", true), ("adamw", true), ("other", true), ("l", false)] {
        assert_eq!(values.iter().any(|one| one == name), there, "{name}");
    }
    assert_eq!(values.iter().filter(|one| *one == "none").count(), 1);
    // after a dot stand settings only
    let settings = offered("study s {\n  train.|\n}\n");
    assert!(settings.contains(&"epochs".to_owned()) && !settings.contains(&"let".to_owned()), "{settings:?}");
    // only the weights that the network has
    let weights = offered("study s {\n  model { backbone = resnet18(weights = |) }\n}\n");
    for (name, there) in [("none", true), ("imagenet", true), ("file", true), ("imagenet21k", false)] {
        assert_eq!(weights.iter().any(|one| one == name), there, "{name}: {weights:?}");
    }
    // the variants, where the baseline is written
    let study = "study s {\n  vary model.backbone = [resnet18(), resnet50()]\n  vary train.loss = { ce = cross_entropy(), \
                 mix = focal() }\n  compare { baseline = HERE }\n}\n";
    let names = ["resnet18/ce", "resnet18/mix", "resnet50/ce", "resnet50/mix"];
    assert_eq!(offered(&study.replace("HERE", "|")), names);
    assert_eq!(offered(&study.replace("HERE", "\"res|\"")), names);
    assert_eq!(offered(&study.replace("HERE", "{ loss = | }")), ["ce", "mix"]);
    assert_eq!(offered("study s {\n  compare { baseline = | }\n}\n"), Vec::<String>::new());
}

#[test]
fn an_operation_in_a_let_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut editor = Editor::new(folder.path());
    let text = "pipe \"2026\"\nlet l = 0.5 * focal(gamma = 2) + 0.5 * soft_f1()\n";
    let page = Page::open(&mut editor, &folder.path().join("a.pipe"), text);
    for (place, words) in [("ocal", "focal(gamma = 2"), ("gamma", "**`gamma`** of `focal`"), ("soft_f1", "soft_f1")] {
        let told = page.hover(&mut editor, page.find(place));
        assert!(told.contains(words), "{place}: {told}");
    }
}

#[test]
fn symbols_and_folds_show_the_shape() {
    let folder = tempfile::tempdir().unwrap();
    let mut editor = Editor::new(folder.path());
    let editor = &mut editor;
    let text = fs::read_to_string(root().join("pipelines/chest_xray.pipe")).unwrap();
    let page = Page::open(editor, &folder.path().join("x.pipe"), &text);
    let document = json!({ "textDocument": { "uri": page.uri } });
    let symbols = editor.ask("textDocument/documentSymbol", document.clone());
    let names = |symbols: &Value| -> Vec<String> {
        symbols.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&symbols), ["root", "folds", "epochs", "frozen", "chest_xray", "laptop"]);
    let study = &symbols[4];
    assert_eq!(names(&study["children"])[..4], ["question", "seed", "data", "split"]);
    assert_eq!(names(&study["children"][2]["children"]), ["table", "image", "label", "classes", "group"]);
    let range = |symbol: &Value, end: &str| page.byte(editor, &symbol["range"][end]);
    assert!(page.text[range(study, "start")..range(study, "end")].ends_with('}'));
    let folds = editor.ask("textDocument/foldingRange", document);
    let folds = folds.as_array().unwrap();
    assert!(folds.iter().any(|fold| fold["kind"] == "comment" && fold["startLine"] == 2 && fold["endLine"] == 4));
    assert!(folds.len() > 5);
}

#[test]
fn a_file_is_laid_out_as_fmt_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut editor = Editor::new(folder.path());
    let editor = &mut editor;
    let text = "pipe \"2026\"\n\n# why\nstudy s {\n  seed=4\n  data { table = phantoms() }\n  \n\n\n  model { backbone=resnet18() }\n}\n";
    let mut page = Page::open(editor, &folder.path().join("a.pipe"), text);
    let params = json!({ "textDocument": { "uri": page.uri }, "options": { "tabSize": 8, "insertSpaces": false } });
    let edits = editor.ask("textDocument/formatting", params.clone());
    assert_eq!(edits.as_array().unwrap().len(), 1);
    assert!(edits[0]["range"]["start"]["line"].as_u64().unwrap() >= 4, "what is right already is left alone: {edits}");
    page.apply(editor, &json!({ "changes": { page.uri.clone(): edits } }));
    fs::write(folder.path().join("a.pipe"), &page.text).unwrap();
    super::cli::pipe(folder.path(), &["fmt", "--check", "a.pipe"]).ends(0);
    assert_eq!(editor.ask("textDocument/formatting", params.clone()), json!([]));
    // a text that is not understood is not touched
    page.edit(editor, 0..0, "@\n");
    assert_eq!(editor.ask("textDocument/formatting", params), Value::Null);
}

#[test]
fn text_of_any_script_keeps_its_places() {
    let folder = tempfile::tempdir().unwrap();
    for (encodings, agreed) in [(&["utf-16"][..], "utf-16"), (&["utf-8", "utf-16"], "utf-8"), (&[], "utf-16")] {
        let (mut editor, told) = Editor::greeted(folder.path(), encodings);
        assert_eq!(told["capabilities"]["positionEncoding"], agreed);
        let editor = &mut editor;
        let text = "pipe \"2026\"\nstudy s {\n  question = \"Wie groß ist 胸 😀?\" ; seeed = 4\n}\n";
        let mut page = Page::open(editor, &folder.path().join("ä 胸.pipe"), text);
        page.uri = format!("file://{}/%C3%A4%20%E8%83%B8.pipe", folder.path().display());
        page.version = 1;
        let document = json!({ "uri": page.uri, "languageId": "pipe", "version": 1, "text": text });
        editor.tell("textDocument/didOpen", json!({ "textDocument": document }));
        let diagnostics = page.diagnostics(editor);
        for (code, place) in [("E0005", ";"), ("E0101", "seeed")] {
            let one = diagnostics.iter().find(|one| one["code"] == code).unwrap();
            assert_eq!(page.byte(editor, &one["range"]["start"]), page.find(place), "{agreed} {code}");
        }
        // an edit behind the wide characters lands where it was made
        let at = page.find("seeed");
        page.edit(editor, at..at + 5, "seed");
        let diagnostics = page.diagnostics(editor);
        assert!(!codes(&diagnostics).contains(&"E0101"), "{agreed}: {diagnostics:#?}");
        let told = page.hover(editor, page.find("seed"));
        assert!(told.contains("Every random draw"), "{agreed}: {told}");
    }
}

#[test]
fn every_safe_fix_is_made_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut editor = Editor::new(folder.path());
    let editor = &mut editor;
    let text = "pipe \"2026\"\nstudy s {\n  seed: 4;\n  data { table = phantoms(images = 48 patients = 24) }\n  \
                model { backbone = resnet18() }\n  train {\n    epcohs = 3\n  }\n}\n";
    let mut page = Page::open(editor, &folder.path().join("a.pipe"), text);
    let before = page.diagnostics(editor);
    assert!(before.len() >= 3, "{before:#?}");
    let all = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    for only in ["source.fixAll", "source"] {
        let context = json!({ "diagnostics": [], "only": [only] });
        let params = json!({ "textDocument": { "uri": page.uri }, "range": all, "context": context });
        let actions = editor.ask("textDocument/codeAction", params);
        assert_eq!(actions.as_array().unwrap().len(), 1, "{actions}");
        if only == "source" {
            page.apply(editor, &actions[0]["edit"]);
        }
    }
    let after = page.diagnostics(editor);
    assert!(codes(&after).iter().all(|code| !code.starts_with("E0") || *code == "E0301"), "{}\n{after:#?}", page.text);
    // quick fixes concern their own line only
    let nowhere = json!({ "start": { "line": 1, "character": 0 }, "end": { "line": 1, "character": 1 } });
    let context = json!({ "diagnostics": [], "only": ["quickfix"] });
    let params = json!({ "textDocument": { "uri": page.uri }, "range": nowhere, "context": context });
    assert_eq!(editor.ask("textDocument/codeAction", params), json!([]));
}

#[test]
fn a_problem_points_at_every_place_and_goes_when_its_file_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let mut editor = Editor::new(folder.path());
    let editor = &mut editor;
    let text = "pipe \"2026\"\nstudy s {\n  seed = 1\n  seed = 2\n  data { table = phantoms() }\n  \
                model { backbone = resnet18() }\n}\n";
    let page = Page::open(editor, &folder.path().join("a.pipe"), text);
    let diagnostics = page.diagnostics(editor);
    let twice = diagnostics.iter().find(|one| one["code"] == "E0105").unwrap();
    let related = &twice["relatedInformation"][0];
    assert_eq!(related["location"]["uri"], page.uri);
    let places = [&twice["range"], &related["location"]["range"]].map(|range| page.byte(editor, &range["start"]));
    assert!(places.contains(&page.find("seed = 1")) && places.contains(&page.find("seed = 2")), "{twice:#}");
    editor.tell("textDocument/didClose", json!({ "textDocument": { "uri": page.uri } }));
    assert_eq!(editor.diagnostics(&page.uri, &Value::Null), Vec::<Value>::new());
    let params = page.at(editor, 0);
    assert_eq!(editor.ask("textDocument/hover", params), Value::Null);
}

#[test]
fn a_saved_table_is_read_again_and_values_may_come_from_the_editor() {
    let folder = clinic();
    let mut editor = Editor::new(folder.path());
    let editor = &mut editor;
    let text = table_study(folder.path());
    let page = Page::open(editor, &folder.path().join("a.pipe"), &text.replace("`patient`", "`person`"));
    assert!(codes(&page.diagnostics(editor)).contains(&"E0201"));
    let table = fs::read_to_string(folder.path().join("labels.csv")).unwrap();
    fs::write(folder.path().join("labels.csv"), table.replace("patient", "person")).unwrap();
    editor.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    assert!(!codes(&page.diagnostics(editor)).contains(&"E0201"));
    let at = page.find("`person`") + 1;
    assert_eq!(labels(&page.completions_at(editor, at)), ["image", "label", "person"]);
    // `--set`, as the editor's settings say it
    editor.tell("workspace/didChangeConfiguration", json!({ "settings": { "pipe": { "set": ["rooot=x"] } } }));
    let diagnostics = page.diagnostics(editor);
    assert!(codes(&diagnostics).contains(&"E0106"), "{diagnostics:#?}");
}

#[test]
fn what_is_not_known_or_no_message_is_answered_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let mut editor = Editor::start(folder.path());
    let error = |answer: &Value| answer["error"]["code"].as_i64().unwrap();

    // before the greeting
    let id = editor.request("textDocument/hover", json!({}));
    assert_eq!(error(&editor.answer(&json!(id))), -32002);
    editor.ask("initialize", json!({ "processId": null, "rootUri": null, "capabilities": {} }));

    // no JSON, no object, no method, a wrong length, no header at all
    editor.raw("Content-Length: 5\r\n\r\n{\"a\":");
    assert_eq!(error(&editor.answer(&Value::Null)), -32700);
    editor.raw("Content-Length: 2\r\n\r\n[]");
    assert_eq!(error(&editor.answer(&Value::Null)), -32600);
    editor.raw("Content-Length: 8\r\n\r\n{\"id\":7}");
    assert_eq!(error(&editor.answer(&json!(7))), -32600);
    editor.raw("Content-Length: 4\r\n\r\n{\"jsonrpc\": \"2.0\"}");
    assert_eq!(error(&editor.answer(&Value::Null)), -32700);
    editor.raw("what is this?\r\n\r\n");

    // unknown requests and notifications, wrong parameters, documents that are not open, nonsense in all of them
    for (method, params, code) in [
        ("textDocument/inlineValue", json!({}), -32601),
        ("no/such", Value::Null, -32601),
        ("textDocument/hover", json!({ "textDocument": 3 }), -32602),
        ("textDocument/completion", json!([]), -32602),
        ("textDocument/codeAction", Value::Null, -32602),
        ("textDocument/rename", json!({}), -32602),
    ] {
        let id = editor.request(method, params);
        assert_eq!(error(&editor.answer(&json!(id))), code, "{method}");
    }
    for (method, params) in [
        ("no/such", Value::Null),
        ("textDocument/didOpen", json!({ "textDocument": [] })),
        (
            "textDocument/didChange",
            json!({ "textDocument": { "uri": "file:///x", "version": 1 }, "contentChanges": [] }),
        ),
        ("textDocument/didClose", Value::Null),
        ("workspace/didChangeConfiguration", Value::Null),
        ("$/cancelRequest", json!({ "id": 99 })),
        ("$/setTrace", json!({ "value": "off" })),
    ] {
        editor.tell(method, params);
    }
    let nowhere = json!({ "textDocument": { "uri": "file:///none.pipe" }, "position": { "line": 7, "character": 7 } });
    for method in ["textDocument/hover", "textDocument/definition", "textDocument/completion"] {
        assert_eq!(editor.ask(method, nowhere.clone()), Value::Null);
    }
    // places outside the text, files that are none, texts that are refused
    let page = Page::open(&mut editor, &folder.path().join("a.pipe"), "pipe \"2026\"\u{202e}");
    assert!(codes(&page.diagnostics(&mut editor)).contains(&"E0007"));
    let far = json!({ "textDocument": { "uri": page.uri }, "position": { "line": 4_000_000_000_u32, "character": 1 } });
    for method in ["textDocument/hover", "textDocument/definition", "textDocument/completion"] {
        editor.ask(method, far.clone());
    }
    let document =
        json!({ "uri": "untitled:Untitled-1", "languageId": "pipe", "version": 1, "text": "pipe \"2026\"\n" });
    editor.tell("textDocument/didOpen", json!({ "textDocument": document }));
    assert_eq!(codes(&editor.diagnostics("untitled:Untitled-1", &json!(1))), ["E0112"]);

    // and the end
    assert_eq!(editor.leave(), Some(0));
}

#[test]
fn the_end_has_the_protocols_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let mut editor = Editor::new(folder.path());
    editor.tell("exit", Value::Null);
    assert_eq!(editor.server.wait().unwrap().code(), Some(1), "exit without shutdown");

    let mut editor = Editor::new(folder.path());
    editor.input = None;
    assert_eq!(editor.server.wait().unwrap().code(), Some(1), "the editor is gone");

    let mut editor = Editor::new(folder.path());
    editor.ask("shutdown", Value::Null);
    let id = editor.request("textDocument/hover", json!({}));
    assert_eq!(editor.answer(&json!(id))["error"]["code"], -32600, "after shutdown");
    editor.tell("exit", Value::Null);
    assert_eq!(editor.server.wait().unwrap().code(), Some(0));
}

#[test]
fn a_request_that_is_called_off_is_answered_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let mut editor = Editor::new(folder.path());
    // in one piece, so that the cancellation is there before the request is looked at
    let message = |value: &Value| format!("Content-Length: {}\r\n\r\n{value}", value.to_string().len());
    let hover = json!({ "jsonrpc": "2.0", "id": "h", "method": "textDocument/hover", "params": {} });
    let cancel = json!({ "jsonrpc": "2.0", "method": "$/cancelRequest", "params": { "id": "h" } });
    let mut answered = Vec::new();
    for _ in 0..20 {
        editor.raw(&format!("{}{}", message(&hover), message(&cancel)));
        answered.push(editor.answer(&json!("h"))["error"]["code"].as_i64().unwrap());
    }
    assert!(answered.iter().all(|code| [-32800, -32602].contains(code)), "{answered:?}");
    assert!(answered.contains(&-32800), "{answered:?}");
}

/// `cargo test --release --test it a_key_pressed -- --ignored --nocapture`: from a key to what is wrong, over 112,120 rows.
#[test]
#[ignore = "prints times; run it by hand in release"]
#[expect(clippy::print_stderr, reason = "a measurement")]
fn a_key_pressed_over_a_large_table_is_answered_in_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let table = super::data::nih_like(112_120);
    fs::write(folder.path().join("Data_Entry_2017.csv"), &table).unwrap();
    fs::create_dir(folder.path().join("images")).unwrap();
    for line in table.lines().skip(1) {
        fs::File::create(folder.path().join("images").join(line.split(',').next().unwrap())).unwrap();
    }
    let text = "pipe \"2026\"\n\nstudy nih {\n  data {\n    table = csv(\"Data_Entry_2017.csv\")\n    \
                image = file(`Image Index`, under = \"images\")\n    label = `Finding Labels`\n    \
                labels = multiclass(split_on = \"|\", when_many = drop)\n    group = `Patient ID`\n  }\n  \
                model { backbone = resnet18() }\n  train { epochs = 10 }\n}\n";
    let path = folder.path().join("nih.pipe");
    fs::write(&path, text).unwrap();
    let mut editor = Editor::new(folder.path());
    let mut page = Page::open(&mut editor, &path, text);
    let errors = |found: &[Value]| found.iter().filter(|one| one["severity"] == 1).count();
    assert_eq!(errors(&page.diagnostics(&mut editor)), 0);
    let at = page.text.find("epochs = ").unwrap() + "epochs = ".len();
    let mut times = Vec::new();
    for round in 0..41 {
        let start = std::time::Instant::now();
        // `-10` is out of range
        if round % 2 == 0 {
            page.edit(&mut editor, at..at, "-");
        } else {
            page.edit(&mut editor, at..at + 1, "");
        }
        let found = page.diagnostics(&mut editor);
        times.push(start.elapsed());
        assert_eq!(errors(&found), (round + 1) % 2);
    }
    times.sort();
    eprintln!("from a key to the answer: median {:.1?}, slowest {:.1?}", times[20], times[40]);
}

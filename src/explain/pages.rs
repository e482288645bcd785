//! The page of each code: `pages/CODE.md` says what and why, with a program that is refused and one that is right.

use std::fmt::Write as _;

use crate::check::Pick;
use crate::diag::Code;

macro_rules! pages {
    ($($code:ident)*) => {
        /// The stored pages.
        const PAGES: &[(Code, &str)] = &[$((Code::$code, include_str!(concat!("pages/", stringify!($code), ".md"))),)*];
    };
}

pages! {
    E0001 E0002 E0003 E0004 E0005 E0006 E0007
    E0101 E0102 E0103 E0104 E0105 E0106 E0107 W0108 E0109 E0110 E0111 E0112
    E0113
    E0201 E0202 E0203 E0204 E0205 E0206 W0207 W0208 W0209 E0210 E0211 E0212 E0213
    E0214 W0215
    E0301 E0302 W0303 E0304 E0305 E0306 W0307 W0308 E0309 W0311 W0312 W0313
    E0401 E0402 E0403 W0404 E0405 E0406 W0407
    W0501 W0502 E0503 W0504 W0505 W0506 E0507
    W0602 E0603 E0604 W0606
    E0701 W0702 E0703 E0705 E0706
    E0801
    E0901 E0902 E0903 E0904
}

/// The page of a code as Markdown; of one without a page its title.
#[must_use]
pub fn page(code: Code) -> String {
    let text = PAGES.iter().find(|(of, _)| *of == code).map_or("", |(_, text)| text);
    let mut out = format!("# {}: {}\n", code.id(), code.title());
    let _ = write!(out, "\n{text}");
    out
}

/// A program of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Does it trigger the code?
    pub wrong: bool,
    /// `--set` for it.
    pub set: Vec<String>,
    /// `--study` for it.
    pub study: Pick,
    /// The program.
    pub text: String,
}

/// The programs of a code's page.
#[must_use]
pub fn programs(code: Code) -> Vec<Program> {
    let text = page(code);
    let mut programs = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("```pipe ") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let after =
            |option: &str| words.split_whitespace().skip_while(|word| *word != option).nth(1).map(str::to_owned);
        let set = after("--set").into_iter().collect();
        let study = after("--study").map_or(Pick::Only, Pick::Named);
        programs.push(Program { wrong: words.starts_with("wrong"), set, study, text: body.join("\n") + "\n" });
    }
    programs
}

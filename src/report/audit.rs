//! What an audit found becomes text for a terminal, or a page with pictures of the copies.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, html};

use super::html::{document, wide};
use super::words::{count, plain};
use crate::audit::{Audit, Named, Pair};

/// At most so many of a kind are listed in text; all are in the JSON and on the page.
const LISTED: usize = 20;

fn number(n: usize) -> String {
    count(u32::try_from(n).unwrap_or(u32::MAX))
}

fn amount(n: usize, one: &str) -> String {
    format!("{} {one}{}", number(n), if n == 1 { "" } else { "s" })
}

/// `3 pairs: 1 across patients, 2 with two labels`
fn summary(pairs: &[&Pair]) -> String {
    if pairs.is_empty() {
        return "none".to_owned();
    }
    let patients = pairs.iter().filter(|pair| pair.two_patients).count();
    let labels = pairs.iter().filter(|pair| pair.two_labels).count();
    let within = pairs.len() - patients;
    format!(
        "{}: {} across patients, {} within a patient, {} with two labels",
        amount(pairs.len(), "pair"),
        number(patients),
        number(within),
        number(labels)
    )
}

fn parts(audit: &Audit) -> (Vec<&Pair>, Vec<&Pair>) {
    audit.copies.iter().partition(|pair| pair.exact)
}

fn sizes(audit: &Audit) -> String {
    match audit.sizes.as_slice() {
        [] => "none".to_owned(),
        [(w, h, n)] => format!("{w} x {h} ({})", number(*n)),
        [(w, h, n), others @ ..] => {
            let sides = || audit.sizes.iter().flat_map(|(w, h, _)| [*w, *h]);
            let (least, most) = (sides().min().unwrap_or(0), sides().max().unwrap_or(0));
            format!("{w} x {h} ({}), {} more; sides from {least} to {most}", number(*n), amount(others.len(), "size"))
        }
    }
}

fn kinds(audit: &Audit) -> String {
    let one = |kind: &crate::audit::Kinds| format!("{} ({})", kind.kind, number(kind.images));
    let all: Vec<String> = audit.kinds.iter().map(one).collect();
    let mixed = if audit.kinds.len() > 1 { "mixed: " } else { "" };
    if all.is_empty() { "none".to_owned() } else { format!("{mixed}{}", all.join(", ")) }
}

fn overview(audit: &Audit) -> Vec<(&'static str, String)> {
    let (exact, near) = parts(audit);
    let none = |n: usize| if n == 0 { "none".to_owned() } else { amount(n, "image") };
    vec![
        ("looked at", format!("{} of {}", amount(audit.images, "image"), amount(audit.patients, "patient"))),
        ("missing", none(audit.missing.len())),
        ("unreadable", none(audit.unreadable.len())),
        ("same pixels", summary(&exact)),
        ("nearly the same", summary(&near)),
        ("kinds", kinds(audit)),
        ("sizes", sizes(audit)),
        ("inverted", none(audit.inverted.len())),
    ]
}

fn whose(image: &Named) -> String {
    format!("{} (row {}, patient {}, {})", plain(&image.image), image.row, plain(&image.patient), plain(&image.label))
}

/// The findings for a terminal.
#[must_use]
pub fn audit_text(audit: &Audit) -> String {
    let mut out = String::new();
    for (what, found) in overview(audit) {
        let _ = writeln!(out, "{what:<16} {found}");
    }
    let mut list = |title: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n{title}");
        for line in lines.iter().take(LISTED) {
            let _ = writeln!(out, "  {line}");
        }
        if lines.len() > LISTED {
            let _ = writeln!(out, "  and {} more (--format json lists all)", number(lines.len() - LISTED));
        }
    };
    list("missing", audit.missing.iter().map(whose).collect());
    list(
        "unreadable",
        audit.unreadable.iter().map(|(image, why)| format!("{}: {}", whose(image), plain(why))).collect(),
    );
    let pair = |pair: &&Pair| {
        let how = if pair.exact { "same pixels".to_owned() } else { format!("correlation {:.4}", pair.correlation) };
        format!("{}\n    {}: {how}", whose(&pair.first), whose(&pair.second))
    };
    let across = |two: bool| audit.copies.iter().filter(move |pair| pair.two_patients == two);
    list("copies across patients", across(true).collect::<Vec<_>>().iter().map(pair).collect());
    list("copies within a patient", across(false).collect::<Vec<_>>().iter().map(pair).collect());
    list("looks inverted", audit.inverted.iter().map(whose).collect());
    out
}

/// The findings as a page; `pictures` holds PNG files as `data:` addresses by the image's place in the data set.
#[must_use]
pub fn audit_page(name: &str, audit: &Audit, pictures: &BTreeMap<usize, String>) -> String {
    let title = format!("{} – audit", plain(name));
    let image = |image: &Named| {
        html! {
            figure {
                @if let Some(picture) = pictures.get(&image.index) {
                    img src=(picture) alt={ "image " (plain(&image.image)) } width="160";
                }
                figcaption { code { (plain(&image.image)) } br; "row " (image.row) ", patient " (plain(&image.patient)) ", " (plain(&image.label)) }
            }
        }
    };
    let body = html! {
        header { h1 { (plain(name)) } p { "What the images themselves say, before anything is learned from them." } }
        main {
            section aria-labelledby="overview-title" {
                h2 id="overview-title" { "Overview" }
                (wide("Overview", &html! {
                    table { tbody { @for (what, found) in overview(audit) { tr { th scope="row" { (what) } td { (found) } } } } }
                }))
            }
            @for (title, two) in [("Copies across patients", true), ("Copies within a patient", false)] {
                @let pairs: Vec<&Pair> = audit.copies.iter().filter(|pair| pair.two_patients == two).collect();
                @if !pairs.is_empty() {
                    section {
                        h2 { (title) }
                        (wide(title, &html! {
                            table {
                                thead { tr { th scope="col" { "one" } th scope="col" { "other" } th scope="col" { "how alike" } } }
                                tbody { @for pair in &pairs { tr { td { (image(&pair.first)) } td { (image(&pair.second)) } td { (alike(pair)) } } } }
                            }
                        }))
                    }
                }
            }
            (named("Missing", &audit.missing.iter().map(|image| (image, String::new())).collect::<Vec<_>>()))
            (named("Unreadable", &audit.unreadable.iter().map(|(image, why)| (image, why.clone())).collect::<Vec<_>>()))
            (named("Look inverted", &audit.inverted.iter().map(|image| (image, String::new())).collect::<Vec<_>>()))
        }
        footer { p { "Copies differ in at most 24 of 256 gradient signs and correlate by 0.98 or more; same pixels are equal to the bit." } }
    };
    document(&title, &body)
}

fn alike(pair: &Pair) -> Markup {
    html! {
        @if pair.exact { "same pixels" } @else { "correlation " (format!("{:.4}", pair.correlation)) }
        @if pair.two_labels { br; strong { "two labels" } }
    }
}

fn named(title: &str, images: &[(&Named, String)]) -> Markup {
    html! {
        @if !images.is_empty() {
            section {
                h2 { (title) }
                ul { @for (image, why) in images { li { (whose(image)) @if !why.is_empty() { ": " (plain(why)) } } } }
            }
        }
    }
}

//! A record becomes one HTML page: head, headings in order, and the sections one after the other.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{cohort, curves, judged, overview, settings, words};
use crate::record::RunRecord;

const STYLE: &str = include_str!("style.css");

/// Nothing is loaded, nothing runs, nothing is sent: style is inline, images could only be `data:`.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A part of the page, for the list at the top and for the page itself.
struct Section {
    id: &'static str,
    title: &'static str,
    body: Markup,
}

/// The whole page.
pub(super) fn page(record: &RunRecord) -> String {
    let name = words::plain(&record.study.name);
    let sections = sections(record);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (name) " – report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { (overview::opening(record)) }
                nav aria-label="Sections" {
                    ul { @for section in &sections { li { a href={ "#" (section.id) } { (section.title) } } } }
                }
                main {
                    @for section in &sections {
                        section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                            h2 id={ (section.id) "-title" } { (section.title) }
                            (section.body)
                        }
                    }
                }
                footer {
                    p { "Written by pipe " (words::plain(&record.pipe_version)) " from record.json; the same record gives this same page." }
                    p { "A research result, not a medical device: nothing here is advice on any patient." }
                }
            }
        }
    };
    page.into_string()
}

fn sections(record: &RunRecord) -> Vec<Section> {
    let mut all = vec![Section { id: "figures", title: "Figures", body: overview::figures(record) }];
    if !record.warnings.is_empty() {
        all.push(Section { id: "warnings", title: "Warnings of the check", body: overview::warnings(record) });
    }
    all.push(Section { id: "classes", title: "By class", body: judged::section(record) });
    all.push(Section { id: "training", title: "Training", body: curves::section(record) });
    all.push(Section { id: "patients", title: "Images, patients and folds", body: cohort::section(record) });
    all.push(Section { id: "settings", title: "What was run", body: settings::section(record) });
    all
}

/// A table that may be wider than a phone: it scrolls by itself and can be reached by keyboard.
pub(super) fn wide(label: &str, table: &Markup) -> Markup {
    html! { div.wide role="region" tabindex="0" aria-label=(label) { (table) } }
}

/// A plot with its caption above and its legend below.
pub(super) fn figure(caption: &Markup, plot: &Markup, legend: &Markup) -> Markup {
    html! { figure.plot { figcaption { (caption) } (plot) (legend) } }
}

//! A record becomes one HTML page: head, headings in order, and the sections one after the other.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{cohort, curves, grid, judged, operating, overview, settings, slices, words};
use crate::record::{RunRecord, StudyRecord};

const STYLE: &str = include_str!("style.css");

/// Nothing is loaded, nothing runs, nothing is sent: style is inline, images could only be `data:`.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A part of the page, for the list at the top and for the page itself.
pub(super) struct Section {
    /// Its anchor.
    pub(super) id: &'static str,
    /// Its heading.
    pub(super) title: &'static str,
    /// What stands below.
    pub(super) body: Markup,
}

/// The page of one run.
pub(super) fn page(record: &RunRecord) -> String {
    let opening = overview::opening(record);
    whole(&record.study.name, &record.pipe_version, &opening, &sections(record, true))
}

/// The page of a study with several variants.
pub(super) fn study_page(record: &StudyRecord) -> String {
    whole(&record.name, &record.pipe_version, &grid::opening(record), &grid::sections(record))
}

fn whole(name: &str, version: &str, opening: &Markup, sections: &[Section]) -> String {
    let body = html! {
        header { (opening) }
        nav aria-label="Sections" {
            ul { @for section in sections { li { a href={ "#" (section.id) } { (section.title) } } } }
        }
        main {
            @for section in sections {
                section id=(section.id) aria-labelledby={ (section.id) "-title" } {
                    h2 id={ (section.id) "-title" } { (section.title) }
                    (section.body)
                }
            }
        }
        footer {
            p { "Written by pipe " (words::plain(version)) " from record.json; the same record gives this same page." }
            p { "A research result, not a medical device: nothing here is advice on any patient." }
        }
    };
    document(&format!("{} – report", words::plain(name)), &body)
}

/// A page with its head: the style, and the policy that nothing is loaded.
pub(super) fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// The sections of one run; `with_patients`: with who is in which fold.
pub(super) fn sections(record: &RunRecord, with_patients: bool) -> Vec<Section> {
    let section = |id, title, body| Section { id, title, body };
    let mut all = vec![section("figures", "Figures", overview::figures(record))];
    if !record.warnings.is_empty() {
        all.push(section("warnings", "Warnings of the check", overview::warnings(record)));
    }
    all.push(section("classes", "By class", judged::section(record)));
    if !record.evaluation.operating.is_empty() {
        all.push(section("operating", "At chosen thresholds", operating::section(record)));
    }
    if !record.evaluation.slices.is_empty() {
        all.push(section("slices", "Parts of the patients", slices::section(record)));
    }
    all.push(section("training", "Training", curves::section(record)));
    if with_patients {
        all.push(section("patients", "Images, patients and folds", cohort::section(record)));
    }
    all.push(section("settings", "What was run", settings::section(record)));
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

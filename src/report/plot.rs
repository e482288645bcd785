//! Numbers become small inline SVG plots that follow the page's theme.
//!
//! Colours are classes (`c0`..`c6`, Okabe and Ito's colour-blind-safe set), dashes tell apart what shares a colour;
//! text and axes use the page's own colour. Values that are not finite are left out, never drawn somewhere.

use maud::{Markup, html};

use super::words::{count_as_float, short};
use crate::record::Interval;

const WIDTH: f64 = 360.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 36.0;
const COLOURS: usize = 7;

/// Shape of a plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Three to two.
    Wide,
    /// Equal scales.
    Square,
}

impl Shape {
    fn height(self) -> f64 {
        match self {
            Self::Wide => 224.0,
            Self::Square => WIDTH - LEFT - RIGHT + TOP + BOTTOM,
        }
    }
}

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    label: String,
    from: f64,
    to: f64,
    ticks: Vec<f64>,
    step: f64,
}

impl Axis {
    /// From 0 to 1.
    pub(super) fn share(label: &str) -> Self {
        Self { label: label.to_owned(), from: 0.0, to: 1.0, ticks: vec![0.0, 0.25, 0.5, 0.75, 1.0], step: 0.25 }
    }

    /// Around values, with round ticks; 0..1 when there are none.
    pub(super) fn around(label: &str, values: impl Iterator<Item = f64>, from_zero: bool) -> Self {
        let (mut low, mut high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if from_zero {
            low = low.min(0.0);
        }
        if low > high {
            return Self::share(label);
        }
        if high - low < 1e-12 * high.abs().max(1e-300) {
            let room = if high == 0.0 { 1.0 } else { high.abs() * 0.5 };
            (low, high) = (low - room, high + room);
        }
        let step = round_step((high - low) / 4.0);
        let first = (low / step).floor();
        let last = (high / step).ceil();
        let mut ticks = Vec::new();
        let mut tick = first;
        while tick <= last && ticks.len() < 12 {
            ticks.push(tick * step);
            tick += 1.0;
        }
        Self { label: label.to_owned(), from: first * step, to: last * step, ticks, step }
    }

    /// Epochs from 1.
    pub(super) fn epochs(most: u32) -> Self {
        let most = most.max(2);
        let step = round_step(f64::from(most) / 6.0).max(1.0);
        let mut ticks = vec![1.0];
        let mut tick = step;
        while tick <= f64::from(most) && ticks.len() < 16 {
            if tick > 1.0 {
                ticks.push(tick);
            }
            tick += step;
        }
        Self { label: "epoch".to_owned(), from: 1.0, to: f64::from(most), ticks, step }
    }

    fn place(&self, value: f64) -> Option<f64> {
        let span = self.to - self.from;
        let share = (value - self.from) / span;
        (share.is_finite() && span > 0.0).then(|| share.clamp(0.0, 1.0))
    }

    fn tick_label(&self, tick: f64) -> String {
        if tick == 0.0 {
            return "0".to_owned();
        }
        if self.step < 1e-3 {
            // 2 * 1e-4 is not written 2.0000000000000001e-4
            let digits = if (tick / self.step).abs() < 10.0 { 1 } else { 2 };
            let text = format!("{tick:.digits$e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            return format!("{mantissa}e{exponent}");
        }
        let decimals = (0..6).find(|decimals| {
            let scaled = self.step * 10.0_f64.powi(*decimals);
            (scaled - scaled.round()).abs() < 1e-6
        });
        let decimals = usize::try_from(decimals.unwrap_or(6)).unwrap_or(6);
        format!("{tick:.decimals$}")
    }
}

/// 1, 2 or 5 times a power of ten, at least `rough`.
fn round_step(rough: f64) -> f64 {
    if !(rough.is_finite() && rough > 0.0) {
        return 1.0;
    }
    let power = 10.0_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough * 0.999).unwrap_or(10.0 * power)
}

/// A line with its name and its look.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// What the legend calls it.
    pub(super) name: String,
    /// In order of x.
    pub(super) points: Vec<(f64, f64)>,
    /// Which colour and dash; see [`look`].
    pub(super) look: usize,
    /// A point to stress.
    pub(super) mark: Option<(f64, f64)>,
}

/// The class names of the n-th look: seven colours, then dashed, then dotted.
pub(super) fn look(index: usize) -> String {
    format!("c{} d{}", index % COLOURS, (index / COLOURS) % 3)
}

struct Frame<'a> {
    x: &'a Axis,
    y: &'a Axis,
    height: f64,
}

impl Frame<'_> {
    fn bottom(&self) -> f64 {
        self.height - BOTTOM
    }

    fn x(&self, value: f64) -> Option<f64> {
        self.x.place(value).map(|share| LEFT + share * (WIDTH - RIGHT - LEFT))
    }

    fn y(&self, value: f64) -> Option<f64> {
        self.y.place(value).map(|share| self.bottom() - share * (self.bottom() - TOP))
    }

    fn point(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        Some((self.x(x)?, self.y(y)?))
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        let mut pen_down = false;
        for point in points {
            match self.point(*point) {
                Some((x, y)) => {
                    path.push_str(&[if pen_down { "L" } else { "M" }, &px(x), " ", &px(y)].concat());
                    pen_down = true;
                }
                None => pen_down = false,
            }
        }
        path
    }

    fn axes(&self) -> Markup {
        let (bottom, right) = (self.bottom(), WIDTH - RIGHT);
        html! {
            @for tick in &self.y.ticks {
                @if let Some(y) = self.y(*tick) {
                    line.grid x1=(px(LEFT)) x2=(px(right)) y1=(px(y)) y2=(px(y)) {}
                    text.tick x=(px(LEFT - 5.0)) y=(px(y + 3.5)) text-anchor="end" { (self.y.tick_label(*tick)) }
                }
            }
            @for tick in &self.x.ticks {
                @if let Some(x) = self.x(*tick) {
                    line.grid x1=(px(x)) x2=(px(x)) y1=(px(bottom)) y2=(px(bottom + 4.0)) {}
                    text.tick x=(px(x)) y=(px(bottom + 15.0)) text-anchor="middle" { (self.x.tick_label(*tick)) }
                }
            }
            path.axis d={ "M" (px(LEFT)) " " (px(TOP)) "V" (px(bottom)) "H" (px(right)) } {}
            text.axis-label x=(px(f64::midpoint(LEFT, right))) y=(px(self.height - 5.0)) text-anchor="middle" { (self.x.label) }
        }
    }
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}

fn picture(about: &str, height: f64, inside: &Markup) -> Markup {
    html! {
        svg viewBox={ "0 0 " (px(WIDTH)) " " (px(height)) } role="img" aria-label=(about) { (inside) }
    }
}

/// Lines over common axes.
pub(super) struct Lines<'a> {
    /// What is to be seen, with numbers, for those who do not see it.
    pub(super) about: &'a str,
    /// Its shape.
    pub(super) shape: Shape,
    /// Across.
    pub(super) x: &'a Axis,
    /// Up; its label stands above the plot in the caption.
    pub(super) y: &'a Axis,
    /// Drawn in order.
    pub(super) drawn: &'a [Line],
    /// The line from (0,0) to (1,1)?
    pub(super) diagonal: bool,
    /// A place on x that is marked, and how it is called.
    pub(super) marked: Option<(f64, &'a str)>,
}

impl Lines<'_> {
    /// The plot.
    pub(super) fn draw(&self) -> Markup {
        let frame = Frame { x: self.x, y: self.y, height: self.shape.height() };
        let inside = html! {
            (frame.axes())
            @if self.diagonal { path.diagonal d=(frame.path(&[(0.0, 0.0), (1.0, 1.0)])) {} }
            @if let Some((place, name)) = self.marked {
                @if let Some(x) = frame.x(place) {
                    line.marked x1=(px(x)) x2=(px(x)) y1=(px(TOP)) y2=(px(frame.bottom())) {}
                    @let left = x > WIDTH - RIGHT - 50.0;
                    text.tick x=(px(if left { x - 4.0 } else { x + 4.0 })) y=(px(TOP + 9.0)) text-anchor=(if left { "end" } else { "start" }) {
                        (name)
                    }
                }
            }
            @for line in self.drawn {
                path class={ "line " (look(line.look)) } d=(frame.path(&line.points)) { title { (line.name) } }
                @if line.points.len() == 1 {
                    @if let Some((x, y)) = line.points.first().and_then(|point| frame.point(*point)) {
                        circle class={ "dot " (look(line.look)) } cx=(px(x)) cy=(px(y)) r="3" {}
                    }
                }
                @if let Some((x, y)) = line.mark.and_then(|point| frame.point(point)) {
                    circle class={ "dot " (look(line.look)) } cx=(px(x)) cy=(px(y)) r="4" { title { (line.name) ": kept" } }
                }
            }
        };
        picture(self.about, frame.height, &inside)
    }
}

/// A dot of the reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bin {
    /// Mean top probability.
    pub(super) confidence: f64,
    /// Share of right answers.
    pub(super) accuracy: f64,
    /// Units in it.
    pub(super) count: u32,
}

/// Confidence against accuracy; the area of a dot grows with what it counts, the bar is its distance from the diagonal.
pub(super) fn reliability(about: &str, bins: &[Bin]) -> Markup {
    let (x, y) = (Axis::share("mean top probability"), Axis::share("share of right answers"));
    let frame = Frame { x: &x, y: &y, height: Shape::Square.height() };
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1).max(1);
    let joined: Vec<(f64, f64)> = bins.iter().map(|bin| (bin.confidence, bin.accuracy)).collect();
    let inside = html! {
        (frame.axes())
        path.diagonal d=(frame.path(&[(0.0, 0.0), (1.0, 1.0)])) {}
        path.line.thin.c0.d0 d=(frame.path(&joined)) {}
        @for bin in bins {
            @if let (Some((x, y)), Some(right)) = (frame.point((bin.confidence, bin.accuracy)), frame.y(bin.confidence)) {
                line.gap x1=(px(x)) x2=(px(x)) y1=(px(y)) y2=(px(right)) {}
                circle.dot.c0 cx=(px(x)) cy=(px(y)) r=(px(2.5 + 7.0 * (f64::from(bin.count) / f64::from(most)).sqrt())) {
                    title { (bin.count) " scored, mean top probability " (format!("{:.3}", bin.confidence)) ", right " (format!("{:.3}", bin.accuracy)) }
                }
            }
        }
    };
    picture(about, frame.height, &inside)
}

/// A row of a forest plot.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// What it is.
    pub(super) name: String,
    /// Where its dot is.
    pub(super) value: Option<f64>,
    /// From where to where its line goes.
    pub(super) interval: Option<Interval>,
    /// Is it drawn in another colour?
    pub(super) stressed: bool,
}

impl Row {
    /// `name 0.758 (0.712 to 0.804)`
    fn words(&self) -> String {
        match (self.value, self.interval) {
            (None, _) => format!("{} not defined", self.name),
            (Some(value), None) => format!("{} {}", self.name, rounded(value)),
            (Some(value), Some(interval)) => {
                format!("{} {} ({} to {})", self.name, rounded(value), rounded(interval.low), rounded(interval.high))
            }
        }
    }
}

const ROW: f64 = 34.0;

/// Values with their intervals, one row each under its name; `marked` is a place that all are held against.
pub(super) fn forest(about: &str, label: &str, rows: &[Row], marked: Option<(f64, &str)>) -> Markup {
    let ends = rows.iter().flat_map(|row| {
        let interval = row.interval.map(|interval| [interval.low, interval.high]);
        row.value.into_iter().chain(interval.into_iter().flatten())
    });
    let x = Axis::around(label, ends.chain(marked.map(|(place, _)| place)), false);
    let height = TOP + ROW * count_as_float(rows.len()) + 8.0 + BOTTOM;
    let bottom = height - BOTTOM;
    // Room for half of the outermost labels.
    let (left, right) = (18.0, WIDTH - 18.0);
    let place = |value: f64| x.place(value).map(|share| left + share * (right - left));
    let each: Vec<String> = rows.iter().map(Row::words).collect();
    let inside = html! {
        @for tick in &x.ticks {
            @if let Some(at) = place(*tick) {
                line.grid x1=(px(at)) x2=(px(at)) y1=(px(TOP)) y2=(px(bottom + 4.0)) {}
                text.tick x=(px(at)) y=(px(bottom + 15.0)) text-anchor="middle" { (x.tick_label(*tick)) }
            }
        }
        @if let Some((value, name)) = marked {
            @if let Some(at) = place(value) {
                line.marked x1=(px(at)) x2=(px(at)) y1=(px(TOP)) y2=(px(bottom)) { title { (name) } }
            }
        }
        path.axis d={ "M" (px(left)) " " (px(bottom)) "H" (px(right)) } {}
        text.axis-label x=(px(f64::midpoint(left, right))) y=(px(height - 5.0)) text-anchor="middle" { (label) }
        @for (row, top) in rows.iter().zip((0..).map(|row| TOP + ROW * f64::from(row))) {
            @let look = if row.stressed { "c1 d0" } else { "c0 d0" };
            @let middle = top + 24.0;
            text.row x=(px(left)) y=(px(top + 12.0)) { (row.name) }
            @if let Some((from, to)) = row.interval.and_then(|interval| Some((place(interval.low)?, place(interval.high)?))) {
                line class={ "line " (look) } x1=(px(from)) x2=(px(to)) y1=(px(middle)) y2=(px(middle)) { title { (row.words()) } }
            }
            @if let Some(at) = row.value.and_then(place) {
                circle class={ "dot " (look) } cx=(px(at)) cy=(px(middle)) r="4.5" { title { (row.words()) } }
            } @else {
                text.tick x=(px(left)) y=(px(middle + 4.0)) { "not defined" }
            }
        }
    };
    picture(&format!("{about}: {}", each.join("; ")), height, &inside)
}

/// What each line is.
pub(super) fn legend(entries: &[(usize, String)]) -> Markup {
    html! {
        ul.legend {
            @for (index, name) in entries {
                li {
                    svg.swatch viewBox="0 0 26 8" aria-hidden="true" { path class={ "line " (look(*index)) } d="M1 4H25" {} }
                    span { (name) }
                }
            }
        }
    }
}

/// First and last value in words: `1.021 to 0.310`; empty when there is nothing.
pub(super) fn ends(points: &[(f64, f64)]) -> String {
    match (points.first(), points.last()) {
        (Some((_, first)), Some((_, last))) => format!("{} to {}", rounded(*first), rounded(*last)),
        (Some(_) | None, None) | (None, Some(_)) => "no values".to_owned(),
    }
}

fn rounded(value: f64) -> String {
    if value.abs() >= 1e-2 || value == 0.0 { format!("{value:.3}") } else { short(value) }
}

/// The mean of finite values; `None` when there is none.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count_as_float(values.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|tick| axis.tick_label(*tick)).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            labels(&Axis::around("loss", [0.31, 1.02].into_iter(), false)),
            ["0.2", "0.4", "0.6", "0.8", "1.0", "1.2"]
        );
        assert_eq!(labels(&Axis::around("rate", [0.0, 1e-3].into_iter(), true)), ["0", "5e-4", "1e-3"]);
        assert_eq!(labels(&Axis::around("rate", [0.0, 3e-4].into_iter(), true)), ["0", "1e-4", "2e-4", "3e-4"]);
        assert_eq!(labels(&Axis::epochs(12)), ["1", "2", "4", "6", "8", "10", "12"]);
        assert_eq!(labels(&Axis::epochs(1)), ["1", "2"]);
    }

    #[test]
    fn odd_values_do_not_break_an_axis() {
        assert_eq!(Axis::around("none", std::iter::empty(), false), Axis::share("none"));
        assert_eq!(Axis::around("nan", [f64::NAN].into_iter(), false), Axis::share("nan"));
        let flat = Axis::around("flat", [0.5, 0.5].into_iter(), false);
        assert!(flat.from < 0.5 && flat.to > 0.5);
        for values in [[f64::MIN, f64::MAX], [1e-310, 2e-310], [1e300, 1.1e300]] {
            let axis = Axis::around("wild", values.into_iter(), false);
            assert!(axis.ticks.len() <= 12);
        }
    }

    #[test]
    fn a_gap_lifts_the_pen() {
        let (x, y) = (Axis::share("x"), Axis::share("y"));
        let frame = Frame { x: &x, y: &y, height: 224.0 };
        let path = frame.path(&[(0.0, 0.0), (0.5, f64::NAN), (1.0, 1.0)]);
        assert_eq!(path.matches('M').count(), 2);
        assert!(!path.contains("NaN"));
    }
}

//! Step and epoch become a learning rate.
//!
//! Everything but the plateau is a pure function of the place; the plateau looks at the inner validation figures.

use crate::record::ValidationFigures;
use crate::study::{Schedule, Watch};

use super::figures::{larger_is_better, watched};

/// How the learning rate of one training moves.
#[derive(Debug, Clone)]
pub struct LearningRate {
    base: f64,
    schedule: Schedule,
    steps: u32,
    epochs: u32,
    plateau: Option<Plateau>,
}

impl LearningRate {
    /// The rate of a training of `epochs` epochs of `steps` steps each, `base` being the rate as written.
    #[must_use]
    pub fn new(base: f64, schedule: Schedule, epochs: u32, steps: u32) -> Self {
        let plateau = match schedule {
            Schedule::Plateau { on, factor, patience, min_delta } => {
                Some(Plateau::new(base, larger_is_better(on), factor, patience, min_delta))
            }
            Schedule::Constant | Schedule::Cosine { .. } | Schedule::Step { .. } => None,
        };
        Self { base, schedule, steps, epochs, plateau }
    }

    /// The rate at a step (from 0) of an epoch (from 0).
    #[must_use]
    pub fn at(&self, epoch: u32, step: u32) -> f64 {
        match self.schedule {
            Schedule::Constant => self.base,
            Schedule::Cosine { warmup } => self.cosine(warmup, epoch, step),
            Schedule::Step { every, factor } => {
                let drops = epoch.checked_div(every).unwrap_or(0);
                self.base * factor.powi(i32::try_from(drops).unwrap_or(i32::MAX))
            }
            Schedule::Plateau { .. } => self.plateau.as_ref().map_or(self.base, |plateau| plateau.rate),
        }
    }

    /// Up in equal parts over the warm-up's steps, the last of which has the full rate; then half a cosine to 0,
    /// which the step after the last would reach. (Loshchilov, Hutter 2017, without restarts.)
    fn cosine(&self, warmup: f64, epoch: u32, step: u32) -> f64 {
        let steps = f64::from(self.steps);
        let now = f64::from(epoch) * steps + f64::from(step);
        let all = f64::from(self.epochs) * steps;
        let warm = (warmup * steps).round();
        if now < warm {
            return self.base * (now + 1.0) / warm;
        }
        if all <= warm {
            return self.base;
        }
        let part = ((now - warm) / (all - warm)).min(1.0);
        self.base * 0.5 * (1.0 + (std::f64::consts::PI * part).cos())
    }

    /// To be told of every epoch's validation figures; only the plateau listens. Without figures it stays.
    pub fn after_epoch(&mut self, figures: Option<&ValidationFigures>) {
        let on: Watch = match self.schedule {
            Schedule::Plateau { on, .. } => on,
            Schedule::Constant | Schedule::Cosine { .. } | Schedule::Step { .. } => return,
        };
        if let (Some(plateau), Some(figures)) = (&mut self.plateau, figures) {
            plateau.see(watched(figures, on));
        }
    }
}

/// torch's `ReduceLROnPlateau` with `threshold_mode = "abs"`, no cool-down and no lower bound.
#[derive(Debug, Clone)]
pub struct Plateau {
    rate: f64,
    larger_is_better: bool,
    factor: f64,
    patience: u32,
    min_delta: f64,
    best: Option<f64>,
    bad: u32,
}

impl Plateau {
    /// A plateau that has seen nothing.
    #[must_use]
    pub fn new(rate: f64, larger_is_better: bool, factor: f64, patience: u32, min_delta: f64) -> Self {
        Self { rate, larger_is_better, factor, patience, min_delta, best: None, bad: 0 }
    }

    /// One epoch's figure. More than `patience` epochs in a row without an improvement of more than
    /// `min_delta` multiply the rate by `factor`, unless that changes it by 1e-8 or less.
    pub fn see(&mut self, figure: f64) {
        if improves(figure, self.best, self.larger_is_better, self.min_delta) {
            self.best = Some(figure);
            self.bad = 0;
        } else {
            self.bad += 1;
        }
        if self.bad > self.patience {
            let lower = self.rate * self.factor;
            if self.rate - lower > 1e-8 {
                self.rate = lower;
            }
            self.bad = 0;
        }
    }

    /// The rate now.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

/// Is a figure better than the best so far by more than `min_delta`? What is not a number never is.
pub(super) fn improves(figure: f64, best: Option<f64>, larger_is_better: bool, min_delta: f64) -> bool {
    match best {
        None => !figure.is_nan(),
        Some(best) if larger_is_better => figure > best + min_delta,
        Some(best) => figure < best - min_delta,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(mut plateau: Plateau, figures: &[f64]) -> Vec<f64> {
        figures
            .iter()
            .map(|&figure| {
                plateau.see(figure);
                plateau.rate()
            })
            .collect()
    }

    fn close(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} is not {b}");
        }
    }

    /// torch: `ReduceLROnPlateau(SGD([p], lr=1.0), mode="max", factor=0.1, patience=1, threshold=0.01,
    /// threshold_mode="abs")`, followed by hand: 0.5 best; 0.505 bad 1; 0.50 bad 2 > 1: drop; 0.6 best; 0.61 is not more
    /// than 0.01 better: bad 1; 0.62 best; 0.1 bad 1; NaN bad 2: drop.
    #[test]
    fn plateau_follows_torch_for_larger_is_better() {
        let plateau = Plateau::new(1.0, true, 0.1, 1, 0.01);
        let seen = rates(plateau, &[0.5, 0.505, 0.50, 0.6, 0.61, 0.62, 0.1, f64::NAN]);
        close(&seen, &[1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01]);
    }

    /// patience 0: every epoch that does not improve drops the rate; differences of 1e-8 or less are not applied.
    #[test]
    fn plateau_follows_torch_for_smaller_is_better() {
        let seen = rates(Plateau::new(1e-6, false, 0.01, 0, 0.0), &[2.0, 2.0, 1.0, 3.0, 3.0]);
        close(&seen, &[1e-6, 1e-8, 1e-8, 1e-8, 1e-8]);
    }

    #[test]
    fn cosine_warms_up_and_comes_down() {
        let rate = LearningRate::new(1.0, Schedule::Cosine { warmup: 0.5 }, 2, 4);
        let seen: Vec<f64> = (0..8).map(|t| rate.at(t / 4, t % 4)).collect();
        let half = |part: f64| 0.5 * (1.0 + (std::f64::consts::PI * part).cos());
        let expected =
            [0.5, 1.0, half(0.0), half(1.0 / 6.0), half(2.0 / 6.0), half(0.5), half(4.0 / 6.0), half(5.0 / 6.0)];
        close(&seen, &expected);
        assert!((expected[4] - 0.75).abs() < 1e-12);
    }

    #[test]
    fn steps_drop_every_so_many_epochs() {
        let rate = LearningRate::new(0.8, Schedule::Step { every: 2, factor: 0.5 }, 6, 3);
        let seen: Vec<f64> = (0..6).map(|epoch| rate.at(epoch, 2)).collect();
        close(&seen, &[0.8, 0.8, 0.4, 0.4, 0.2, 0.2]);
    }
}

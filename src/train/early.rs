//! Validation figures become two decisions: when to stop, and which epoch's weights to keep.

use crate::record::ValidationFigures;
use crate::study::{EarlyStop, KeepEpoch};

use super::figures::{larger_is_better, name, watched};
use super::schedule::improves;

/// Stops a training that no longer improves on the inner validation images (Keras's `EarlyStopping`).
#[derive(Debug, Clone)]
pub struct EarlyStopping {
    rule: EarlyStop,
    best: Option<(f64, u32)>,
    bad: u32,
}

impl EarlyStopping {
    /// A rule that has seen nothing.
    #[must_use]
    pub fn new(rule: EarlyStop) -> Self {
        Self { rule, best: None, bad: 0 }
    }

    /// One epoch's figures (epoch from 1); says why to stop now, if so. Stops after `patience` epochs in a row
    /// without improvement, and never before the first such epoch.
    pub fn see(&mut self, epoch: u32, figures: &ValidationFigures) -> Option<String> {
        let figure = watched(figures, self.rule.on);
        if improves(figure, self.best.map(|best| best.0), larger_is_better(self.rule.on), 0.0) {
            self.best = Some((figure, epoch));
            self.bad = 0;
            return None;
        }
        self.bad += 1;
        if self.bad < self.rule.patience.max(1) {
            return None;
        }
        let watched = name(self.rule.on);
        let epochs = if self.bad == 1 { "epoch" } else { "epochs" };
        Some(match self.best {
            Some((best, at)) => format!(
                "{watched} on the validation images has not improved for {} {epochs} (best {best:.4} in epoch {at})",
                self.bad
            ),
            None => format!("{watched} on the validation images was never a number"),
        })
    }
}

/// Chooses the epoch whose weights are kept. Ties keep the earlier one.
#[derive(Debug, Clone)]
pub struct BestEpoch {
    rule: KeepEpoch,
    best: Option<f64>,
}

impl BestEpoch {
    /// A rule that has seen nothing.
    #[must_use]
    pub fn new(rule: KeepEpoch) -> Self {
        Self { rule, best: None }
    }

    /// One epoch's figures; are its weights to be kept instead of those before? Without figures the latest are.
    pub fn see(&mut self, figures: Option<&ValidationFigures>) -> bool {
        match (self.rule, figures) {
            (KeepEpoch::Last, _) | (KeepEpoch::Best(_), None) => true,
            (KeepEpoch::Best(on), Some(figures)) => {
                let figure = watched(figures, on);
                let better = improves(figure, self.best, larger_is_better(on), 0.0);
                if better {
                    self.best = Some(figure);
                }
                better
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Watch;

    fn figures(macro_f1: f64, loss: f64) -> ValidationFigures {
        ValidationFigures { loss, accuracy: 0.0, balanced_accuracy: 0.0, macro_f1 }
    }

    #[test]
    fn stops_after_patience_epochs_without_improvement() {
        let mut stopping = EarlyStopping::new(EarlyStop { on: Watch::MacroF1, patience: 2 });
        let seen: Vec<Option<String>> = [0.2, 0.5, 0.5, 0.6, 0.6, 0.1]
            .iter()
            .zip(1..)
            .map(|(&f1, epoch)| stopping.see(epoch, &figures(f1, 0.0)))
            .collect();
        assert_eq!(seen[..5], [None, None, None, None, None]);
        assert_eq!(
            seen[5].as_deref(),
            Some("macro_f1 on the validation images has not improved for 2 epochs (best 0.6000 in epoch 4)")
        );
    }

    #[test]
    fn a_smaller_loss_is_better() {
        let mut stopping = EarlyStopping::new(EarlyStop { on: Watch::Loss, patience: 1 });
        assert_eq!(stopping.see(1, &figures(0.0, 2.0)), None);
        assert_eq!(stopping.see(2, &figures(0.0, 1.0)), None);
        assert!(stopping.see(3, &figures(0.0, 1.0)).is_some());
    }

    #[test]
    fn keeps_the_first_of_the_best_epochs() {
        let mut best = BestEpoch::new(KeepEpoch::Best(Watch::MacroF1));
        let kept: Vec<bool> = [0.3, 0.7, 0.7, 0.2, 0.8].iter().map(|&f1| best.see(Some(&figures(f1, 0.0)))).collect();
        assert_eq!(kept, [true, true, false, false, true]);
        assert!(BestEpoch::new(KeepEpoch::Last).see(Some(&figures(0.0, 0.0))));
    }
}

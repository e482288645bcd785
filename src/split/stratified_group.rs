//! Our own solver: patients become folds with the classes as even as we can make them.
//!
//! 1. A greedy deal ([`super::greedy`]), equal to scikit-learn's.
//! 2. Folds that stayed empty are given a patient each.
//! 3. Patients move to another fold, or change places two at a time, as long as the classes get evener. Patients
//!    with the same counts are interchangeable, so kinds of patients are tried, not patients. A step is taken only
//!    if it lowers the mean spread and leaves every figure of [`Balance`] no worse than after 2.
//!
//! Hence what is promised: no fold is empty, no patient is in two, and no figure is worse than scikit-learn's (where
//! that leaves a fold empty, the class mix of a fold with nobody in it is no figure to compare with). The work of
//! step 3 is bounded by a count of trials, not by a clock, so the same input gives the same folds everywhere.

use std::collections::BTreeMap;

use super::SplitError;
use super::balance::{Balance, Table, as_f64};
use super::greedy::{self, Patients};
use super::scikit::dense;

/// How many (trial, class) pairs step 3 may look at: well under a second in a release build.
const WORK: u64 = 60_000_000;

/// A step must lower the mean spread by more than rounding.
const GAIN: f64 = 1e-12;

/// Deals whole groups into folds with the classes balanced: the fold of each row.
///
/// `groups` are any numbers whose order is that of the group names, such as [`super::ranks`]. `shuffle` is the seed
/// that varies how ties are broken, if there is one.
///
/// # Errors
/// Fewer than two folds, or more folds than groups.
pub fn stratified_group(
    labels: &[u32],
    groups: &[u32],
    folds: u32,
    shuffle: Option<u64>,
) -> Result<Vec<u32>, SplitError> {
    if folds < 2 {
        return Err(SplitError::FewerThanTwoFolds { folds });
    }
    let rows = labels.len().min(groups.len());
    let (labels, classes) = dense(&labels[..rows]);
    let (groups, distinct) = dense(&groups[..rows]);
    if distinct < folds as usize {
        let patients = u32::try_from(distinct).unwrap_or(u32::MAX);
        return Err(SplitError::TooFewPatients { patients, folds });
    }
    let patients = Patients::count(&labels, &groups, classes, distinct);
    let first = greedy::deal(&patients, folds as usize, shuffle);
    let mut deal = Deal::new(&patients, folds as usize, &first);
    deal.fill_empty_folds();
    deal.improve();
    let fold_of = deal.fold_of_patient();
    Ok(groups.iter().map(|group| fold_of[*group as usize]).collect())
}

/// Kinds of patients and where they are.
struct Deal {
    table: Table,
    /// Per class [`Table::squares`] of `table`.
    squares: Vec<f64>,
    kinds: Vec<Kind>,
    /// Patients in each fold.
    sizes: Vec<usize>,
    /// What no step may make worse.
    bound: Balance,
    work: u64,
}

/// Patients with the same counts.
struct Kind {
    /// Images of each class.
    counts: Vec<f64>,
    /// The patients of each fold.
    members: Vec<Vec<usize>>,
}

impl Deal {
    fn new(patients: &Patients, folds: usize, fold_of: &[usize]) -> Self {
        let mut table = Table::new(folds, patients.totals());
        let mut sizes = vec![0; folds];
        let mut by_counts: BTreeMap<Vec<u64>, Kind> = BTreeMap::new();
        for (patient, fold) in fold_of.iter().enumerate() {
            let counts = patients.of(patient);
            table.add(*fold, counts, 1.0);
            sizes[*fold] += 1;
            let images: f64 = counts.iter().sum();
            // small patients first: they are what is left to fine-tune with. (Bits of positive doubles sort as they do.)
            let key = std::iter::once(images).chain(counts.iter().copied()).map(f64::to_bits).collect();
            by_counts
                .entry(key)
                .or_insert_with(|| Kind { counts: counts.to_vec(), members: vec![Vec::new(); folds] })
                .members[*fold]
                .push(patient);
        }
        let squares = (0..table.classes).map(|class| table.squares(class)).collect();
        let bound = table.balance();
        Self { table, squares, kinds: by_counts.into_values().collect(), sizes, bound, work: WORK }
    }

    fn fold_of_patient(&self) -> Vec<u32> {
        let mut fold_of = vec![0; self.sizes.iter().sum()];
        for kind in &self.kinds {
            for (fold, members) in kind.members.iter().enumerate() {
                for patient in members {
                    fold_of[*patient] = u32::try_from(fold).unwrap_or(u32::MAX);
                }
            }
        }
        fold_of
    }

    /// Gives each empty fold the patient whose move costs least. There are at least as many patients as folds, so
    /// while a fold is empty another holds two. Moving a patient from a fold into an empty one makes no share
    /// deviate more than before, so the figures of the deal do not suffer.
    fn fill_empty_folds(&mut self) {
        while let Some(empty) = self.sizes.iter().position(|size| *size == 0) {
            let mut best: Option<(f64, usize, usize)> = None;
            for kind in 0..self.kinds.len() {
                for from in 0..self.table.folds {
                    if self.sizes[from] < 2 || self.kinds[kind].members[from].is_empty() {
                        continue;
                    }
                    let change = self.change(kind, None, from, empty);
                    if best.is_none_or(|(least, _, _)| change < least) {
                        best = Some((change, kind, from));
                    }
                }
            }
            let Some((_, kind, from)) = best else { return };
            self.step(kind, None, from, empty);
            self.bound = self.table.balance();
        }
    }

    /// Takes improving steps until there is none or the work is used up.
    fn improve(&mut self) {
        loop {
            let moved = self.pass(Self::try_moves);
            let swapped = self.pass(Self::try_swaps);
            if !(moved || swapped) || self.work == 0 {
                return;
            }
        }
    }

    fn pass(&mut self, attempt: fn(&mut Self, usize, usize, usize) -> bool) -> bool {
        let mut improved = false;
        for kind in 0..self.kinds.len() {
            for from in 0..self.table.folds {
                for to in 0..self.table.folds {
                    if from != to && !self.kinds[kind].members[from].is_empty() {
                        improved |= attempt(self, kind, from, to);
                    }
                    if self.work == 0 {
                        return improved;
                    }
                }
            }
        }
        improved
    }

    fn try_moves(&mut self, kind: usize, from: usize, to: usize) -> bool {
        let mut improved = false;
        while self.sizes[from] > 1 && !self.kinds[kind].members[from].is_empty() && self.attempt(kind, None, from, to) {
            improved = true;
        }
        improved
    }

    fn try_swaps(&mut self, kind: usize, from: usize, to: usize) -> bool {
        let mut improved = false;
        for other in kind + 1..self.kinds.len() {
            while !self.kinds[kind].members[from].is_empty()
                && !self.kinds[other].members[to].is_empty()
                && self.attempt(kind, Some(other), from, to)
            {
                improved = true;
            }
            if self.work == 0 {
                break;
            }
        }
        improved
    }

    /// Takes the step if it is an improvement within the bound.
    fn attempt(&mut self, kind: usize, other: Option<usize>, from: usize, to: usize) -> bool {
        self.work = self.work.saturating_sub(self.table.classes as u64);
        if self.change(kind, other, from, to) >= -GAIN {
            return false;
        }
        self.step(kind, other, from, to);
        if self.table.balance().no_worse_than(&self.bound) {
            return true;
        }
        self.undo(kind, other, from, to);
        false
    }

    /// How the mean spread would change.
    fn change(&self, kind: usize, other: Option<usize>, from: usize, to: usize) -> f64 {
        let folds = as_f64(self.table.folds);
        let mut change = 0.0;
        for class in 0..self.table.classes {
            let back = other.map_or(0.0, |other| self.kinds[other].counts[class]);
            let moved = folds * (self.kinds[kind].counts[class] - back);
            if moved != 0.0 {
                let apart = self.table.excess(from, class) - self.table.excess(to, class);
                let squares = self.squares[class];
                let after = (squares + 2.0 * moved * (moved - apart)).max(0.0);
                change += self.table.deviation(class, after) - self.table.deviation(class, squares);
            }
        }
        change / as_f64(self.table.classes)
    }

    fn step(&mut self, kind: usize, other: Option<usize>, from: usize, to: usize) {
        self.transfer(kind, from, to);
        if let Some(other) = other {
            self.transfer(other, to, from);
        }
        for class in 0..self.table.classes {
            self.squares[class] = self.table.squares(class);
        }
    }

    fn undo(&mut self, kind: usize, other: Option<usize>, from: usize, to: usize) {
        self.step(kind, None, to, from);
        if let Some(other) = other {
            self.step(other, None, from, to);
        }
    }

    fn transfer(&mut self, kind: usize, from: usize, to: usize) {
        let Kind { counts, members } = &mut self.kinds[kind];
        if let Some(patient) = members[from].pop() {
            members[to].push(patient);
            self.sizes[from] -= 1;
            self.sizes[to] += 1;
            self.table.add(from, counts, -1.0);
            self.table.add(to, counts, 1.0);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests; the numbers are small")]
mod tests {
    use super::stratified_group;
    use crate::draw::{DrawKey, Stage};
    use crate::split::balance::balance;
    use crate::split::{SplitError, greedy};

    #[test]
    fn folds_are_whole_patients_none_is_empty_and_the_deal_repeats() {
        for case in 0..300 {
            let mut draw = DrawKey { seed: 7, stage: Stage::Folds, epoch: 0, sample: case }.stream();
            let folds = 2 + draw.below(6);
            let patients = folds + draw.below(30);
            let classes = 1 + draw.below(5);
            let rows = patients + draw.below(150);
            let groups: Vec<u32> =
                (0..rows).map(|row| if row < patients { row } else { draw.below(patients) } as u32).collect();
            let labels: Vec<u32> = groups.iter().map(|_| draw.below(classes) as u32).collect();
            let shuffle = draw.chance(0.5).then_some(case);
            let fold = stratified_group(&labels, &groups, folds as u32, shuffle).unwrap();
            assert_eq!(fold, stratified_group(&labels, &groups, folds as u32, shuffle).unwrap());

            let mut fold_of = vec![None; patients];
            let mut sizes = vec![0; folds];
            for (group, fold) in groups.iter().zip(&fold) {
                assert_eq!(
                    *fold_of[*group as usize].get_or_insert(*fold),
                    *fold,
                    "case {case}: a patient in two folds"
                );
                sizes[*fold as usize] += 1;
            }
            assert!(sizes.iter().all(|size| *size > 0), "case {case}: an empty fold in {sizes:?}");

            let (dense, distinct) = super::dense(&labels);
            let counts = greedy::Patients::count(&dense, &groups, distinct, patients);
            let first = greedy::deal(&counts, folds, shuffle);
            let first: Vec<u32> = groups.iter().map(|group| first[*group as usize] as u32).collect();
            let (ours, greedys) = (balance(&labels, &fold, folds as u32), balance(&labels, &first, folds as u32));
            assert!(ours.no_worse_than(&greedys), "case {case}: {ours:?} after {greedys:?}");
        }
    }

    #[test]
    fn as_many_patients_as_folds_get_one_fold_each() {
        let fold = stratified_group(&[0, 0, 0, 1, 1, 0], &[0, 0, 0, 1, 1, 2], 3, None).unwrap();
        let mut of_patient = vec![fold[0], fold[3], fold[5]];
        of_patient.sort_unstable();
        assert_eq!(of_patient, [0, 1, 2]);
    }

    #[test]
    fn a_perfect_deal_is_found_where_the_greedy_one_is_not_perfect() {
        // greedily 3 | 3, then 2 | 2, then 2 more: 7 | 5, while 3 + 3 | 2 + 2 + 2 is even
        let sizes = [3, 3, 2, 2, 2];
        let groups: Vec<u32> = sizes.iter().enumerate().flat_map(|(p, n)| vec![p as u32; *n]).collect();
        let labels = vec![0; groups.len()];
        let fold = stratified_group(&labels, &groups, 2, None).unwrap();
        assert_eq!(fold.iter().filter(|fold| **fold == 0).count(), 6);
    }

    #[test]
    fn more_folds_than_patients_is_an_error() {
        assert_eq!(
            stratified_group(&[0, 1, 0], &[4, 4, 9], 3, None),
            Err(SplitError::TooFewPatients { patients: 2, folds: 3 })
        );
    }
}

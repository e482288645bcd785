//! Scores of one class become its ROC curve and the area under it, ties as scikit-learn counts them.

/// Most points a stored curve has.
const MOST_POINTS: usize = 200;

/// Counts of false and true positives at each distinct threshold, from (0, 0) to all.
#[derive(Debug)]
pub(super) struct Curve {
    steps: Vec<(u32, u32)>,
}

/// The curve of (score, is it this class); `None` when one side is empty.
pub(super) fn curve(mut scores: Vec<(f64, bool)>) -> Option<Curve> {
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut steps = vec![(0, 0)];
    let (mut false_positives, mut true_positives) = (0, 0);
    for (at, (score, positive)) in scores.iter().enumerate() {
        if *positive {
            true_positives += 1;
        } else {
            false_positives += 1;
        }
        // a threshold lies only between different scores
        if scores.get(at + 1).is_none_or(|(next, _)| *next < *score) {
            steps.push((false_positives, true_positives));
        }
    }
    (false_positives > 0 && true_positives > 0).then_some(Curve { steps })
}

impl Curve {
    fn totals(&self) -> (f64, f64) {
        let (negatives, positives) = self.steps.last().copied().unwrap_or((1, 1));
        (f64::from(negatives), f64::from(positives))
    }

    /// Trapezoidal area, 0..1: the chance that a positive scores above a negative, ties counted half.
    pub(super) fn area(&self) -> f64 {
        let (negatives, positives) = self.totals();
        let twice: f64 = self
            .steps
            .windows(2)
            .map(|pair| f64::from(pair[1].0 - pair[0].0) * (f64::from(pair[1].1) + f64::from(pair[0].1)))
            .sum();
        twice / (2.0 * negatives * positives)
    }

    /// (false positive rate, true positive rate), corners only, thinned evenly to at most 200.
    pub(super) fn points(&self) -> Vec<(f64, f64)> {
        let (negatives, positives) = self.totals();
        let mut corners: Vec<(u32, u32)> = Vec::new();
        for step in &self.steps {
            if let [.., before, last] = corners[..]
                && straight(before, last, *step)
            {
                corners.pop();
            }
            corners.push(*step);
        }
        let kept = corners.len().min(MOST_POINTS);
        let last = corners.len() - 1;
        (0..kept)
            .map(|point| corners[(point * last + (kept - 1) / 2) / (kept - 1)])
            .map(|(false_positives, true_positives)| {
                (f64::from(false_positives) / negatives, f64::from(true_positives) / positives)
            })
            .collect()
    }
}

/// Do three points of the curve lie on one line?
fn straight(a: (u32, u32), b: (u32, u32), c: (u32, u32)) -> bool {
    u64::from(b.0 - a.0) * u64::from(c.1 - b.1) == u64::from(b.1 - a.1) * u64::from(c.0 - b.0)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::curve;

    #[test]
    #[expect(clippy::float_cmp, reason = "the areas are small fractions")]
    fn ties_count_half_and_an_empty_side_has_no_curve() {
        let tied = curve(vec![(0.5, true), (0.5, false)]).unwrap();
        assert_eq!(tied.area(), 0.5);
        assert_eq!(tied.points(), [(0.0, 0.0), (1.0, 1.0)]);
        let perfect = curve(vec![(0.9, true), (0.1, false), (0.8, true)]).unwrap();
        assert_eq!(perfect.area(), 1.0);
        assert_eq!(perfect.points(), [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]);
        assert!(curve(vec![(0.9, true)]).is_none());
        assert!(curve(Vec::new()).is_none());
    }

    #[test]
    fn a_long_curve_is_thinned_and_keeps_its_ends() {
        let scores = (0..5000_u32).map(|n| (f64::from(n), (n * 7919) % 13 < 6)).collect();
        let points = curve(scores).unwrap().points();
        assert_eq!(points.len(), 200);
        assert_eq!((points.first(), points.last()), (Some(&(0.0, 0.0)), Some(&(1.0, 1.0))));
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
    }
}

//! scikit-learn's folds: rows, classes or patients become exactly the folds that Python users know.
//!
//! Held against scikit-learn 1.9 on stored assignments (`tests/fixtures/split`). Three things decide equality:
//!
//! * **The stream.** `shuffle = true, seed = s` is `shuffle=True, random_state=s`; see [`super::mt19937`].
//! * **Ties of `GroupKFold`.** Largest groups are dealt first; of groups of one size the *last* in sorted order is
//!   dealt first, because scikit-learn reverses a stable ascending sort. (Releases that sorted without
//!   `kind="stable"` broke ties as the processor's vector unit happened to; no program can equal those.)
//! * **The order of patients.** numpy sorts numbers as numbers and texts by code point. Our patients are texts, so
//!   [`ranks`] sorts them as numbers when each is a whole number as one writes it, else as texts. (Padded numbers of
//!   unequal width, `017` beside `9`, are texts here: pandas reads them as numbers unless told `dtype=str`.)

use super::SplitError;
use super::mt19937::Mt19937;

/// Which number each name has in numpy's sorted order of distinct names, from 0; equal names share a number.
///
/// When every name is a whole number as one writes it (`17`, `-3`; not `017`, `+3`, `1.0`) and they all fit 64 bits,
/// the order is that of the numbers; otherwise it is by code point.
#[must_use]
pub fn ranks(names: &[String]) -> Vec<u32> {
    let whole: Option<Vec<i128>> = names.iter().map(|name| whole_number(name)).collect();
    match whole {
        Some(numbers) if fits_one_type(&numbers) => dense(&numbers).0,
        Some(_) | None => dense(names).0,
    }
}

fn whole_number(name: &str) -> Option<i128> {
    let value: i128 = name.parse().ok()?;
    (value.to_string() == name).then_some(value)
}

/// Do all fit numpy's `int64`, or all its `uint64`?
fn fits_one_type(numbers: &[i128]) -> bool {
    numbers.iter().all(|n| i64::try_from(*n).is_ok()) || numbers.iter().all(|n| u64::try_from(*n).is_ok())
}

/// Each item's place among the sorted distinct items, and how many of those there are.
pub(super) fn dense<T: Ord>(items: &[T]) -> (Vec<u32>, usize) {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|a, b| items[*a].cmp(&items[*b]));
    let mut places = vec![0; items.len()];
    let mut place = 0;
    for (at, index) in order.iter().enumerate() {
        if at > 0 && items[order[at - 1]] != items[*index] {
            place += 1;
        }
        places[*index] = place;
    }
    (places, if items.is_empty() { 0 } else { place as usize + 1 })
}

fn at_least_two(folds: u32) -> Result<usize, SplitError> {
    if folds < 2 { Err(SplitError::FewerThanTwoFolds { folds }) } else { Ok(folds as usize) }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// `numpy.array_split(range(items), parts)` as the part of each item: the first `items % parts` hold one more.
fn parts_of_range(items: usize, parts: usize) -> impl Iterator<Item = u32> {
    let (small, larger) = (items / parts, items % parts);
    (0..parts).flat_map(move |part| std::iter::repeat_n(count(part), small + usize::from(part < larger)))
}

/// scikit-learn's `KFold`: the fold of each row.
///
/// `shuffle` is the seed of the shuffle, if there is one.
///
/// # Errors
/// Fewer than two folds, or more folds than rows.
pub fn k_fold(rows: usize, folds: u32, shuffle: Option<u64>) -> Result<Vec<u32>, SplitError> {
    let parts = at_least_two(folds)?;
    if rows < parts {
        return Err(SplitError::TooFewRows { rows: count(rows), folds });
    }
    let mut order: Vec<u32> = (0..count(rows)).collect();
    if let Some(seed) = shuffle {
        Mt19937::new(seed).shuffle(&mut order);
    }
    let mut fold = vec![0; rows];
    for (row, part) in order.into_iter().zip(parts_of_range(rows, parts)) {
        fold[row as usize] = part;
    }
    Ok(fold)
}

/// scikit-learn's `StratifiedKFold`: the fold of each row, given its class.
///
/// Classes may be any numbers: they are dealt in the order in which they first appear.
///
/// # Errors
/// Fewer than two folds, more folds than rows, or no class with a row for every fold.
pub fn stratified_k_fold(labels: &[u32], folds: u32, shuffle: Option<u64>) -> Result<Vec<u32>, SplitError> {
    let parts = at_least_two(folds)?;
    if labels.len() < parts {
        return Err(SplitError::TooFewRows { rows: count(labels.len()), folds });
    }
    let rows_of_class = rows_by_appearance(labels);
    let largest = rows_of_class.iter().map(Vec::len).max().unwrap_or(0);
    if largest < parts {
        return Err(SplitError::TooFewInEveryClass { largest: count(largest), folds });
    }
    let mut random = shuffle.map(Mt19937::new);
    let mut fold = vec![0; labels.len()];
    let mut start = 0;
    for rows in rows_of_class {
        // in rows sorted by class, place p belongs to fold p mod folds: that is how many of this class each fold gets
        let mut sizes = vec![0_usize; parts];
        for place in start..start + rows.len() {
            sizes[place % parts] += 1;
        }
        start += rows.len();
        let mut blocks: Vec<u32> =
            sizes.iter().enumerate().flat_map(|(part, size)| std::iter::repeat_n(count(part), *size)).collect();
        if let Some(random) = &mut random {
            random.shuffle(&mut blocks);
        }
        for (row, part) in rows.into_iter().zip(blocks) {
            fold[row] = part;
        }
    }
    Ok(fold)
}

fn rows_by_appearance(labels: &[u32]) -> Vec<Vec<usize>> {
    let mut rows: indexmap::IndexMap<u32, Vec<usize>> = indexmap::IndexMap::new();
    for (row, label) in labels.iter().enumerate() {
        rows.entry(*label).or_default().push(row);
    }
    rows.into_values().collect()
}

/// scikit-learn's `GroupKFold`: the fold of each row, given its group.
///
/// Groups are any numbers whose order is numpy's order of the group names, such as [`ranks`].
///
/// # Errors
/// Fewer than two folds, or more folds than groups.
pub fn group_k_fold(groups: &[u32], folds: u32, shuffle: Option<u64>) -> Result<Vec<u32>, SplitError> {
    let parts = at_least_two(folds)?;
    let (groups, distinct) = dense(groups);
    if distinct < parts {
        return Err(SplitError::TooFewPatients { patients: count(distinct), folds });
    }
    let fold_of_group = match shuffle {
        Some(seed) => {
            let mut fold = vec![0; distinct];
            let order = Mt19937::new(seed).permutation(count(distinct));
            for (group, part) in order.into_iter().zip(parts_of_range(distinct, parts)) {
                fold[group as usize] = part;
            }
            fold
        }
        None => largest_first(&groups, distinct, parts),
    };
    Ok(groups.iter().map(|group| fold_of_group[*group as usize]).collect())
}

/// The largest group goes to the fold with the fewest rows, and so on.
fn largest_first(groups: &[u32], distinct: usize, parts: usize) -> Vec<u32> {
    let mut sizes = vec![0_u64; distinct];
    for group in groups {
        sizes[*group as usize] += 1;
    }
    let mut order: Vec<usize> = (0..distinct).collect();
    order.sort_by_key(|group| sizes[*group]);
    order.reverse();
    let mut rows = vec![0_u64; parts];
    let mut fold = vec![0; distinct];
    for group in order {
        let lightest = (0..parts).min_by_key(|part| rows[*part]).unwrap_or(0);
        rows[lightest] += sizes[group];
        fold[group] = count(lightest);
    }
    fold
}

#[cfg(test)]
mod tests {
    use super::{group_k_fold, k_fold, ranks, stratified_k_fold};
    use crate::split::SplitError;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_that_are_whole_numbers_are_sorted_as_numbers() {
        assert_eq!(ranks(&names(&["10", "9", "-3", "10"])), [2, 1, 0, 2]);
        assert_eq!(ranks(&names(&["10", "9", "p3", "10"])), [0, 1, 2, 0]);
        assert_eq!(ranks(&names(&["10", "09"])), [1, 0]);
        // one number too large for 64 bits: pandas keeps the column as text
        assert_eq!(ranks(&names(&["10", "9", "99999999999999999999999"])), [0, 1, 2]);
    }

    #[test]
    fn more_folds_than_there_is_to_deal_is_an_error() {
        assert_eq!(k_fold(3, 4, None), Err(SplitError::TooFewRows { rows: 3, folds: 4 }));
        assert_eq!(k_fold(3, 1, None), Err(SplitError::FewerThanTwoFolds { folds: 1 }));
        assert_eq!(
            stratified_k_fold(&[0, 0, 1, 1], 3, None),
            Err(SplitError::TooFewInEveryClass { largest: 2, folds: 3 })
        );
        assert_eq!(group_k_fold(&[7, 7, 8], 3, None), Err(SplitError::TooFewPatients { patients: 2, folds: 3 }));
    }
}

//! Convolution of few channels a group, depthwise above all: sums of long runs over padded planes ([`super::phases`]).
//!
//! Compiled for each instruction set, chosen at run time.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::affine::Finish;
use super::cpu::Sizes;
use super::phases::{Layout, WIDTH};
use super::values::written_with;
use crate::simd::arch;

/// A run of outputs, each the sum of `weights` times what the taps read.
struct Correlate<'a> {
    taps: &'a [usize],
    weights: &'a [f32],
    padded: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (number, out) in self.out.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
            let mut sums = [0.0_f32; WIDTH];
            for (tap, weight) in self.taps.iter().zip(self.weights) {
                for (sum, value) in sums.iter_mut().zip(&self.padded[number * WIDTH + tap..][..WIDTH]) {
                    *sum += weight * value;
                }
            }
            *out = sums;
        }
    }
}

/// Adds to each tap's sums the products of a run of the output's gradient and what the tap had read.
struct Collect<'a> {
    taps: &'a [usize],
    sums: &'a mut [[f32; WIDTH]],
    padded: &'a [f32],
    /// Zero between the rows.
    out: &'a [f32],
}

impl WithSimd for Collect<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (out, _) = self.out.as_chunks::<WIDTH>();
        for (tap, place) in self.taps.iter().zip(self.sums) {
            let (reads, _) = self.padded[*tap..].as_chunks::<WIDTH>();
            let mut sums = *place;
            for (out, read) in out.iter().zip(reads) {
                for (sum, (out, value)) in sums.iter_mut().zip(out.iter().zip(read)) {
                    *sum += out * value;
                }
            }
            *place = sums;
        }
    }
}

fn layout(sizes: &Sizes) -> Layout {
    Layout::new(sizes.kernel_sides(), (sizes.out_height, sizes.out_width), sizes.stride, (sizes.top, sizes.left))
}

/// What a task needs besides its data.
#[derive(Default)]
struct Scratch {
    padded: Vec<f32>,
    run: Vec<f32>,
    sums: Vec<[f32; WIDTH]>,
}

/// `[images, outputs, out height, out width]`, finished.
pub(super) fn forward(sizes: &Sizes, input: &[f32], weight: &[f32], finish: &impl Finish) -> Vec<f32> {
    let (layout, group) = (layout(sizes), sizes.group());
    let taps = layout.taps(group.inputs, sizes.kernel_sides());
    let length = sizes.images * sizes.output();
    written_with(length, group.output(), Scratch::default, |Scratch { padded, run, .. }, index, output| {
        layout.pad(&input[index * group.image()..][..group.image()], sizes.height, sizes.width, 0.0, padded);
        run.resize(layout.run, 0.0);
        let first = index % sizes.groups * group.outputs;
        let weights = weight[first * taps.len()..].chunks(taps.len());
        for (channel, (output, weights)) in output.chunks_mut(sizes.positions()).zip(weights).enumerate() {
            arch().dispatch(Correlate { taps: &taps, weights, padded, out: run });
            for (output, run) in output.chunks_mut(sizes.out_width).zip(run.chunks(layout.step)) {
                output.copy_from_slice(&run[..sizes.out_width]);
            }
            finish.run(first + channel, index * group.output() + channel * sizes.positions(), output);
        }
    })
}

/// The gradient by the input, `[images, inputs, height, width]`.
///
/// The inputs of a phase, those whose row and column leave one rest modulo the stride, are reached by the taps of that phase
/// alone, from neighbouring outputs: a correlation of the padded gradient with those taps turned round.
pub(super) fn by_input(sizes: &Sizes, weight: &[f32], output: &[f32]) -> Vec<f32> {
    let (stride, group, (kernel_height, kernel_width)) = (sizes.stride, sizes.group(), sizes.kernel_sides());
    let taps = ((kernel_height - 1) / stride + 1, (kernel_width - 1) / stride + 1);
    let inside = ((sizes.height - 1 + sizes.top) / stride + 1, (sizes.width - 1 + sizes.left) / stride + 1);
    let before = (taps.0 - 1, taps.1 - 1);
    let layout = Layout::new(taps, inside, 1, before);
    // For each phase the places that are read, and where the kernel of one output has their weights.
    let phases: Vec<Vec<(usize, usize)>> = (0..stride * stride)
        .map(|phase| {
            let rows = (phase / stride..kernel_height).step_by(stride).enumerate();
            rows.flat_map(|(down, row)| {
                let columns = (phase % stride..kernel_width).step_by(stride).enumerate();
                columns.map(move |(right, column)| {
                    (layout.tap(before.0 - down, before.1 - right), row * kernel_width + column)
                })
            })
            .collect()
        })
        .collect();
    let length = sizes.images * sizes.image();
    written_with(length, group.image(), Scratch::default, |Scratch { padded, run, .. }, index, input| {
        layout.pad(&output[index * group.output()..][..group.output()], sizes.out_height, sizes.out_width, 0.0, padded);
        run.resize(phases.len() * layout.run, 0.0);
        let weights = &weight[index % sizes.groups * group.weights()..][..group.weights()];
        for (channel, input) in input.chunks_mut(sizes.plane()).enumerate() {
            for (reads, out) in phases.iter().zip(run.chunks_mut(layout.run)) {
                // this channel's kernels, one an output
                let kernels = weights.chunks(sizes.kernel()).skip(channel).step_by(group.inputs).enumerate();
                let (taps, weights): (Vec<usize>, Vec<f32>) = kernels
                    .flat_map(|(output, kernel)| {
                        reads.iter().map(move |(read, place)| (output * layout.size() + read, kernel[*place]))
                    })
                    .unzip();
                arch().dispatch(Correlate { taps: &taps, weights: &weights, padded, out });
            }
            for (row, line) in input.chunks_mut(sizes.width).enumerate() {
                let row = row + sizes.top;
                let runs = &run[row % stride * stride * layout.run..];
                let at = row / stride * layout.step;
                join(stride, sizes.left, |phase| &runs[phase * layout.run + at..], line);
            }
        }
    })
}

/// A line of which each phase gives every `stride`-th value, the first being number `left`.
fn join<'a>(stride: usize, left: usize, phase: impl Fn(usize) -> &'a [f32], mut line: &mut [f32]) {
    if stride == 1 {
        let values = &phase(0)[left..];
        line.copy_from_slice(&values[..line.len()]);
        return;
    }
    let mut at = left;
    while stride != 2 || at % 2 == 1 {
        let Some((value, rest)) = line.split_first_mut() else { return };
        *value = phase(at % stride)[at / stride];
        (line, at) = (rest, at + 1);
    }
    let (even, odd) = (&phase(0)[at / 2..], &phase(1)[at / 2..]);
    let (pairs, rest) = line.as_chunks_mut::<2>();
    for (pair, (even, odd)) in pairs.iter_mut().zip(even.iter().zip(odd)) {
        *pair = [*even, *odd];
    }
    for value in rest {
        *value = even[pairs.len()];
    }
}

/// Fills `weight`, `[outputs, inputs / groups, kernel height, kernel width]`, with the gradient by the weight.
pub(super) fn by_weight(sizes: &Sizes, input: &[f32], output: &[f32], weight: &mut [f32]) {
    let (layout, group) = (layout(sizes), sizes.group());
    let taps = layout.taps(group.inputs, sizes.kernel_sides());
    weight.par_chunks_mut(group.weights()).enumerate().for_each_init(
        Scratch::default,
        |Scratch { padded, run, sums }, (index, weights)| {
            run.resize(layout.run, 0.0);
            sums.clear();
            sums.resize(weights.len(), [0.0; WIDTH]);
            for image in 0..sizes.images {
                let place = image * sizes.groups + index;
                layout.pad(&input[place * group.image()..][..group.image()], sizes.height, sizes.width, 0.0, padded);
                let output = &output[place * group.output()..][..group.output()];
                for (output, sums) in output.chunks(sizes.positions()).zip(sums.chunks_mut(taps.len())) {
                    for (output, run) in output.chunks(sizes.out_width).zip(run.chunks_mut(layout.step)) {
                        run[..sizes.out_width].copy_from_slice(output);
                    }
                    arch().dispatch(Collect { taps: &taps, sums, padded, out: run });
                }
            }
            for (weight, sums) in weights.iter_mut().zip(sums) {
                *weight = sums.iter().sum();
            }
        },
    );
}

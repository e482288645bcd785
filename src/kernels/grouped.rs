//! Convolution of few channels a group, depthwise above all: sums of shifted rows over a padded copy.
//!
//! The copy of a group's planes has its zeros in place and its columns sorted by their rest modulo the stride, so that every tap of the
//! kernel reads neighbours and no loop asks for borders. Compiled for each instruction set, chosen at run time.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::Sizes;
use super::lanes::Lanes;

/// Outputs that are summed at once.
const WIDTH: usize = 16;

/// A padded plane: `stride` phases of `rows` rows of `step` columns.
#[derive(Clone, Copy)]
struct Layout {
    stride: usize,
    rows: usize,
    step: usize,
    top: usize,
    left: usize,
}

impl Layout {
    fn new(kernel: (usize, usize), out: (usize, usize), stride: usize, (top, left): (usize, usize)) -> Self {
        let rows = out.0.saturating_sub(1) * stride + kernel.0;
        let step = out.1.next_multiple_of(WIDTH) + kernel.1.div_ceil(stride);
        Self { stride, rows, step, top, left }
    }

    fn size(&self) -> usize {
        self.stride * self.rows * self.step
    }

    /// Where each tap of a kernel over so many planes reads for the first output.
    fn taps(&self, planes: usize, (kernel_height, kernel_width): (usize, usize)) -> Vec<usize> {
        let mut taps = Vec::with_capacity(planes * kernel_height * kernel_width);
        for plane in 0..planes {
            for row in 0..kernel_height {
                for column in 0..kernel_width {
                    let phase = column % self.stride * self.rows + row;
                    taps.push(plane * self.size() + phase * self.step + column / self.stride);
                }
            }
        }
        taps
    }

    /// Where row `row` of the output starts to read, besides the tap.
    fn row(&self, row: usize) -> usize {
        row * self.stride * self.step
    }

    /// Calls `visit(place in the padded plane, row, column)` for the start of each run of every row of the plane, with
    /// how far apart the run's columns are in the plane and how many there are.
    fn runs(&self, height: usize, width: usize, mut visit: impl FnMut(usize, usize, usize)) {
        for row in 0..height.min(self.rows.saturating_sub(self.top)) {
            for phase in 0..self.stride {
                // the first column of the plane in this phase
                let first = (phase + self.stride - self.left % self.stride) % self.stride;
                if first >= width {
                    continue;
                }
                let column = (first + self.left) / self.stride;
                let count = (width - first).div_ceil(self.stride).min(self.step.saturating_sub(column));
                let at = (phase * self.rows + row + self.top) * self.step + column;
                visit(at, row * width + first, count);
            }
        }
    }

    /// Copies planes of `height` rows and `width` columns, each padded.
    fn pad(&self, planes: &[f32], height: usize, width: usize, padded: &mut Vec<f32>) {
        padded.clear();
        padded.resize(planes.len() / (height * width) * self.size(), 0.0);
        for (plane, padded) in planes.chunks(height * width).zip(padded.chunks_mut(self.size())) {
            self.pad_one(plane, height, width, padded);
        }
    }

    fn pad_one(&self, plane: &[f32], height: usize, width: usize, padded: &mut [f32]) {
        self.runs(height, width, |at, from, count| {
            let target = &mut padded[at..at + count];
            if self.stride == 1 {
                target.copy_from_slice(&plane[from..from + count]);
            } else {
                for (value, read) in target.iter_mut().zip(plane[from..].iter().step_by(self.stride)) {
                    *value = *read;
                }
            }
        });
    }
}

/// Each output is the sum of `weights` times what the taps read.
struct Correlate<'a> {
    layout: Layout,
    taps: &'a [usize],
    weights: &'a [f32],
    padded: &'a [f32],
    output: &'a mut [f32],
    width: usize,
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (row, output) in self.output.chunks_mut(self.width).enumerate() {
            let mut at = self.layout.row(row);
            for output in output.chunks_mut(WIDTH) {
                let mut sums = [0.0_f32; WIDTH];
                for (tap, weight) in self.taps.iter().zip(self.weights) {
                    for (sum, value) in sums.iter_mut().zip(&self.padded[at + tap..at + tap + WIDTH]) {
                        *sum += weight * value;
                    }
                }
                output.copy_from_slice(&sums[..output.len()]);
                at += WIDTH;
            }
        }
    }
}

/// Adds `weights` times the output's gradient to what the taps had read.
struct Scatter<'a> {
    layout: Layout,
    taps: &'a [usize],
    weights: &'a [f32],
    padded: &'a mut [f32],
    output: &'a [f32],
    width: usize,
}

impl WithSimd for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (row, output) in self.output.chunks(self.width).enumerate() {
            let at = self.layout.row(row);
            for (tap, weight) in self.taps.iter().zip(self.weights) {
                for (value, part) in self.padded[at + tap..].iter_mut().zip(output) {
                    *value += weight * part;
                }
            }
        }
    }
}

/// Adds to each weight the products of the output's gradient and what its tap had read.
struct Collect<'a> {
    layout: Layout,
    taps: &'a [usize],
    weights: &'a mut [f32],
    padded: &'a [f32],
    output: &'a [f32],
    width: usize,
}

impl WithSimd for Collect<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (tap, weight) in self.taps.iter().zip(self.weights.iter_mut()) {
            let mut sum = Lanes::default();
            for (row, output) in self.output.chunks(self.width).enumerate() {
                let at = self.layout.row(row) + tap;
                sum.add(
                    output,
                    &self.padded[at..at + output.len()],
                    #[inline(always)]
                    |a, b| a * b,
                );
            }
            *weight += sum.total();
        }
    }
}

fn layout(sizes: &Sizes) -> Layout {
    Layout::new(sizes.kernel_sides(), (sizes.out_height, sizes.out_width), sizes.stride, (sizes.top, sizes.left))
}

/// Fills `output`, `[images, outputs, out height, out width]`.
pub(super) fn forward(sizes: &Sizes, input: &[f32], weight: &[f32], output: &mut [f32]) {
    let (layout, group) = (layout(sizes), sizes.group());
    let taps = layout.taps(group.inputs, sizes.kernel_sides());
    output.par_chunks_mut(group.output()).zip(input.par_chunks(group.image())).enumerate().for_each_init(
        Vec::new,
        |padded, (index, (output, input))| {
            layout.pad(input, sizes.height, sizes.width, padded);
            let weights = &weight[index % sizes.groups * group.weights()..][..group.weights()];
            for (output, weights) in output.chunks_mut(sizes.positions()).zip(weights.chunks(taps.len())) {
                let (taps, width) = (taps.as_slice(), sizes.out_width);
                Arch::new().dispatch(Correlate { layout, taps, weights, padded, output, width });
            }
        },
    );
}

/// Fills `input`, `[images, inputs, height, width]`, with the gradient by the input.
pub(super) fn by_input(sizes: &Sizes, weight: &[f32], output: &[f32], input: &mut [f32]) {
    let (kernel, group) = (sizes.kernel_sides(), sizes.group());
    let groups = input.par_chunks_mut(group.image()).zip(output.par_chunks(group.output())).enumerate();
    let weights_of = |index: usize| &weight[index % sizes.groups * group.weights()..][..group.weights()];
    if sizes.stride == 1 && sizes.top < kernel.0 && sizes.left < kernel.1 {
        // With a step of one it is the correlation of the padded gradient with the turned kernels.
        let before = (kernel.0 - 1 - sizes.top, kernel.1 - 1 - sizes.left);
        let layout = Layout::new(kernel, (sizes.height, sizes.width), 1, before);
        let taps = layout.taps(group.outputs, kernel);
        groups.for_each_init(Vec::new, |padded, (index, (input, output))| {
            layout.pad(output, sizes.out_height, sizes.out_width, padded);
            let weights = weights_of(index);
            for (channel, input) in input.chunks_mut(sizes.plane()).enumerate() {
                // the kernels that read this channel, one an output
                let kernels = weights.chunks(sizes.kernel()).skip(channel).step_by(group.inputs);
                let turned: Vec<f32> = kernels.flat_map(|kernel| kernel.iter().rev()).copied().collect();
                let (taps, weights, width) = (taps.as_slice(), turned.as_slice(), sizes.width);
                Arch::new().dispatch(Correlate { layout, taps, weights, padded, output: input, width });
            }
        });
        return;
    }
    let layout = layout(sizes);
    let taps = layout.taps(group.inputs, kernel);
    groups.for_each_init(Vec::new, |padded, (index, (input, output))| {
        padded.clear();
        padded.resize(group.inputs * layout.size(), 0.0);
        for (output, weights) in output.chunks(sizes.positions()).zip(weights_of(index).chunks(taps.len())) {
            Arch::new().dispatch(Scatter { layout, taps: &taps, weights, padded, output, width: sizes.out_width });
        }
        for (input, padded) in input.chunks_mut(sizes.plane()).zip(padded.chunks(layout.size())) {
            layout.runs(sizes.height, sizes.width, |at, to, count| {
                for (value, sum) in input[to..].iter_mut().step_by(sizes.stride).zip(&padded[at..at + count]) {
                    *value = *sum;
                }
            });
        }
    });
}

/// Fills `weight`, `[outputs, inputs / groups, kernel height, kernel width]`, with the gradient by the weight.
pub(super) fn by_weight(sizes: &Sizes, input: &[f32], output: &[f32], weight: &mut [f32]) {
    let (layout, group) = (layout(sizes), sizes.group());
    let taps = layout.taps(group.inputs, sizes.kernel_sides());
    weight.par_chunks_mut(group.weights()).enumerate().for_each_init(Vec::new, |padded, (index, weights)| {
        for image in 0..sizes.images {
            let place = image * sizes.groups + index;
            layout.pad(&input[place * group.image()..][..group.image()], sizes.height, sizes.width, padded);
            let output = &output[place * group.output()..][..group.output()];
            for (output, weights) in output.chunks(sizes.positions()).zip(weights.chunks_mut(taps.len())) {
                Arch::new().dispatch(Collect { layout, taps: &taps, weights, padded, output, width: sizes.out_width });
            }
        }
    });
}

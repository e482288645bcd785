//! Depthwise convolution of one plane: sums of shifted rows over a padded copy.
//!
//! The copy has its zeros in place and its columns sorted by their rest modulo the stride, so that every tap of the
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

    /// Where each tap of a kernel reads for the first output.
    fn taps(&self, kernel_height: usize, kernel_width: usize) -> Vec<usize> {
        (0..kernel_height)
            .flat_map(|row| (0..kernel_width).map(move |column| (row, column)))
            .map(|(row, column)| (column % self.stride * self.rows + row) * self.step + column / self.stride)
            .collect()
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

    fn pad(&self, plane: &[f32], height: usize, width: usize, padded: &mut Vec<f32>) {
        padded.clear();
        padded.resize(self.size(), 0.0);
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
    let kernel = (sizes.kernel_height, sizes.kernel_width);
    Layout::new(kernel, (sizes.out_height, sizes.out_width), sizes.stride, (sizes.top, sizes.left))
}

/// Fills `output`, `[images, channels, out height, out width]`.
pub(super) fn forward(sizes: &Sizes, input: &[f32], weight: &[f32], output: &mut [f32]) {
    let layout = layout(sizes);
    let taps = layout.taps(sizes.kernel_height, sizes.kernel_width);
    output
        .par_chunks_mut(sizes.out_height * sizes.out_width)
        .zip(input.par_chunks(sizes.height * sizes.width))
        .enumerate()
        .for_each_init(Vec::new, |padded, (plane, (output, input))| {
            layout.pad(input, sizes.height, sizes.width, padded);
            let weights = &weight[plane % sizes.inputs * taps.len()..][..taps.len()];
            Arch::new().dispatch(Correlate { layout, taps: &taps, weights, padded, output, width: sizes.out_width });
        });
}

/// Fills `input`, `[images, channels, height, width]`, with the gradient by the input.
pub(super) fn by_input(sizes: &Sizes, weight: &[f32], output: &[f32], input: &mut [f32]) {
    let kernel = (sizes.kernel_height, sizes.kernel_width);
    let planes = input
        .par_chunks_mut(sizes.height * sizes.width)
        .zip(output.par_chunks(sizes.out_height * sizes.out_width))
        .enumerate();
    let size = kernel.0 * kernel.1;
    if sizes.stride == 1 && sizes.top < kernel.0 && sizes.left < kernel.1 {
        // With a step of one it is the correlation of the padded gradient with the turned kernel.
        let before = (kernel.0 - 1 - sizes.top, kernel.1 - 1 - sizes.left);
        let layout = Layout::new(kernel, (sizes.height, sizes.width), 1, before);
        let taps = layout.taps(kernel.0, kernel.1);
        planes.for_each_init(Vec::new, |padded, (plane, (input, output))| {
            layout.pad(output, sizes.out_height, sizes.out_width, padded);
            let turned: Vec<f32> = weight[plane % sizes.inputs * size..][..size].iter().rev().copied().collect();
            let (taps, weights) = (taps.as_slice(), turned.as_slice());
            Arch::new().dispatch(Correlate { layout, taps, weights, padded, output: input, width: sizes.width });
        });
        return;
    }
    let layout = layout(sizes);
    let taps = layout.taps(kernel.0, kernel.1);
    planes.for_each_init(Vec::new, |padded, (plane, (input, output))| {
        padded.clear();
        padded.resize(layout.size(), 0.0);
        let weights = &weight[plane % sizes.inputs * size..][..size];
        Arch::new().dispatch(Scatter { layout, taps: &taps, weights, padded, output, width: sizes.out_width });
        layout.runs(sizes.height, sizes.width, |at, to, count| {
            for (value, sum) in input[to..].iter_mut().step_by(sizes.stride).zip(&padded[at..at + count]) {
                *value = *sum;
            }
        });
    });
}

/// Fills `weight`, `[channels, kernel height, kernel width]`, with the gradient by the weight.
pub(super) fn by_weight(sizes: &Sizes, input: &[f32], output: &[f32], weight: &mut [f32]) {
    let layout = layout(sizes);
    let taps = layout.taps(sizes.kernel_height, sizes.kernel_width);
    let (plane, out_plane) = (sizes.height * sizes.width, sizes.out_height * sizes.out_width);
    weight.par_chunks_mut(taps.len().max(1)).enumerate().for_each_init(Vec::new, |padded, (channel, weights)| {
        for image in 0..sizes.images {
            let place = image * sizes.inputs + channel;
            layout.pad(&input[place * plane..][..plane], sizes.height, sizes.width, padded);
            let output = &output[place * out_plane..][..out_plane];
            Arch::new().dispatch(Collect { layout, taps: &taps, weights, padded, output, width: sizes.out_width });
        }
    });
}

//! Convolution of f32 images on the processor: values, gradient by the input, gradient by the weight.
//!
//! Dense kernels become one matrix product over *columns*, the patches under the kernel laid out as
//! `[inputs * kernel, positions]` (im2col): a tile of rows at a time where images are large, the whole batch at once
//! where they are small and the weight is what costs. Groups are convolutions of their own; those of few channels are in
//! [`super::grouped`]; 3 x 3 kernels at stride 1 are in [`super::winograd`]. How work is cut depends on sizes only, never on the number of threads, and partial sums are added in order.

use gemm::Parallelism;
use rayon::prelude::*;

use super::affine::Finish;
use super::phases::every;
use super::values::{written, written_with};
use super::{grouped, winograd};

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) images: usize,
    pub(super) inputs: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) outputs: usize,
    pub(super) kernel_height: usize,
    pub(super) kernel_width: usize,
    pub(super) out_height: usize,
    pub(super) out_width: usize,
    pub(super) stride: usize,
    /// Zeros before the rows.
    pub(super) top: usize,
    /// Zeros before the columns.
    pub(super) left: usize,
    /// Groups of channels, each a convolution of its own.
    pub(super) groups: usize,
}

/// Floats of a tile of columns: 1 MiB, so that it stays in the second-level cache.
const TILE: usize = 256 * 1024;
/// With fewer positions an image than this, the batch is one product.
const FEW_POSITIONS: usize = 64;
/// With fewer channels a group, in or out, than this, no matrix is made.
const FEW_CHANNELS: usize = 8;
/// Partial sums of a weight gradient.
const PARTS: usize = 8;
/// A number of columns that matrix products are quick with.
const POSITIONS: usize = 192;

impl Sizes {
    /// Of one group: its channels follow each other in an image, so that each is an image of its own.
    pub(super) fn group(&self) -> Self {
        Self { inputs: self.inputs / self.groups, outputs: self.outputs / self.groups, groups: 1, ..*self }
    }

    /// Are groups so narrow that [`grouped`] is faster than matrices?
    fn is_narrow(&self) -> bool {
        self.groups > 1 && self.group().inputs.min(self.group().outputs) < FEW_CHANNELS
    }

    pub(super) fn kernel_sides(&self) -> (usize, usize) {
        (self.kernel_height, self.kernel_width)
    }

    pub(super) fn weights(&self) -> usize {
        self.outputs * self.depth()
    }

    pub(super) fn plane(&self) -> usize {
        self.height * self.width
    }

    pub(super) fn image(&self) -> usize {
        self.inputs * self.plane()
    }

    pub(super) fn positions(&self) -> usize {
        self.out_height * self.out_width
    }

    pub(super) fn output(&self) -> usize {
        self.outputs * self.positions()
    }

    pub(super) fn kernel(&self) -> usize {
        self.kernel_height * self.kernel_width
    }

    /// Rows of the column matrix.
    fn depth(&self) -> usize {
        self.inputs * self.kernel()
    }

    /// The columns are the image itself.
    fn is_pointwise(&self) -> bool {
        self.kernel() == 1 && self.stride == 1 && self.top == 0 && self.left == 0 && self.positions() == self.plane()
    }

    fn is_small(&self) -> bool {
        self.positions() < FEW_POSITIONS
    }

    /// Rows of the output in a tile.
    fn tile_rows(&self) -> usize {
        (TILE / (self.depth() * self.out_width).max(1)).clamp(1, self.out_height.max(1))
    }

    /// Where a row of the output under a row of the kernel reads; `None` in the padding.
    fn row(&self, out_row: usize, kernel_row: usize) -> Option<usize> {
        (out_row * self.stride + kernel_row).checked_sub(self.top).filter(|row| *row < self.height)
    }

    /// Outputs `start..end` of a row that a column of the kernel reaches inside the image, and what `start` reads.
    fn columns(&self, kernel_column: usize) -> (usize, usize, usize) {
        let start = self.left.saturating_sub(kernel_column).div_ceil(self.stride);
        let end = match (self.width + self.left).checked_sub(kernel_column + 1) {
            Some(last) => (last / self.stride + 1).min(self.out_width),
            None => 0,
        };
        let start = start.min(end);
        (start, end, (start * self.stride + kernel_column).saturating_sub(self.left))
    }
}

/// A matrix in a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a> Matrix<'a> {
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize, row_step: usize) -> Self {
        Self { values, rows, columns, row_step, column_step: 1 }
    }

    pub(super) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, row_step: self.column_step, column_step: self.row_step, ..self }
    }

    fn fits(&self) -> bool {
        let last = self.rows.saturating_sub(1) * self.row_step + self.columns.saturating_sub(1) * self.column_step;
        last < self.values.len()
    }
}

/// `out = a b`, or `out += a b`; `out` has rows `row_step` apart.
pub(super) fn product(
    a: Matrix<'_>,
    b: Matrix<'_>,
    out: &mut [f32],
    row_step: usize,
    add: bool,
    parallelism: Parallelism,
) {
    let (rows, columns) = (a.rows, b.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    let within = (rows - 1) * row_step + columns <= out.len() && (rows == 1 || columns <= row_step);
    assert!(a.columns == b.rows && a.fits() && b.fits() && within, "invariant: matrices lie in their slices");
    // Counts and steps of slices in memory, far below the largest isize.
    let step = usize::cast_signed;
    #[expect(unsafe_code, reason = "gemm takes pointers; the assertion above keeps every access in its slice")]
    // SAFETY: `a`, `b` and `out` are borrowed for the call, `out` exclusively, and every index is in its slice.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            step(row_step),
            add,
            a.values.as_ptr(),
            step(a.column_step),
            step(a.row_step),
            b.values.as_ptr(),
            step(b.column_step),
            step(b.row_step),
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Writes the patches under one channel: `kernel` rows `row_step` apart, positions of output rows `rows`.
fn unfold(sizes: &Sizes, plane: &[f32], columns: &mut [f32], row_step: usize, rows: (usize, usize)) {
    let mut at = 0;
    for kernel_row in 0..sizes.kernel_height {
        for kernel_column in 0..sizes.kernel_width {
            let (start, end, first) = sizes.columns(kernel_column);
            for out_row in rows.0..rows.1 {
                let from = at + (out_row - rows.0) * sizes.out_width;
                let target = &mut columns[from..from + sizes.out_width];
                let Some(row) = sizes.row(out_row, kernel_row).filter(|_| start < end) else {
                    target.fill(0.0);
                    continue;
                };
                target[..start].fill(0.0);
                target[end..].fill(0.0);
                let source = &plane[row * sizes.width + first..(row + 1) * sizes.width];
                every(sizes.stride, source, &mut target[start..end]);
            }
            at += row_step;
        }
    }
}

/// Adds the patches of one channel back to where they came from.
fn fold(sizes: &Sizes, plane: &mut [f32], columns: &[f32], row_step: usize, rows: (usize, usize)) {
    let mut at = 0;
    for kernel_row in 0..sizes.kernel_height {
        for kernel_column in 0..sizes.kernel_width {
            let (start, end, first) = sizes.columns(kernel_column);
            for out_row in rows.0..rows.1 {
                let Some(row) = sizes.row(out_row, kernel_row).filter(|_| start < end) else { continue };
                let from = at + (out_row - rows.0) * sizes.out_width;
                let source = &columns[from + start..from + end];
                let target = &mut plane[row * sizes.width + first..(row + 1) * sizes.width];
                if sizes.stride == 1 {
                    for (value, part) in target.iter_mut().zip(source) {
                        *value += part;
                    }
                } else {
                    for (value, part) in target.iter_mut().step_by(sizes.stride).zip(source) {
                        *value += part;
                    }
                }
            }
            at += row_step;
        }
    }
}

/// The tiles of an image: first and last output row of each.
fn tiles(sizes: &Sizes) -> impl Iterator<Item = (usize, usize)> {
    let (height, rows) = (sizes.out_height, sizes.tile_rows());
    (0..height).step_by(rows).map(move |start| (start, (start + rows).min(height)))
}

fn unfold_image(sizes: &Sizes, image: &[f32], columns: &mut [f32], rows: (usize, usize)) {
    let row_step = (rows.1 - rows.0) * sizes.out_width;
    for (plane, columns) in image.chunks(sizes.plane()).zip(columns.chunks_mut(sizes.kernel() * row_step)) {
        unfold(sizes, plane, columns, row_step, rows);
    }
}

/// The columns of the whole batch: `[depth, images * positions]`.
fn unfold_batch(sizes: &Sizes, input: &[f32]) -> Vec<f32> {
    let row_step = sizes.images * sizes.positions();
    let mut columns = vec![0.0; sizes.depth() * row_step];
    columns.par_chunks_mut((sizes.kernel() * row_step).max(1)).enumerate().for_each(|(channel, columns)| {
        for (image, pixels) in input.chunks(sizes.image()).enumerate() {
            let plane = &pixels[channel * sizes.plane()..(channel + 1) * sizes.plane()];
            let columns = &mut columns[image * sizes.positions()..];
            unfold(sizes, plane, columns, row_step, (0, sizes.out_height));
        }
    });
    columns
}

/// `[images, channels, positions]` to `[channels, images * positions]`.
fn channels_first(sizes: &Sizes, output: &[f32]) -> Vec<f32> {
    let positions = sizes.positions();
    let mut turned = vec![0.0; output.len()];
    for (channel, row) in turned.chunks_mut(sizes.images * positions).enumerate() {
        for (image, target) in row.chunks_mut(positions).enumerate() {
            target.copy_from_slice(&output[image * sizes.output() + channel * positions..][..positions]);
        }
    }
    turned
}

/// `[images, outputs, out height, out width]`, finished.
pub(super) fn forward<F: Finish>(sizes: &Sizes, input: &[f32], weight: &[f32], finish: &F) -> Vec<f32> {
    if sizes.images * sizes.output() == 0 {
        return Vec::new();
    }
    if sizes.is_narrow() {
        return grouped::forward(sizes, input, weight, finish);
    }
    if winograd::fits(sizes) {
        return winograd::forward(sizes, input, weight, finish);
    }
    let group = sizes.group();
    let (positions, depth) = (sizes.positions(), group.depth());
    if sizes.groups == 1 && sizes.is_small() {
        let weight = Matrix::new(weight, sizes.outputs, depth, depth);
        let columns = unfold_batch(sizes, input);
        let row_step = sizes.images * positions;
        let mut turned = vec![0.0; sizes.images * sizes.output()];
        let columns = Matrix::new(&columns, depth, row_step, row_step);
        product(weight, columns, &mut turned, row_step, false, Parallelism::Rayon(0));
        return written(turned.len(), sizes.output(), |image, output| {
            for (channel, target) in output.chunks_mut(positions).enumerate() {
                target.copy_from_slice(&turned[channel * row_step + image * positions..][..positions]);
                finish.run(channel, image * sizes.output() + channel * positions, target);
            }
        });
    }
    written_with(sizes.images * sizes.output(), group.output(), Vec::new, |columns: &mut Vec<f32>, index, output| {
        let input = &input[index * group.image()..][..group.image()];
        let weight = group_weight(sizes, &group, weight, index);
        let finished = |output: &mut [f32], positions_of: (usize, usize)| {
            let first = index % sizes.groups * group.outputs;
            for (channel, plane) in output.chunks_mut(positions).enumerate() {
                let at = index * group.output() + channel * positions + positions_of.0;
                finish.run(first + channel, at, &mut plane[positions_of.0..positions_of.1]);
            }
        };
        if group.is_pointwise() {
            // all at once, unless what is made shall be finished while it is near
            let step = if F::CHANGES { pointwise_step(&group) } else { positions };
            for start in (0..positions).step_by(step) {
                let end = (start + step).min(positions);
                let input = Matrix::new(&input[start..], depth, end - start, positions);
                product(weight, input, &mut output[start..], positions, false, Parallelism::None);
                finished(output, (start, end));
            }
            return;
        }
        for rows in tiles(&group) {
            let count = (rows.1 - rows.0) * sizes.out_width;
            columns.resize(depth * count, 0.0);
            unfold_image(&group, input, columns, rows);
            let columns = Matrix::new(columns, depth, count, count);
            let start = rows.0 * sizes.out_width;
            product(weight, columns, &mut output[start..], positions, false, Parallelism::None);
            finished(output, (start, start + count));
        }
    })
}

/// Positions of which a 1 x 1 convolution makes the outputs before they are finished: they fit into the second-level cache.
fn pointwise_step(sizes: &Sizes) -> usize {
    (TILE / 2 / sizes.outputs.max(1)).next_multiple_of(POSITIONS).max(POSITIONS)
}

/// The weight of the group that the `index`-th group of all images is of.
fn group_weight<'a>(sizes: &Sizes, group: &Sizes, weight: &'a [f32], index: usize) -> Matrix<'a> {
    let weight = &weight[index % sizes.groups * group.weights()..][..group.weights()];
    Matrix::new(weight, group.outputs, group.depth(), group.depth())
}

/// Gradient by the input, `[images, inputs, height, width]`, of `output`, the gradient by the output.
pub(super) fn by_input(sizes: &Sizes, weight: &[f32], output: &[f32]) -> Vec<f32> {
    let length = sizes.images * sizes.image();
    if length == 0 || output.is_empty() {
        return vec![0.0; length];
    }
    if sizes.is_narrow() {
        return grouped::by_input(sizes, weight, output);
    }
    if winograd::fits(sizes) {
        return winograd::by_input(sizes, weight, output);
    }
    let group = sizes.group();
    let (positions, depth) = (sizes.positions(), group.depth());
    if sizes.groups == 1 && sizes.is_small() {
        let weight = Matrix::new(weight, sizes.outputs, depth, depth).transposed();
        let row_step = sizes.images * positions;
        let turned = channels_first(sizes, output);
        let mut columns = vec![0.0; depth * row_step];
        let turned = Matrix::new(&turned, sizes.outputs, row_step, row_step);
        product(weight, turned, &mut columns, row_step, false, Parallelism::Rayon(0));
        return written(length, sizes.image(), |image, pixels| {
            for (channel, plane) in pixels.chunks_mut(sizes.plane()).enumerate() {
                let columns = &columns[channel * sizes.kernel() * row_step + image * positions..];
                fold(sizes, plane, columns, row_step, (0, sizes.out_height));
            }
        });
    }
    written_with(length, group.image(), Vec::new, |columns: &mut Vec<f32>, index, input| {
        let output = &output[index * group.output()..][..group.output()];
        let weight = group_weight(sizes, &group, weight, index).transposed();
        if group.is_pointwise() {
            let output = Matrix::new(output, group.outputs, positions, positions);
            product(weight, output, input, positions, false, Parallelism::None);
            return;
        }
        for rows in tiles(&group) {
            let count = (rows.1 - rows.0) * sizes.out_width;
            columns.resize(depth * count, 0.0);
            let part = Matrix::new(&output[rows.0 * sizes.out_width..], group.outputs, count, positions);
            product(weight, part, columns, count, false, Parallelism::None);
            for (plane, columns) in input.chunks_mut(sizes.plane()).zip(columns.chunks(sizes.kernel() * count)) {
                fold(sizes, plane, columns, count, rows);
            }
        }
    })
}

/// Gradient by the weight, `[outputs, inputs / groups, kernel height, kernel width]`.
pub(super) fn by_weight(sizes: &Sizes, input: &[f32], output: &[f32]) -> Vec<f32> {
    if winograd::fits(sizes) && sizes.images > 0 {
        return winograd::by_weight(sizes, input, output);
    }
    let group = sizes.group();
    let mut weight = vec![0.0; sizes.groups * group.weights()];
    if sizes.is_narrow() {
        grouped::by_weight(sizes, input, output, &mut weight);
        return weight;
    }
    if sizes.groups > 1 {
        weight.par_chunks_mut(group.weights().max(1)).enumerate().for_each_init(
            Vec::new,
            |columns, (index, weight)| {
                for image in 0..sizes.images {
                    let place = image * sizes.groups + index;
                    let input = &input[place * group.image()..][..group.image()];
                    let output = &output[place * group.output()..][..group.output()];
                    add_weight(&group, input, output, weight, columns);
                }
            },
        );
        return weight;
    }
    let (positions, depth) = (sizes.positions(), sizes.depth());
    if sizes.is_small() {
        let row_step = sizes.images * positions;
        if row_step > 0 {
            let columns = unfold_batch(sizes, input);
            let turned = channels_first(sizes, output);
            let turned = Matrix::new(&turned, sizes.outputs, row_step, row_step);
            let columns = Matrix::new(&columns, depth, row_step, row_step).transposed();
            product(turned, columns, &mut weight, depth, false, Parallelism::Rayon(0));
        }
        return weight;
    }
    let share = sizes.images.div_ceil(PARTS).max(1);
    let parts: Vec<Vec<f32>> = input
        .par_chunks((share * sizes.image()).max(1))
        .zip(output.par_chunks((share * sizes.output()).max(1)))
        .map(|(input, output)| {
            let mut weight = vec![0.0; sizes.weights()];
            let mut columns = Vec::new();
            for (input, output) in input.chunks(sizes.image()).zip(output.chunks(sizes.output())) {
                add_weight(sizes, input, output, &mut weight, &mut columns);
            }
            weight
        })
        .collect();
    for part in parts {
        for (sum, part) in weight.iter_mut().zip(part) {
            *sum += part;
        }
    }
    weight
}

/// Adds the gradient by the weight of one image of one group.
fn add_weight(sizes: &Sizes, input: &[f32], output: &[f32], weight: &mut [f32], columns: &mut Vec<f32>) {
    let (positions, depth) = (sizes.positions(), sizes.depth());
    if sizes.is_pointwise() {
        let output = Matrix::new(output, sizes.outputs, positions, positions);
        let input = Matrix::new(input, depth, positions, positions).transposed();
        product(output, input, weight, depth, true, Parallelism::None);
        return;
    }
    for rows in tiles(sizes) {
        let count = (rows.1 - rows.0) * sizes.out_width;
        columns.resize(depth * count, 0.0);
        unfold_image(sizes, input, columns, rows);
        let part = Matrix::new(&output[rows.0 * sizes.out_width..], sizes.outputs, count, positions);
        let columns = Matrix::new(columns, depth, count, count).transposed();
        product(part, columns, weight, depth, true, Parallelism::None);
    }
}

//! 3 x 3 convolution at stride 1 in tiles of 2 x 2 outputs: Winograd's F(2 x 2, 3 x 3) (Lavin and Gray 2016).
//!
//! A tile's 4 x 4 inputs `d` and the kernel `g` become `B^T d B` and `G g G^T`, 16 numbers each; their products, summed over the channels
//! by one matrix product a number, become the outputs by `A^T m A`. That is 2.25 times fewer multiplications than patches times
//! kernels and 2.25 times less memory than the patches, with errors as small: all constants are halves and ones.
//! The gradient by the input is the same convolution with the kernel turned round, that by the weight is the adjoint.
//!
//! Transformed planes lie as `[channel][16][tile]`. How work is cut depends on sizes only, and partial sums are added in order.

use gemm::Parallelism;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::affine::{Finish, Raw};
use super::cpu::{Matrix, Sizes, product};
use super::values::{CHUNK, written, written_with};

/// Numbers of a transformed tile.
const TILE: usize = 16;
/// With fewer channels in or out than this, patches are faster.
const FEW_CHANNELS: usize = 16;
/// Transformed floats that a task works on at once: 1.5 MiB, about a core's second-level cache.
const AT_ONCE: usize = 393_216;
/// Fewer tiles than this make poor matrix products.
const FEW_TILES: usize = 64;
/// Partial sums of a weight gradient...
const PARTS: usize = 8;
/// ... where the transformed weights are fewer floats than this; else the whole batch is one product for each of the 16.
const MANY_WEIGHTS: usize = 1 << 20;

/// Is it a convolution for this file, and not too small for it?
pub(super) fn fits(sizes: &Sizes) -> bool {
    sizes.kernel_sides() == (3, 3)
        && sizes.stride == 1
        && sizes.groups == 1
        && sizes.top <= 2
        && sizes.left <= 2
        && sizes.inputs.min(sizes.outputs) >= FEW_CHANNELS
        && sizes.out_height.min(sizes.out_width) >= 4
}

/// How the tiles of a batch are cut into tasks, and these into strips.
#[derive(Clone, Copy)]
struct Cut {
    /// Tiles in a row.
    columns: usize,
    /// Rows of tiles in an image.
    rows: usize,
    /// Images of a task.
    images: usize,
    /// Rows of tiles of a strip, which goes over the images of a task one after the other.
    strip: usize,
}

impl Cut {
    fn new(sizes: &Sizes) -> Self {
        let (rows, columns) = (sizes.out_height.div_ceil(2), sizes.out_width.div_ceil(2));
        let tiles = (AT_ONCE / (TILE * (sizes.inputs + sizes.outputs))).max(FEW_TILES);
        let images = (tiles / (rows * columns)).clamp(1, sizes.images.max(1));
        let strip = (tiles / columns).clamp(1, images * rows);
        Self { columns, rows, images, strip }
    }

    /// First and last row of tiles of each strip of a task of so many images.
    fn strips(self, images: usize) -> impl Iterator<Item = (usize, usize)> {
        let all = images * self.rows;
        (0..all).step_by(self.strip).map(move |start| (start, (start + self.strip).min(all)))
    }

    /// Calls with each image that rows of tiles are of, and its first and last line of outputs among them.
    fn each_plane(self, sizes: &Sizes, rows: (usize, usize), mut visit: impl FnMut(usize, (usize, usize))) {
        for image in rows.0 / self.rows..rows.1.div_ceil(self.rows) {
            let line = |row: usize| (2 * row.saturating_sub(image * self.rows).min(self.rows)).min(sizes.out_height);
            visit(image, (line(rows.0), line(rows.1)));
        }
    }

    /// A row of tiles as an image of the task and a row in it.
    fn place(self, row: usize) -> (usize, usize) {
        (row / self.rows, row % self.rows)
    }
}

/// `B^T d B` of the tiles under rows `rows` of one channel: `out` is `[16][tiles]`.
struct Inputs<'a> {
    sizes: &'a Sizes,
    cut: Cut,
    /// The channel's plane in the task's first image; the next image's is a whole image further.
    planes: &'a [f32],
    rows: (usize, usize),
    out: &'a mut [f32],
    /// Four combined rows, with their zeros left and right.
    scratch: &'a mut Vec<f32>,
}

impl WithSimd for Inputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { sizes, cut, planes, rows, out, scratch } = self;
        let padded = 2 * cut.columns + 2;
        scratch.clear();
        scratch.resize(4 * padded + sizes.width, 0.0);
        let (combined, zeros) = scratch.split_at_mut(4 * padded);
        let zeros: &[f32] = zeros;
        let there = sizes.width.min(padded - sizes.left);
        let step = out.len() / TILE;
        for row in rows.0..rows.1 {
            let (image, tile_row) = cut.place(row);
            let plane = &planes[image * sizes.image()..][..sizes.plane()];
            let line = |i: usize| -> &[f32] {
                let line = (2 * tile_row + i).checked_sub(sizes.top).filter(|line| *line < sizes.height);
                line.map_or(zeros, |line| &plane[line * sizes.width..(line + 1) * sizes.width])
            };
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| &line(i)[..there]);
            let of = |combined: &mut [f32], x: &[f32], y: &[f32], sign: f32| {
                for ((out, x), y) in combined[sizes.left..][..there].iter_mut().zip(x).zip(y) {
                    *out = x + sign * y;
                }
            };
            let mut each = combined.chunks_exact_mut(padded);
            for (x, y, sign) in [(a, c, -1.0), (b, c, 1.0), (c, b, -1.0), (b, d, -1.0)] {
                if let Some(combined) = each.next() {
                    of(combined, x, y, sign);
                }
            }
            let at = (row - rows.0) * cut.columns;
            for (number, combined) in combined.chunks_exact(padded).enumerate() {
                let (pairs, _) = combined.as_chunks::<2>();
                let (pairs, next) = (&pairs[..cut.columns], &pairs[1..=cut.columns]);
                let (first, rest) = out[4 * number * step..].split_at_mut(step);
                let (second, rest) = rest.split_at_mut(step);
                let (third, fourth) = rest.split_at_mut(step);
                let first = &mut first[at..at + cut.columns];
                let second = &mut second[at..at + cut.columns];
                let third = &mut third[at..at + cut.columns];
                let fourth = &mut fourth[at..at + cut.columns];
                for tile in 0..cut.columns {
                    let ([a, b], [c, d]) = (pairs[tile], next[tile]);
                    first[tile] = a - c;
                    second[tile] = b + c;
                    third[tile] = c - b;
                    fourth[tile] = b - d;
                }
            }
        }
    }
}

/// `A^T m A` of rows `rows` of one channel, into its planes.
struct Outputs<'a> {
    sizes: &'a Sizes,
    cut: Cut,
    /// The channel's plane in the task's first image; the next image's is a whole output further.
    planes: &'a mut [f32],
    rows: (usize, usize),
    /// `[16][tiles]`
    products: &'a [f32],
    /// Two rows of outputs.
    scratch: &'a mut Vec<[f32; 2]>,
}

impl WithSimd for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { sizes, cut, planes, rows, products, scratch } = self;
        let step = products.len() / TILE;
        scratch.resize(2 * cut.columns, [0.0; 2]);
        for row in rows.0..rows.1 {
            let (image, tile_row) = cut.place(row);
            let at = (row - rows.0) * cut.columns;
            let m: [&[f32]; TILE] = std::array::from_fn(|number| &products[number * step + at..][..cut.columns]);
            let (above, below) = scratch.split_at_mut(cut.columns);
            for tile in 0..cut.columns {
                let m = |i: usize, j: usize| m[4 * i + j][tile];
                let top = |j: usize| m(0, j) + m(1, j) + m(2, j);
                let bottom = |j: usize| m(1, j) - m(2, j) - m(3, j);
                above[tile] = [top(0) + top(1) + top(2), top(1) - top(2) - top(3)];
                below[tile] = [bottom(0) + bottom(1) + bottom(2), bottom(1) - bottom(2) - bottom(3)];
            }
            let plane = &mut planes[image * sizes.output()..][..sizes.positions()];
            for (line, outputs) in [(2 * tile_row, above), (2 * tile_row + 1, below)] {
                if line < sizes.out_height {
                    plane[line * sizes.out_width..][..sizes.out_width]
                        .copy_from_slice(&outputs.as_flattened()[..sizes.out_width]);
                }
            }
        }
    }
}

/// `A y A^T` of rows `rows` of one channel of the gradient by the output, the adjoint of [`Outputs`]: `out` is `[16][tiles]`.
struct Pulls<'a> {
    sizes: &'a Sizes,
    cut: Cut,
    planes: &'a [f32],
    rows: (usize, usize),
    out: &'a mut [f32],
    /// Two rows with a zero at their ends where the side is odd.
    scratch: &'a mut Vec<[f32; 2]>,
}

impl WithSimd for Pulls<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { sizes, cut, planes, rows, out, scratch } = self;
        let step = out.len() / TILE;
        scratch.clear();
        scratch.resize(2 * cut.columns, [0.0; 2]);
        let (above, below) = scratch.split_at_mut(cut.columns);
        for row in rows.0..rows.1 {
            let (image, tile_row) = cut.place(row);
            let plane = &planes[image * sizes.output()..][..sizes.positions()];
            for (line, pulls) in [(2 * tile_row, &mut *above), (2 * tile_row + 1, &mut *below)] {
                let pulls = &mut pulls.as_flattened_mut()[..sizes.out_width];
                if line < sizes.out_height {
                    pulls.copy_from_slice(&plane[line * sizes.out_width..][..sizes.out_width]);
                } else {
                    pulls.fill(0.0);
                }
            }
            let at = (row - rows.0) * cut.columns;
            let combine: [fn(f32, f32) -> f32; 4] = [|a, _| a, |a, b| a + b, |a, b| a - b, |_, b| -b];
            for (number, combine) in combine.into_iter().enumerate() {
                let (first, rest) = out[4 * number * step..].split_at_mut(step);
                let (second, rest) = rest.split_at_mut(step);
                let (third, fourth) = rest.split_at_mut(step);
                let first = &mut first[at..at + cut.columns];
                let second = &mut second[at..at + cut.columns];
                let third = &mut third[at..at + cut.columns];
                let fourth = &mut fourth[at..at + cut.columns];
                for tile in 0..cut.columns {
                    let ([a, b], [c, d]) = (above[tile], below[tile]);
                    let (left, right) = (combine(a, c), combine(b, d));
                    first[tile] = left;
                    second[tile] = left + right;
                    third[tile] = left - right;
                    fourth[tile] = -right;
                }
            }
        }
    }
}

/// `G g G^T` of a kernel.
fn widened(g: [[f32; 3]; 3]) -> [[f32; 4]; 4] {
    let wide = |[a, b, c]: [f32; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let rows = g.map(wide);
    let mut out = [[0.0; 4]; 4];
    for column in 0..4 {
        let of = wide([rows[0][column], rows[1][column], rows[2][column]]);
        for (row, value) in of.into_iter().enumerate() {
            out[row][column] = value;
        }
    }
    out
}

/// `G^T d G`, its adjoint.
fn narrowed(d: [[f32; 4]; 4]) -> [[f32; 3]; 3] {
    let narrow = |[a, b, c, d]: [f32; 4]| [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d];
    let rows = d.map(narrow);
    let mut out = [[0.0; 3]; 3];
    for column in 0..3 {
        let of = narrow([rows[0][column], rows[1][column], rows[2][column], rows[3][column]]);
        for (row, value) in of.into_iter().enumerate() {
            out[row][column] = value;
        }
    }
    out
}

/// All kernels transformed, `[outputs][16][inputs]`; `kernel(output, input)` gives each.
fn kernels(sizes: &Sizes, kernel: impl Fn(usize, usize) -> [[f32; 3]; 3] + Sync) -> Vec<f32> {
    written(sizes.outputs * TILE * sizes.inputs, TILE * sizes.inputs, |output, wide| {
        for input in 0..sizes.inputs {
            for (number, value) in widened(kernel(output, input)).as_flattened().iter().enumerate() {
                wide[number * sizes.inputs + input] = *value;
            }
        }
    })
}

fn kernel_at(weight: &[f32], index: usize) -> [[f32; 3]; 3] {
    let k = &weight[9 * index..9 * index + 9];
    [[k[0], k[1], k[2]], [k[3], k[4], k[5]], [k[6], k[7], k[8]]]
}

/// What a task needs besides its data.
#[derive(Default)]
struct Scratch {
    inputs: Vec<f32>,
    products: Vec<f32>,
    lines: Vec<f32>,
    pairs: Vec<[f32; 2]>,
}

/// `[images, outputs, out height, out width]`, finished.
pub(super) fn forward(sizes: &Sizes, input: &[f32], weight: &[f32], finish: &impl Finish) -> Vec<f32> {
    let kernels = kernels(sizes, |output, input| kernel_at(weight, output * sizes.inputs + input));
    convolve(sizes, input, &kernels, finish)
}

/// Gradient by the input: the convolution of that by the output with kernels turned round.
pub(super) fn by_input(sizes: &Sizes, weight: &[f32], output: &[f32]) -> Vec<f32> {
    let turned = Sizes {
        inputs: sizes.outputs,
        outputs: sizes.inputs,
        height: sizes.out_height,
        width: sizes.out_width,
        out_height: sizes.height,
        out_width: sizes.width,
        top: 2 - sizes.top,
        left: 2 - sizes.left,
        ..*sizes
    };
    let kernels = kernels(&turned, |input, output| {
        let [[a, b, c], [d, e, f], [g, h, i]] = kernel_at(weight, output * sizes.inputs + input);
        [[i, h, g], [f, e, d], [c, b, a]]
    });
    convolve(&turned, output, &kernels, &Raw)
}

fn convolve(sizes: &Sizes, input: &[f32], kernels: &[f32], finish: &impl Finish) -> Vec<f32> {
    let cut = Cut::new(sizes);
    let (length, chunk) = (sizes.images * sizes.output(), cut.images * sizes.output());
    written_with(length, chunk, Scratch::default, |scratch, number, output| {
        let images = output.len() / sizes.output();
        let input = &input[number * cut.images * sizes.image()..][..images * sizes.image()];
        for rows in cut.strips(images) {
            let tiles = (rows.1 - rows.0) * cut.columns;
            transform(sizes, cut, input, rows, scratch);
            scratch.products.resize(sizes.outputs * TILE * tiles, 0.0);
            for number in 0..TILE {
                let kernel =
                    Matrix::new(&kernels[number * sizes.inputs..], sizes.outputs, sizes.inputs, TILE * sizes.inputs);
                let inputs = Matrix::new(&scratch.inputs[number * tiles..], sizes.inputs, tiles, TILE * tiles);
                let products = &mut scratch.products[number * tiles..];
                product(kernel, inputs, products, TILE * tiles, false, Parallelism::None);
            }
            for (channel, products) in scratch.products.chunks_exact(TILE * tiles).enumerate() {
                let planes = &mut output[channel * sizes.positions()..];
                Arch::new().dispatch(Outputs {
                    sizes,
                    cut,
                    planes: &mut *planes,
                    rows,
                    products,
                    scratch: &mut scratch.pairs,
                });
                cut.each_plane(sizes, rows, |image, lines| {
                    let at = image * sizes.output() + lines.0 * sizes.out_width;
                    let plane = &mut planes[at..at + (lines.1 - lines.0) * sizes.out_width];
                    finish.run(channel, number * chunk + channel * sizes.positions() + at, plane);
                });
            }
        }
    })
}

/// Fills `scratch.inputs`, `[inputs][16][tiles]`, of a strip of a task.
fn transform(sizes: &Sizes, cut: Cut, input: &[f32], rows: (usize, usize), scratch: &mut Scratch) {
    let tiles = (rows.1 - rows.0) * cut.columns;
    scratch.inputs.resize(sizes.inputs * TILE * tiles, 0.0);
    for (channel, out) in scratch.inputs.chunks_exact_mut(TILE * tiles).enumerate() {
        let planes = &input[channel * sizes.plane()..];
        Arch::new().dispatch(Inputs { sizes, cut, planes, rows, out, scratch: &mut scratch.lines });
    }
}

/// Gradient by the weight, `[outputs, inputs, 3, 3]`.
pub(super) fn by_weight(sizes: &Sizes, input: &[f32], output: &[f32]) -> Vec<f32> {
    let wide = if TILE * sizes.outputs * sizes.inputs >= MANY_WEIGHTS {
        whole(sizes, input, output)
    } else {
        parts(sizes, input, output)
    };
    // `[16][outputs][inputs]`
    let plane = sizes.outputs * sizes.inputs;
    written(9 * plane, 9 * sizes.inputs, |channel, weight| {
        for (input, kernel) in weight.chunks_exact_mut(9).enumerate() {
            let at = channel * sizes.inputs + input;
            let d = std::array::from_fn(|i| std::array::from_fn(|j| wide[(4 * i + j) * plane + at]));
            kernel.copy_from_slice(narrowed(d).as_flattened());
        }
    })
}

/// The sums over all tiles, `[16][outputs][inputs]`, in parts of the batch.
fn parts(sizes: &Sizes, input: &[f32], output: &[f32]) -> Vec<f32> {
    let cut = Cut::new(sizes);
    let share = sizes.images.div_ceil(PARTS).max(1);
    let parts: Vec<Vec<f32>> = input
        .par_chunks(share * sizes.image())
        .zip(output.par_chunks(share * sizes.output()))
        .map_init(Scratch::default, |scratch, (input, output)| {
            let mut sums = vec![0.0; TILE * sizes.outputs * sizes.inputs];
            for (input, output) in
                input.chunks(cut.images * sizes.image()).zip(output.chunks(cut.images * sizes.output()))
            {
                for rows in cut.strips(input.len() / sizes.image()) {
                    let tiles = (rows.1 - rows.0) * cut.columns;
                    transform(sizes, cut, input, rows, scratch);
                    scratch.products.resize(sizes.outputs * TILE * tiles, 0.0);
                    for (channel, out) in scratch.products.chunks_exact_mut(TILE * tiles).enumerate() {
                        let planes = &output[channel * sizes.positions()..];
                        Arch::new().dispatch(Pulls { sizes, cut, planes, rows, out, scratch: &mut scratch.pairs });
                    }
                    for (number, sums) in sums.chunks_exact_mut(sizes.outputs * sizes.inputs).enumerate() {
                        let pulls =
                            Matrix::new(&scratch.products[number * tiles..], sizes.outputs, tiles, TILE * tiles);
                        let inputs = Matrix::new(&scratch.inputs[number * tiles..], sizes.inputs, tiles, TILE * tiles);
                        product(pulls, inputs.transposed(), sums, sizes.inputs, true, Parallelism::None);
                    }
                }
            }
            sums
        })
        .collect();
    let mut parts = parts.into_iter();
    let mut sums = parts.next().unwrap_or_else(|| vec![0.0; TILE * sizes.outputs * sizes.inputs]);
    for part in parts {
        sums.par_chunks_mut(CHUNK).zip(part.par_chunks(CHUNK)).for_each(|(sums, part)| {
            for (sum, part) in sums.iter_mut().zip(part) {
                *sum += part;
            }
        });
    }
    sums
}

/// The same in one go: many weights, so few tiles.
fn whole(sizes: &Sizes, input: &[f32], output: &[f32]) -> Vec<f32> {
    let rows = (0, sizes.images * sizes.out_height.div_ceil(2));
    let cut = Cut { images: sizes.images, strip: rows.1, ..Cut::new(sizes) };
    let tiles = rows.1 * cut.columns;
    let inputs = written(sizes.inputs * TILE * tiles, TILE * tiles, |channel, out| {
        let planes = &input[channel * sizes.plane()..];
        Arch::new().dispatch(Inputs { sizes, cut, planes, rows, out, scratch: &mut Vec::new() });
    });
    let pulls = written(sizes.outputs * TILE * tiles, TILE * tiles, |channel, out| {
        let planes = &output[channel * sizes.positions()..];
        Arch::new().dispatch(Pulls { sizes, cut, planes, rows, out, scratch: &mut Vec::new() });
    });
    let plane = sizes.outputs * sizes.inputs;
    written(TILE * plane, plane, |number, sums| {
        let pulls = Matrix::new(&pulls[number * tiles..], sizes.outputs, tiles, TILE * tiles);
        let inputs = Matrix::new(&inputs[number * tiles..], sizes.inputs, tiles, TILE * tiles);
        product(pulls, inputs.transposed(), sums, sizes.inputs, false, Parallelism::None);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of products in double precision.
    fn plainly(sizes: &Sizes, input: &[f32], weight: &[f32]) -> Vec<f64> {
        let mut out = Vec::new();
        for image in 0..sizes.images {
            for output in 0..sizes.outputs {
                for place in 0..sizes.positions() {
                    let (row, column) = (place / sizes.out_width, place % sizes.out_width);
                    let mut sum = 0.0;
                    for channel in 0..sizes.inputs {
                        for tap in 0..9 {
                            let line = (row + tap / 3).checked_sub(sizes.top).filter(|line| *line < sizes.height);
                            let at = (column + tap % 3).checked_sub(sizes.left).filter(|at| *at < sizes.width);
                            if let (Some(line), Some(at)) = (line, at) {
                                let pixel =
                                    input[image * sizes.image() + channel * sizes.plane() + line * sizes.width + at];
                                let weight = weight[(output * sizes.inputs + channel) * 9 + tap];
                                sum += f64::from(pixel) * f64::from(weight);
                            }
                        }
                    }
                    out.push(sum);
                }
            }
        }
        out
    }

    #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
    fn drawn(length: usize, seed: u64) -> Vec<f32> {
        let key = crate::draw::DrawKey { seed, stage: crate::draw::Stage::Initialise, epoch: 0, sample: 0 };
        let mut stream = key.stream();
        (0..length).map(|_| stream.normal() as f32).collect()
    }

    #[test]
    fn errors_are_those_of_single_precision() {
        for (images, inputs, outputs, (height, width), (top, left)) in [
            (2, 64, 48, (14, 14), (1, 1)),
            (5, 256, 256, (7, 7), (1, 1)),
            (1, 16, 20, (33, 30), (1, 1)),
            (3, 17, 16, (9, 12), (0, 0)),
            (1, 32, 16, (6, 5), (2, 2)),
        ] {
            let sizes = Sizes {
                images,
                inputs,
                height,
                width,
                outputs,
                kernel_height: 3,
                kernel_width: 3,
                out_height: height + 2 * top - 2,
                out_width: width + 2 * left - 2,
                stride: 1,
                top,
                left,
                groups: 1,
            };
            assert!(fits(&sizes), "{sizes:?}");
            let (input, weight) = (drawn(images * sizes.image(), 1), drawn(sizes.weights(), 2));
            let output = forward(&sizes, &input, &weight, &Raw);
            let truth = plainly(&sizes, &input, &weight);
            let largest = truth.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
            let worst = output.iter().zip(&truth).fold(0.0_f64, |most, (a, b)| most.max((f64::from(*a) - b).abs()));
            assert!(worst / largest < 2e-6, "{} of {sizes:?}", worst / largest);
        }
    }
}

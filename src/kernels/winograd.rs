//! 3 x 3 convolution at stride 1 in tiles of 2 x 2 outputs: Winograd's F(2 x 2, 3 x 3) (Lavin and Gray 2016).
//!
//! A tile's 4 x 4 inputs `d` and the kernel `g` become `B^T d B` and `G g G^T`, 16 numbers each; their products, summed over the channels
//! by one matrix product a number, become the outputs by `A^T m A`. That is 2.25 times fewer multiplications than patches times
//! kernels and 2.25 times less memory than the patches, with errors as small: all constants are halves and ones.
//! The gradient by the input is the same convolution with the kernel turned round, that by the weight is the adjoint.
//!
//! Transformed planes lie as `[channel][16][tile]`. How work is cut depends on sizes only, and partial sums are added in order.

use gemm::Parallelism;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::affine::{Finish, Raw};
use super::cpu::{Matrix, Sizes, product};
use super::values::{CHUNK, written, written_with};
use crate::simd::arch;

/// Numbers of a transformed tile.
const TILE: usize = 16;
/// With fewer channels in or out than this, patches are faster.
const FEW_CHANNELS: usize = 16;
/// Transformed floats that a task works on at once: 0.9 MiB, a core's second-level cache.
const AT_ONCE: usize = 229_376;
/// Fewer tiles than this make poor matrix products.
const FEW_TILES: usize = 64;
/// Partial sums of a weight gradient...
const PARTS: usize = 8;
/// ... but where the transformed weights are at least so many floats, the whole batch is one product for each of the 16, ...
const MANY_WEIGHTS: usize = 1 << 20;
/// ... unless its tiles are more floats than this, 64 MiB.
const MOST_AT_ONCE: usize = 1 << 24;

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

/// Values side by side: a vector register of the widest machines, several of others.
const LANES: usize = 16;
type Lanes = [f32; LANES];

/// `of` in each lane. A plain loop: the library's functions over arrays are not always inlined, and then not compiled for the
/// instruction set at hand.
#[inline(always)]
fn lanes(of: impl Fn(usize) -> f32) -> Lanes {
    let mut all = [0.0; LANES];
    for (lane, value) in all.iter_mut().enumerate() {
        *value = of(lane);
    }
    all
}

/// Every second value, from the first.
#[inline(always)]
fn halved(values: &[f32]) -> Lanes {
    lanes(|lane| values[2 * lane])
}

/// Room for so many tiles, and for what whole vectors write beyond the last one. An odd number of half vectors: channels that lie a
/// power of two apart would drive each other out of the cache.
fn room(tiles: usize) -> usize {
    ((tiles + LANES).div_ceil(LANES / 2) | 1) * (LANES / 2)
}

/// Numbers `4 * row` to `4 * row + 3` of a transformed channel.
fn quarter(out: &mut [f32], row: usize) -> [&mut [f32]; 4] {
    let step = out.len() / TILE;
    let mut parts = out[4 * row * step..4 * (row + 1) * step].chunks_exact_mut(step);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

/// `B^T d B` of the tiles under rows `rows` of one channel: `out` is `[16][room]`.
///
/// Rows of tiles are written as whole vectors: what is too much is overwritten by the next row.
struct Inputs<'a> {
    sizes: &'a Sizes,
    cut: Cut,
    /// The channel's plane in the task's first image; the next image's is a whole image further.
    planes: &'a [f32],
    rows: (usize, usize),
    out: &'a mut [f32],
    /// Four lines with their zeros left and right, and one that they are combined to.
    scratch: &'a mut Vec<f32>,
}

impl WithSimd for Inputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { sizes, cut, planes, rows, out, scratch } = self;
        let chunks = cut.columns.div_ceil(LANES);
        let line = 2 * LANES * chunks + LANES;
        scratch.clear();
        scratch.resize(5 * line, 0.0);
        let (lines, combined) = scratch.split_at_mut(4 * line);
        let there = sizes.width.min(2 * cut.columns + 2 - sizes.left);
        for row in rows.0..rows.1 {
            let (image, tile_row) = cut.place(row);
            let plane = &planes[image * sizes.image()..][..sizes.plane()];
            for (number, line) in lines.chunks_exact_mut(line).enumerate() {
                let line = &mut line[sizes.left..][..there];
                match (2 * tile_row + number).checked_sub(sizes.top).filter(|number| *number < sizes.height) {
                    Some(number) => line.copy_from_slice(&plane[number * sizes.width..][..there]),
                    None => line.fill(0.0),
                }
            }
            let at = (row - rows.0) * cut.columns;
            for (number, (x, y, sign)) in
                [(0, 2, -1.0), (1, 2, 1.0), (2, 1, -1.0), (1, 3, -1.0)].into_iter().enumerate()
            {
                let (x, y) = (&lines[x * line..][..line], &lines[y * line..][..line]);
                for (combined, (x, y)) in combined.iter_mut().zip(x.iter().zip(y)) {
                    *combined = x + sign * y;
                }
                let [first, second, third, fourth] = quarter(out, number);
                for chunk in 0..chunks {
                    let pairs = &combined[2 * LANES * chunk..][..2 * LANES + 4];
                    let (a, b, c, d) =
                        (halved(&pairs[..32]), halved(&pairs[1..33]), halved(&pairs[2..34]), halved(&pairs[3..]));
                    let at = at + LANES * chunk;
                    first[at..at + LANES].copy_from_slice(&lanes(|tile| a[tile] - c[tile]));
                    second[at..at + LANES].copy_from_slice(&lanes(|tile| b[tile] + c[tile]));
                    third[at..at + LANES].copy_from_slice(&lanes(|tile| c[tile] - b[tile]));
                    fourth[at..at + LANES].copy_from_slice(&lanes(|tile| b[tile] - d[tile]));
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
    /// `[16][room]`
    products: &'a [f32],
    /// Two rows of outputs.
    scratch: &'a mut Vec<f32>,
}

impl WithSimd for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { sizes, cut, planes, rows, products, scratch } = self;
        let step = products.len() / TILE;
        let chunks = cut.columns.div_ceil(LANES);
        let line = 2 * LANES * chunks;
        scratch.resize(2 * line, 0.0);
        for row in rows.0..rows.1 {
            let (image, tile_row) = cut.place(row);
            let at = (row - rows.0) * cut.columns;
            for chunk in 0..chunks {
                let at = at + LANES * chunk;
                // columns of m, each combined to the two rows of outputs
                let mut halves = [[[0.0; LANES]; 4]; 2];
                let [above, below] = &mut halves;
                for (column, (above, below)) in above.iter_mut().zip(below).enumerate() {
                    let m = |row: usize| &products[(4 * row + column) * step + at..][..LANES];
                    let (a, b, c, d) = (m(0), m(1), m(2), m(3));
                    *above = lanes(|tile| a[tile] + b[tile] + c[tile]);
                    *below = lanes(|tile| b[tile] - c[tile] - d[tile]);
                }
                for (out, [a, b, c, d]) in scratch.chunks_exact_mut(line).zip(&halves) {
                    let even = lanes(|tile| a[tile] + b[tile] + c[tile]);
                    let odd = lanes(|tile| b[tile] - c[tile] - d[tile]);
                    let (pairs, _) = out[2 * LANES * chunk..][..2 * LANES].as_chunks_mut::<2>();
                    for (tile, pair) in pairs.iter_mut().enumerate() {
                        *pair = [even[tile], odd[tile]];
                    }
                }
            }
            let plane = &mut planes[image * sizes.output()..][..sizes.positions()];
            for (number, outputs) in scratch.chunks_exact(line).enumerate() {
                let number = 2 * tile_row + number;
                if number < sizes.out_height {
                    plane[number * sizes.out_width..][..sizes.out_width].copy_from_slice(&outputs[..sizes.out_width]);
                }
            }
        }
    }
}

/// `A y A^T` of rows `rows` of one channel of the gradient by the output, the adjoint of [`Outputs`]: `out` is `[16][room]`.
struct Pulls<'a> {
    sizes: &'a Sizes,
    cut: Cut,
    planes: &'a [f32],
    rows: (usize, usize),
    out: &'a mut [f32],
    /// Two rows with zeros at their ends.
    scratch: &'a mut Vec<f32>,
}

impl WithSimd for Pulls<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { sizes, cut, planes, rows, out, scratch } = self;
        let chunks = cut.columns.div_ceil(LANES);
        let line = 2 * LANES * chunks;
        scratch.clear();
        scratch.resize(2 * line, 0.0);
        for row in rows.0..rows.1 {
            let (image, tile_row) = cut.place(row);
            let plane = &planes[image * sizes.output()..][..sizes.positions()];
            for (number, pulls) in scratch.chunks_exact_mut(line).enumerate() {
                let (number, pulls) = (2 * tile_row + number, &mut pulls[..sizes.out_width]);
                if number < sizes.out_height {
                    pulls.copy_from_slice(&plane[number * sizes.out_width..][..sizes.out_width]);
                } else {
                    pulls.fill(0.0);
                }
            }
            let (above, below) = scratch.split_at(line);
            let at = (row - rows.0) * cut.columns;
            for (number, [x, y]) in [[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [0.0, -1.0]].into_iter().enumerate() {
                let [first, second, third, fourth] = quarter(out, number);
                for chunk in 0..chunks {
                    let (above, below) =
                        (&above[2 * LANES * chunk..][..2 * LANES], &below[2 * LANES * chunk..][..2 * LANES]);
                    let left = lanes(|tile| x * above[2 * tile] + y * below[2 * tile]);
                    let right = lanes(|tile| x * above[2 * tile + 1] + y * below[2 * tile + 1]);
                    let at = at + LANES * chunk;
                    first[at..at + LANES].copy_from_slice(&left);
                    second[at..at + LANES].copy_from_slice(&lanes(|tile| left[tile] + right[tile]));
                    third[at..at + LANES].copy_from_slice(&lanes(|tile| left[tile] - right[tile]));
                    fourth[at..at + LANES].copy_from_slice(&lanes(|tile| -right[tile]));
                }
            }
        }
    }
}

/// `G g G^T` of [`LANES`] kernels.
#[inline(always)]
fn widened(g: &[Lanes; 9]) -> [Lanes; TILE] {
    let mut columns = [[[0.0; LANES]; 3]; 4];
    for column in 0..3 {
        let (a, b, c) = (&g[column], &g[3 + column], &g[6 + column]);
        columns[0][column] = *a;
        columns[1][column] = lanes(|lane| 0.5 * (a[lane] + b[lane] + c[lane]));
        columns[2][column] = lanes(|lane| 0.5 * (a[lane] - b[lane] + c[lane]));
        columns[3][column] = *c;
    }
    let mut wide = [[0.0; LANES]; TILE];
    for (wide, [a, b, c]) in wide.as_chunks_mut::<4>().0.iter_mut().zip(&columns) {
        wide[0] = *a;
        wide[1] = lanes(|lane| 0.5 * (a[lane] + b[lane] + c[lane]));
        wide[2] = lanes(|lane| 0.5 * (a[lane] - b[lane] + c[lane]));
        wide[3] = *c;
    }
    wide
}

/// `G^T d G`, its adjoint.
#[inline(always)]
fn narrowed(d: &[Lanes; TILE]) -> [Lanes; 9] {
    let mut columns = [[[0.0; LANES]; 4]; 3];
    for column in 0..4 {
        let (a, b, c, d) = (&d[column], &d[4 + column], &d[8 + column], &d[12 + column]);
        columns[0][column] = lanes(|lane| a[lane] + 0.5 * (b[lane] + c[lane]));
        columns[1][column] = lanes(|lane| 0.5 * (b[lane] - c[lane]));
        columns[2][column] = lanes(|lane| 0.5 * (b[lane] + c[lane]) + d[lane]);
    }
    let mut narrow = [[0.0; LANES]; 9];
    for (narrow, [a, b, c, d]) in narrow.as_chunks_mut::<3>().0.iter_mut().zip(&columns) {
        narrow[0] = lanes(|lane| a[lane] + 0.5 * (b[lane] + c[lane]));
        narrow[1] = lanes(|lane| 0.5 * (b[lane] - c[lane]));
        narrow[2] = lanes(|lane| 0.5 * (b[lane] + c[lane]) + d[lane]);
    }
    narrow
}

/// The transformed kernels of one output, `[16][inputs]`; tap `t` of the kernel for an input is at `input * step + taps[t]`.
struct Widen<'a> {
    weight: &'a [f32],
    step: usize,
    taps: [usize; 9],
    wide: &'a mut [f32],
}

impl WithSimd for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let inputs = self.wide.len() / TILE;
        for first in (0..inputs).step_by(LANES) {
            let count = (inputs - first).min(LANES);
            let mut g = [[0.0; LANES]; 9];
            for lane in 0..count {
                let kernel = &self.weight[(first + lane) * self.step..][..9];
                for (tap, g) in self.taps.iter().zip(&mut g) {
                    g[lane] = kernel[*tap];
                }
            }
            for (wide, values) in self.wide.chunks_exact_mut(inputs).zip(widened(&g)) {
                wide[first..first + count].copy_from_slice(&values[..count]);
            }
        }
    }
}

/// The kernels of one output from their transformed gradients, `[16][plane]`, of which this output's begin at `at`.
struct Narrow<'a> {
    wide: &'a [f32],
    at: usize,
    weight: &'a mut [f32],
}

impl WithSimd for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let plane = self.wide.len() / TILE;
        for (chunk, kernels) in self.weight.chunks_mut(9 * LANES).enumerate() {
            let count = kernels.len() / 9;
            let mut d = [[0.0; LANES]; TILE];
            for (number, d) in d.iter_mut().enumerate() {
                d[..count].copy_from_slice(&self.wide[number * plane + self.at + chunk * LANES..][..count]);
            }
            let narrow = narrowed(&d);
            for (lane, kernel) in kernels.chunks_exact_mut(9).enumerate() {
                for (value, narrow) in kernel.iter_mut().zip(&narrow) {
                    *value = narrow[lane];
                }
            }
        }
    }
}

/// What a task needs besides its data.
#[derive(Default)]
struct Scratch {
    inputs: Vec<f32>,
    products: Vec<f32>,
    lines: Vec<f32>,
}

/// `[images, outputs, out height, out width]`, finished.
pub(super) fn forward(sizes: &Sizes, input: &[f32], weight: &[f32], finish: &impl Finish) -> Vec<f32> {
    // `[outputs][16][inputs]`
    let kernels = written(sizes.outputs * TILE * sizes.inputs, TILE * sizes.inputs, |output, wide| {
        let weight = &weight[9 * output * sizes.inputs..];
        arch().dispatch(Widen { weight, step: 9, taps: [0, 1, 2, 3, 4, 5, 6, 7, 8], wide });
    });
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
    let kernels = written(sizes.outputs * TILE * sizes.inputs, TILE * sizes.outputs, |input, wide| {
        let (weight, step) = (&weight[9 * input..], 9 * sizes.inputs);
        arch().dispatch(Widen { weight, step, taps: [8, 7, 6, 5, 4, 3, 2, 1, 0], wide });
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
            let step = room(tiles);
            transform(sizes, cut, input, rows, scratch);
            scratch.products.resize(sizes.outputs * TILE * step, 0.0);
            for number in 0..TILE {
                let kernel =
                    Matrix::new(&kernels[number * sizes.inputs..], sizes.outputs, sizes.inputs, TILE * sizes.inputs);
                let inputs = Matrix::new(&scratch.inputs[number * step..], sizes.inputs, tiles, TILE * step);
                let products = &mut scratch.products[number * step..];
                product(kernel, inputs, products, TILE * step, false, Parallelism::None);
            }
            for (channel, products) in scratch.products.chunks_exact(TILE * step).enumerate() {
                let planes = &mut output[channel * sizes.positions()..];
                arch().dispatch(Outputs {
                    sizes,
                    cut,
                    planes: &mut *planes,
                    rows,
                    products,
                    scratch: &mut scratch.lines,
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

/// Fills `scratch.inputs`, `[inputs][16][room]`, of a strip of a task.
fn transform(sizes: &Sizes, cut: Cut, input: &[f32], rows: (usize, usize), scratch: &mut Scratch) {
    let step = room((rows.1 - rows.0) * cut.columns);
    scratch.inputs.resize(sizes.inputs * TILE * step, 0.0);
    for (channel, out) in scratch.inputs.chunks_exact_mut(TILE * step).enumerate() {
        let planes = &input[channel * sizes.plane()..];
        arch().dispatch(Inputs { sizes, cut, planes, rows, out, scratch: &mut scratch.lines });
    }
}

/// Gradient by the weight, `[outputs, inputs, 3, 3]`.
pub(super) fn by_weight(sizes: &Sizes, input: &[f32], output: &[f32]) -> Vec<f32> {
    let tiles = sizes.images * sizes.out_height.div_ceil(2) * sizes.out_width.div_ceil(2);
    let once = TILE * (sizes.inputs + sizes.outputs) * tiles <= MOST_AT_ONCE;
    let wide = if once && TILE * sizes.outputs * sizes.inputs >= MANY_WEIGHTS {
        whole(sizes, input, output)
    } else {
        parts(sizes, input, output)
    };
    // `[16][outputs][inputs]`
    let plane = sizes.outputs * sizes.inputs;
    written(9 * plane, 9 * sizes.inputs, |output, weight| {
        arch().dispatch(Narrow { wide: &wide, at: output * sizes.inputs, weight });
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
                    let step = room(tiles);
                    transform(sizes, cut, input, rows, scratch);
                    scratch.products.resize(sizes.outputs * TILE * step, 0.0);
                    for (channel, out) in scratch.products.chunks_exact_mut(TILE * step).enumerate() {
                        let planes = &output[channel * sizes.positions()..];
                        arch().dispatch(Pulls { sizes, cut, planes, rows, out, scratch: &mut scratch.lines });
                    }
                    for (number, sums) in sums.chunks_exact_mut(sizes.outputs * sizes.inputs).enumerate() {
                        let pulls = Matrix::new(&scratch.products[number * step..], sizes.outputs, tiles, TILE * step);
                        let inputs = Matrix::new(&scratch.inputs[number * step..], sizes.inputs, tiles, TILE * step);
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
    let step = room(tiles);
    let inputs = written(sizes.inputs * TILE * step, TILE * step, |channel, out| {
        let planes = &input[channel * sizes.plane()..];
        arch().dispatch(Inputs { sizes, cut, planes, rows, out, scratch: &mut Vec::new() });
    });
    let pulls = written(sizes.outputs * TILE * step, TILE * step, |channel, out| {
        let planes = &output[channel * sizes.positions()..];
        arch().dispatch(Pulls { sizes, cut, planes, rows, out, scratch: &mut Vec::new() });
    });
    let plane = sizes.outputs * sizes.inputs;
    written(TILE * plane, plane, |number, sums| {
        let pulls = Matrix::new(&pulls[number * step..], sizes.outputs, tiles, TILE * step);
        let inputs = Matrix::new(&inputs[number * step..], sizes.inputs, tiles, TILE * step);
        product(pulls, inputs.transposed(), sums, sizes.inputs, false, Parallelism::None);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::drawn::drawn_values as drawn;

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

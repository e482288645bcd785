//! Layer norm, and the mean of each row, in one pass over the rows, on the processor.
//!
//! Rows are the last axis. Sums over rows are cut into parts by sizes alone and added in order, so that bits do not
//! depend on the number of threads.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::lanes::Lanes;
use super::norm::is_taken;
use super::values::{CHUNK, tensor, written};
use crate::simd::arch;

/// Parts of the sum over all rows.
const PARTS: usize = 16;

/// The operations.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait RowOps: Backend {
    /// `(x - mean) / sqrt(variance + eps) * weight + bias` a row, with the biased variance.
    fn normalise_rows(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self>;

    /// Its gradients by input, weight and bias.
    fn normalise_rows_gradients(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output: FloatTensor<Self>,
        eps: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The mean of each row, `[rows, columns]` to `[rows]`.
    fn row_means(input: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Its gradient: each row's divided among so many columns.
    fn row_means_gradient(output: FloatTensor<Self>, columns: usize) -> FloatTensor<Self>;
}

#[inline(always)]
fn sum(x: &[f32], y: &[f32], of: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = Lanes::default();
    lanes.add(x, y, of);
    lanes.total()
}

/// Mean, and one over the deviation, of a row.
#[inline(always)]
fn statistics(x: &[f32], eps: f32) -> (f32, f32) {
    #[expect(clippy::cast_precision_loss, reason = "features, thousands at most")]
    let count = x.len().max(1) as f32;
    let mean = sum(
        x,
        x,
        #[inline(always)]
        |x, _| x,
    ) / count;
    let squares = sum(
        x,
        x,
        #[inline(always)]
        |x, _| (x - mean) * (x - mean),
    );
    (mean, 1.0 / (squares / count + eps).sqrt())
}

struct Normalise<'a> {
    out: &'a mut [f32],
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.weight.len();
        for (out, x) in self.out.chunks_mut(width).zip(self.x.chunks(width)) {
            let (mean, scale) = statistics(x, self.eps);
            for ((out, x), (weight, bias)) in out.iter_mut().zip(x).zip(self.weight.iter().zip(self.bias)) {
                *out = (x - mean) * scale * weight + bias;
            }
        }
    }
}

/// Of some rows: fills their gradient by the input, adds to those by weight and bias.
struct Gradient<'a> {
    by_input: &'a mut [f32],
    by_weight: &'a mut [f32],
    by_bias: &'a mut [f32],
    x: &'a [f32],
    y: &'a [f32],
    weight: &'a [f32],
    eps: f32,
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.weight.len();
        #[expect(clippy::cast_precision_loss, reason = "features, thousands at most")]
        let count = width as f32;
        let mut pulled = vec![0.0; width];
        let mut normal = vec![0.0; width];
        for ((out, x), y) in self.by_input.chunks_mut(width).zip(self.x.chunks(width)).zip(self.y.chunks(width)) {
            let (mean, scale) = statistics(x, self.eps);
            for (normal, x) in normal.iter_mut().zip(x) {
                *normal = (x - mean) * scale;
            }
            for ((pulled, y), weight) in pulled.iter_mut().zip(y).zip(self.weight) {
                *pulled = y * weight;
            }
            for ((sum, y), normal) in self.by_weight.iter_mut().zip(y).zip(&normal) {
                *sum += y * normal;
            }
            for (sum, y) in self.by_bias.iter_mut().zip(y) {
                *sum += y;
            }
            // Ba et al. 2016: mean and variance depend on every x.
            let shared = sum(
                &pulled,
                &pulled,
                #[inline(always)]
                |a, _| a,
            ) / count;
            let slope = sum(
                &pulled,
                &normal,
                #[inline(always)]
                |a, b| a * b,
            ) / count;
            for ((out, pulled), normal) in out.iter_mut().zip(&pulled).zip(&normal) {
                *out = (pulled - shared - normal * slope) * scale;
            }
        }
    }
}

struct Means<'a> {
    out: &'a mut [f32],
    x: &'a [f32],
}

impl WithSimd for Means<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let width = (self.x.len() / self.out.len().max(1)).max(1);
        #[expect(clippy::cast_precision_loss, reason = "pixels of an image, below 2^24")]
        let count = width as f32;
        for (out, x) in self.out.iter_mut().zip(self.x.chunks(width)) {
            *out = sum(
                x,
                x,
                #[inline(always)]
                |x, _| x,
            ) / count;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "tensors are in single precision")]
fn single(value: f64) -> f32 {
    value as f32
}

/// Whole rows of about [`CHUNK`] values.
fn rows_of(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

impl RowOps for Flex {
    fn normalise_rows(input: FlexTensor, weight: FlexTensor, bias: FlexTensor, eps: f64) -> FlexTensor {
        let (input, weight, bias) = (input.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let (x, weight, bias) = (input.storage::<f32>(), weight.storage::<f32>(), bias.storage::<f32>());
        let chunk = rows_of(weight.len()) * weight.len();
        let values = written(x.len(), chunk, |number, out| {
            let x = &x[number * chunk..][..out.len()];
            arch().dispatch(Normalise { out, x, weight, bias, eps: single(eps) });
        });
        tensor(values, input.shape())
    }

    fn normalise_rows_gradients(
        input: FlexTensor,
        weight: FlexTensor,
        output: FlexTensor,
        eps: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let shapes = (input.shape(), weight.shape());
        let (input, weight, output) = (input.to_contiguous(), weight.to_contiguous(), output.to_contiguous());
        let (x, weight, y) = (input.storage::<f32>(), weight.storage::<f32>(), output.storage::<f32>());
        let width = weight.len().max(1);
        let chunk = (x.len() / width).div_ceil(PARTS).max(1) * width;
        let mut by_input = vec![0.0; x.len()];
        let parts: Vec<(Vec<f32>, Vec<f32>)> = by_input
            .par_chunks_mut(chunk)
            .zip(x.par_chunks(chunk).zip(y.par_chunks(chunk)))
            .map(|(by_input, (x, y))| {
                let (mut by_weight, mut by_bias) = (vec![0.0; width], vec![0.0; width]);
                let sums = (&mut by_weight[..], &mut by_bias[..]);
                let eps = single(eps);
                arch().dispatch(Gradient { by_input, by_weight: sums.0, by_bias: sums.1, x, y, weight, eps });
                (by_weight, by_bias)
            })
            .collect();
        let (mut by_weight, mut by_bias) = (vec![0.0; width], vec![0.0; width]);
        for (weight, bias) in parts {
            for (sums, part) in [(&mut by_weight, weight), (&mut by_bias, bias)] {
                for (sum, part) in sums.iter_mut().zip(part) {
                    *sum += part;
                }
            }
        }
        (tensor(by_input, shapes.0), tensor(by_weight, shapes.1.clone()), tensor(by_bias, shapes.1))
    }

    fn row_means(input: FlexTensor) -> FlexTensor {
        let [rows, columns] = input.shape().dims();
        let input = input.to_contiguous();
        let (x, chunk) = (input.storage::<f32>(), rows_of(columns));
        let values = written(rows, chunk, |number, out| {
            let x = &x[number * chunk * columns..][..out.len() * columns];
            arch().dispatch(Means { out, x });
        });
        tensor(values, Shape::new([rows]))
    }

    fn row_means_gradient(output: FlexTensor, columns: usize) -> FlexTensor {
        let output = output.to_contiguous();
        let (y, chunk) = (output.storage::<f32>(), rows_of(columns));
        #[expect(clippy::cast_precision_loss, reason = "pixels of an image, below 2^24")]
        let count = columns.max(1) as f32;
        let values = written(y.len() * columns, chunk * columns, |number, out| {
            for (row, y) in out.chunks_mut(columns.max(1)).zip(&y[number * chunk..]) {
                row.fill(y / count);
            }
        });
        tensor(values, Shape::new([y.len(), columns]))
    }
}

impl<B: RowOps, C: CheckpointStrategy> RowOps for Autodiff<B, C> {
    fn normalise_rows(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct LayerNorm;
        impl<B: RowOps> Backward<B, 3> for LayerNorm {
            type State = (FloatTensor<B>, FloatTensor<B>, f64);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let output = gradients.consume::<B>(&ops.node);
                let (input, weight, eps) = ops.state;
                let (first, second, third) = B::normalise_rows_gradients(input, weight, output, eps);
                for (node, gradient) in ops.parents.into_iter().zip([first, second, third]) {
                    if let Some(node) = node {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let nodes = [input.node(), weight.node(), bias.node()];
        let (input, weight, bias) = (input.into_primitive(), weight.into_primitive(), bias.into_primitive());
        match LayerNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let output = B::normalise_rows(input.clone(), weight.clone(), bias, eps);
                prepared.finish((input, weight, eps), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::normalise_rows(input, weight, bias, eps)),
        }
    }

    fn normalise_rows_gradients(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output: FloatTensor<Self>,
        eps: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        // Constants: nothing here is differentiated twice.
        let [input, weight, output] = [input, weight, output].map(Self::inner);
        let (first, second, third) = B::normalise_rows_gradients(input, weight, output, eps);
        (Self::from_inner(first), Self::from_inner(second), Self::from_inner(third))
    }

    fn row_means(input: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct RowMeans;
        impl<B: RowOps> Backward<B, 1> for RowMeans {
            type State = usize;

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let output = gradients.consume::<B>(&ops.node);
                let [node] = ops.parents;
                if let Some(node) = node {
                    gradients.register::<B>(node.id, B::row_means_gradient(output, ops.state));
                }
            }
        }
        let node = input.node();
        let input = input.into_primitive();
        let [_, columns] = input.shape().dims();
        let output = B::row_means(input);
        match RowMeans.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(columns, output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn row_means_gradient(output: FloatTensor<Self>, columns: usize) -> FloatTensor<Self> {
        Self::from_inner(B::row_means_gradient(Self::inner(output), columns))
    }
}

/// Layer norm over the last axis (Ba et al. 2016).
///
/// # Shapes
/// `[..., features]`, `[features]`, `[features]`; the first is the output's too.
#[must_use]
pub fn layer_norm<const D: usize>(input: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    if is_taken(&input) {
        let (input, weight, bias) = (input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
        return Tensor::from_dispatch(Dispatch::normalise_rows(input, weight, bias, eps));
    }
    composed(input, weight, bias, eps)
}

fn composed<const D: usize>(input: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    let centred = input.clone() - input.mean_dim(D - 1);
    let variance = centred.clone().square().mean_dim(D - 1);
    let normalised = centred / (variance + eps).sqrt();
    normalised * weight.unsqueeze() + bias.unsqueeze()
}

/// Mean of each row, `[rows, columns]` to `[rows]`.
#[must_use]
pub fn row_means(input: Tensor<2>) -> Tensor<1> {
    if is_taken(&input) {
        return Tensor::from_dispatch(Dispatch::row_means(input.into_dispatch()));
    }
    let [rows, _] = input.dims();
    input.mean_dim(1).reshape([rows])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::kernels::drawn::drawn;

    fn close<const D: usize>(ours: Tensor<D>, theirs: Tensor<D>, what: &str) {
        let scale: f32 = theirs.clone().abs().max().into_scalar();
        let gap: f32 = (ours - theirs).abs().max().into_scalar();
        assert!(gap <= 1e-5 * scale.max(1e-3), "{what}: {gap} of {scale}");
    }

    #[test]
    fn layer_norm_is_that_of_plain_operations() {
        for shape in [[1, 1, 1], [2, 3, 5], [3, 7, 64], [2, 197, 33], [17, 2, 768]] {
            let width = shape[2];
            let input = (drawn(shape, 1) * 2.0 + 3.0).detach().require_grad();
            let (weight, bias) = (drawn([width], 2).require_grad(), drawn([width], 3).require_grad());
            let ours = layer_norm(input.clone(), weight.clone(), bias.clone(), 1e-2);
            let theirs = composed(input.clone(), weight.clone(), bias.clone(), 1e-2);
            close(ours.clone(), theirs.clone(), "values");
            let pull = drawn(shape, 4);
            let (ours, theirs) = ((ours * pull.clone()).sum().backward(), (theirs * pull).sum().backward());
            close(input.grad(&ours).unwrap(), input.grad(&theirs).unwrap(), "by input");
            close(weight.grad(&ours).unwrap(), weight.grad(&theirs).unwrap(), "by weight");
            close(bias.grad(&ours).unwrap(), bias.grad(&theirs).unwrap(), "by bias");
        }
    }

    #[test]
    fn means_of_rows_are_burns_own() {
        for shape in [[1, 1], [5, 49], [300, 1], [3, 50_000], [700, 196]] {
            let input = drawn(shape, 1).require_grad();
            let (ours, theirs) = (row_means(input.clone()), input.clone().mean_dim(1).reshape([shape[0]]));
            close(ours.clone(), theirs.clone(), "values");
            let (ours, theirs) = (ours.powi_scalar(3).sum().backward(), theirs.powi_scalar(3).sum().backward());
            close(input.grad(&ours).unwrap(), input.grad(&theirs).unwrap(), "gradient");
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let input = drawn([9, 101, 40], 1).require_grad();
                let (weight, bias) = (drawn([40], 2).require_grad(), drawn([40], 3).require_grad());
                let output = layer_norm(input.clone(), weight.clone(), bias.clone(), 1e-6);
                let means = row_means(output.clone().reshape([909, 40]));
                let gradients = (output.powi_scalar(3).sum() + means.powi_scalar(2).sum()).backward();
                let mut all: Vec<u32> =
                    input.grad(&gradients).unwrap().into_data().iter::<f32>().map(f32::to_bits).collect();
                for tensor in [&weight, &bias] {
                    all.extend(tensor.grad(&gradients).unwrap().into_data().iter::<f32>().map(f32::to_bits));
                }
                all
            })
        };
        let one = bits(1);
        assert_eq!(one, bits(2));
        assert_eq!(one, bits(5));
    }
}

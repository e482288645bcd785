//! Attention of several heads (Vaswani et al. 2017) in one operation, on the processor.
//!
//! Queries, keys and values are read where the linear layer put them, and an image's and head's table of all tokens by all
//! tokens lives only while it is used: the backward pass makes it again, which costs one product of five and saves what
//! would be most of a transformer's memory.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};
use gemm::Parallelism;
use pulp::{Simd, WithSimd};

use super::cpu::{Matrix, product};
use super::lanes::Lanes;
use super::values::{exp, tensor, written_with};
use crate::simd::arch;

/// The operations.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait AttentionOps: Backend {
    /// `[images, tokens, 3 * width]`, queries, keys and values of all heads one after the other, to `[images, tokens, width]`.
    fn attend(all: FloatTensor<Self>, heads: usize) -> FloatTensor<Self>;

    /// Its gradient.
    fn attend_gradient(all: FloatTensor<Self>, output: FloatTensor<Self>, heads: usize) -> FloatTensor<Self>;
}

/// Of one head of one image, with what a step further in the slices means.
#[derive(Clone, Copy)]
struct Head<'a> {
    query: Matrix<'a>,
    key: Matrix<'a>,
    value: Matrix<'a>,
}

#[derive(Clone, Copy)]
struct Sizes {
    tokens: usize,
    width: usize,
    heads: usize,
}

impl Sizes {
    fn each(self) -> usize {
        self.width / self.heads
    }

    /// Of queries, keys or values of all tokens: where a head's begin in an image, by number 0, 1 or 2.
    fn place(self, part: usize, head: usize) -> usize {
        part * self.width + head * self.each()
    }

    fn head(self, image: &[f32], head: usize) -> Head<'_> {
        let part = |part| Matrix::new(&image[self.place(part, head)..], self.tokens, self.each(), 3 * self.width);
        Head { query: part(0), key: part(1), value: part(2) }
    }

    /// What products of queries and keys are multiplied by.
    #[expect(clippy::cast_precision_loss, reason = "a few dozen numbers a head")]
    fn scale(self) -> f32 {
        (self.each() as f32).sqrt().recip()
    }
}

/// Each row to `softmax(scale * row)`.
struct Softmax<'a> {
    rows: &'a mut [f32],
    columns: usize,
    scale: f32,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.rows.chunks_exact_mut(self.columns) {
            let mut largest = [f32::NEG_INFINITY; 16];
            let (runs, rest) = row.as_chunks::<16>();
            for run in runs {
                for (largest, x) in largest.iter_mut().zip(run) {
                    *largest = if *x > *largest { *x } else { *largest };
                }
            }
            let largest = largest.iter().chain(rest).fold(f32::NEG_INFINITY, |most, x| most.max(*x));
            for x in row.iter_mut() {
                *x = exp((*x - largest) * self.scale);
            }
            let mut sum = Lanes::default();
            sum.add(
                row,
                row,
                #[inline(always)]
                |x, _| x,
            );
            let share = 1.0 / sum.total();
            for x in row.iter_mut() {
                *x *= share;
            }
        }
    }
}

/// Gradients by the scaled products of queries and keys, in place of those by the shares.
struct Slope<'a> {
    gradients: &'a mut [f32],
    shares: &'a [f32],
    columns: usize,
    scale: f32,
}

impl WithSimd for Slope<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.gradients.chunks_exact_mut(self.columns).zip(self.shares.chunks_exact(self.columns));
        for (gradients, shares) in rows {
            let mut pull = Lanes::default();
            pull.add(
                gradients,
                shares,
                #[inline(always)]
                |gradient, share| gradient * share,
            );
            let pull = pull.total();
            for (gradient, share) in gradients.iter_mut().zip(shares) {
                *gradient = (*gradient - pull) * share * self.scale;
            }
        }
    }
}

/// The shares of one head, `[tokens, tokens]`.
fn shares(sizes: Sizes, head: Head<'_>, table: &mut Vec<f32>) {
    let tokens = sizes.tokens;
    table.resize(tokens * tokens, 0.0);
    product(head.query, head.key.transposed(), table, tokens, false, Parallelism::None);
    arch().dispatch(Softmax { rows: table, columns: tokens, scale: sizes.scale() });
}

impl AttentionOps for Flex {
    fn attend(all: FlexTensor, heads: usize) -> FlexTensor {
        let [images, tokens, wide] = all.shape().dims();
        let sizes = Sizes { tokens, width: wide / 3, heads };
        let all = all.to_contiguous();
        let (x, image) = (all.storage::<f32>(), tokens * wide);
        let (length, chunk) = (images * tokens * sizes.width, tokens * sizes.width);
        let values = written_with(length, chunk, Vec::new, |table: &mut Vec<f32>, number, out| {
            for head in 0..heads {
                let parts = sizes.head(&x[number * image..][..image], head);
                shares(sizes, parts, table);
                let table = Matrix::new(table, tokens, tokens, tokens);
                let out = &mut out[head * sizes.each()..];
                product(table, parts.value, out, sizes.width, false, Parallelism::None);
            }
        });
        tensor(values, Shape::new([images, tokens, sizes.width]))
    }

    fn attend_gradient(all: FlexTensor, output: FlexTensor, heads: usize) -> FlexTensor {
        let [images, tokens, wide] = all.shape().dims();
        let sizes = Sizes { tokens, width: wide / 3, heads };
        let (all, output) = (all.to_contiguous(), output.to_contiguous());
        let (x, y, image) = (all.storage::<f32>(), output.storage::<f32>(), tokens * wide);
        let tables = || (Vec::new(), vec![0.0; tokens * tokens]);
        let values = written_with(images * image, image, tables, |(table, slopes), number, gradient| {
            for head in 0..heads {
                let parts = sizes.head(&x[number * image..][..image], head);
                shares(sizes, parts, table);
                let output = &y[number * tokens * sizes.width..][..tokens * sizes.width];
                let output = Matrix::new(&output[head * sizes.each()..], tokens, sizes.each(), sizes.width);
                product(output, parts.value.transposed(), slopes, tokens, false, Parallelism::None);
                arch().dispatch(Slope { gradients: slopes, shares: table, columns: tokens, scale: sizes.scale() });
                let (table, slopes) =
                    (Matrix::new(table, tokens, tokens, tokens), Matrix::new(slopes, tokens, tokens, tokens));
                for (part, of, with) in
                    [(0, slopes, parts.key), (1, slopes.transposed(), parts.query), (2, table.transposed(), output)]
                {
                    let gradient = &mut gradient[sizes.place(part, head)..];
                    product(of, with, gradient, wide, false, Parallelism::None);
                }
            }
        });
        tensor(values, Shape::new([images, tokens, wide]))
    }
}

impl<B: AttentionOps, C: CheckpointStrategy> AttentionOps for Autodiff<B, C> {
    fn attend(all: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Attend;
        impl<B: AttentionOps> Backward<B, 1> for Attend {
            type State = (FloatTensor<B>, usize);

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let output = gradients.consume::<B>(&ops.node);
                let (all, heads) = ops.state;
                let [node] = ops.parents;
                if let Some(node) = node {
                    gradients.register::<B>(node.id, B::attend_gradient(all, output, heads));
                }
            }
        }
        let nodes = [all.node()];
        let all = all.into_primitive();
        match Attend.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let output = B::attend(all.clone(), heads);
                prepared.finish((all, heads), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::attend(all, heads)),
        }
    }

    fn attend_gradient(all: FloatTensor<Self>, output: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        // Constants: nothing here is differentiated twice.
        Self::from_inner(B::attend_gradient(Self::inner(all), Self::inner(output), heads))
    }
}

/// `softmax(Q K^T / sqrt(width / heads)) V` of each head. On the processor; ask [`super::on_processor`] first.
///
/// # Shapes
/// `[images, tokens, 3 * width]`, queries, keys and values of all heads one after the other, to `[images, tokens, width]`.
#[must_use]
pub fn attention(all: Tensor<3>, heads: usize) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::attend(all.into_dispatch(), heads))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use burn::tensor::Device;
    use burn::tensor::activation::softmax;

    use super::*;
    use crate::kernels::drawn::drawn;

    fn composed(all: Tensor<3>, heads: usize) -> Tensor<3> {
        let [images, tokens, wide] = all.dims();
        let each = wide / 3 / heads;
        let all = all.reshape([images, tokens, 3, heads, each]).permute([2, 0, 3, 1, 4]);
        let part = |number| all.clone().narrow(0, number, 1).reshape([images, heads, tokens, each]);
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let scale = (each as f64).sqrt().recip();
        let shares = softmax((part(0) * scale).matmul(part(1).swap_dims(2, 3)), 3);
        shares.matmul(part(2)).swap_dims(1, 2).reshape([images, tokens, wide / 3])
    }

    #[test]
    fn it_is_that_of_plain_operations() {
        for (images, tokens, heads, each) in
            [(1, 1, 1, 1), (2, 5, 3, 4), (3, 17, 2, 32), (1, 197, 2, 64), (2, 50, 1, 7)]
        {
            // large enough for some shares to be nearly all
            let all = (drawn([images, tokens, 3 * heads * each], 1) * 1.5).detach().require_grad();
            let (ours, theirs) = (attention(all.clone(), heads), composed(all.clone(), heads));
            let close = |ours: Tensor<3>, theirs: Tensor<3>, what: &str| {
                let scale: f32 = theirs.clone().abs().max().into_scalar();
                let gap: f32 = (ours - theirs).abs().max().into_scalar();
                assert!(
                    gap <= 1e-5 * scale.max(1e-3),
                    "{what} of {images} x {tokens} x {heads} x {each}: {gap} of {scale}"
                );
            };
            close(ours.clone(), theirs.clone(), "values");
            let pull = drawn(ours.dims(), 2);
            let (ours, theirs) = ((ours * pull.clone()).sum().backward(), (theirs * pull).sum().backward());
            close(all.grad(&ours).unwrap(), all.grad(&theirs).unwrap(), "gradients");
        }
    }

    #[test]
    fn large_products_stay_numbers_and_what_is_none_is_found() {
        let all = (drawn([1, 9, 12], 1) * 1e4).detach().require_grad();
        let output = attention(all.clone(), 2);
        let gradients = output.clone().sum().backward();
        for tensor in [output, all.grad(&gradients).unwrap()] {
            assert!(tensor.into_data().iter::<f32>().all(f32::is_finite));
        }
        let broken = Tensor::<3>::full([1, 2, 3], f32::NAN, &Device::flex());
        assert!(attention(broken, 1).into_data().iter::<f32>().all(f32::is_nan));
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let bits = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let all = drawn([5, 33, 48], 1).require_grad();
                let output = attention(all.clone(), 4);
                let gradients = output.clone().powi_scalar(2).sum().backward();
                let both = [output, all.grad(&gradients).unwrap()];
                both.map(|tensor| tensor.into_data().iter::<f32>().map(f32::to_bits).collect::<Vec<u32>>())
            })
        };
        assert_eq!(bits(1), bits(2));
        assert_eq!(bits(1), bits(5));
    }
}

//! The weighted sum of a study's losses as one operation forward and one backward, whatever its terms.
//!
//! On GPUs the kernels beside this file run it (`device.rs`); on the processor, and on what has no sums over planes, `reference.rs` does. README.md counts what is read
//! and written.

#[cfg(feature = "gpu")]
mod device;
#[cfg(feature = "gpu")]
#[allow(
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    clippy::too_many_arguments,
    clippy::used_underscore_binding,
    clippy::collapsible_if,
    clippy::struct_excessive_bools,
    clippy::trivially_copy_pass_by_ref,
    reason = "a kernel is compiled by CubeCL: values there are chosen, not compared with care, and ifs are of two kinds"
)]
pub(crate) mod kernel;
pub(crate) mod reference;

use std::sync::Arc;

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};

use super::limit::assert_countable;

#[cfg(feature = "gpu")]
pub use device::launches;
pub use reference::HostLoss;

/// What a term measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Categorical cross-entropy.
    CrossEntropy,
    /// Categorical focal cross-entropy (Lin et al. 2017).
    Focal {
        /// How much easy images are turned down, from 0.
        gamma: f64,
        /// A factor for all classes.
        alpha: f64,
    },
    /// Kullback-Leibler divergence of the prediction from the target.
    Kl,
    /// 1 - mean F1 over the classes, with counts in probabilities.
    SoftF1,
}

/// One loss of a sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Its factor in the sum.
    pub weight: f64,
    /// What it measures.
    pub kind: Kind,
    /// Share of the target that is spread over all classes, 0 to 1.
    pub smoothing: f64,
    /// Factor of a row by its class; the soft F1 has none.
    pub class_weights: Option<Vec<f64>>,
}

/// The whole sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// Columns of the logits.
    pub classes: usize,
    /// In the order of the study's loss.
    pub terms: Vec<Term>,
}

/// What rows should be.
#[derive(Debug, Clone)]
pub enum Targets {
    /// The number of each row's class, `[rows]`; one that is no class makes the loss NaN.
    Classes(Tensor<1>),
    /// Shares of the classes, `[rows, classes]`, before any smoothing; each row adds up to 1.
    Shares(Tensor<2>),
}

/// What a batch costs.
#[derive(Debug, Clone)]
pub struct Mixed {
    /// The weighted sum, `[1]`; `backward` on it gives the gradient of the logits.
    pub total: Tensor<1>,
    /// Each term before its weight, `[terms]`, without gradients.
    pub terms: Tensor<1>,
}

/// The operation. Targets are class numbers if they have one axis, shares if they have two.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Fusion: cfg(feature = "cuda"), Autodiff)]
pub(crate) trait MixOps: Backend {
    /// The sum, each term, and two tensors that the backward pass needs: here the gradient itself, and nothing.
    #[fusion(meta = |logits, _targets, mix| device::specs(logits, mix))]
    fn mix(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        mix: Arc<Mix>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::<Self>(logits, targets, &mix, DType::F64)
    }

    /// The gradient by the logits, given that by the sum.
    #[fusion(dtype = logits, shape = logits)]
    fn mix_gradient(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        slopes: FloatTensor<Self>,
        above: FloatTensor<Self>,
        mix: Arc<Mix>,
    ) -> FloatTensor<Self> {
        drop((logits, targets, slopes, mix));
        composed_gradient::<Self>(kept, above)
    }
}

impl MixOps for Flex {}

/// [`MixOps::mix`] on the host; the sum and the terms come in numbers of a type.
fn composed<B: Backend>(
    logits: FloatTensor<B>,
    targets: FloatTensor<B>,
    mix: &Mix,
    figures: DType,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let device = logits.device();
    let (shape, dtype) = (logits.shape(), logits.dtype());
    let hard = targets.shape().num_dims() == 1;
    let (logits, targets) = (to_host::<B>(logits), to_host::<B>(targets));
    let host = mix.on_host(&logits, &if hard { mix.shares(&targets) } else { targets });
    let tensor = |data: TensorData, dtype| B::float_from_data(data.convert_dtype(dtype), &device);
    #[expect(clippy::cast_possible_truncation, reason = "networks work in single precision")]
    let gradient: Vec<f32> = host.gradient.iter().map(|&g| g as f32).collect();
    let terms = host.terms.len();
    (
        tensor(TensorData::new(vec![host.value], [1]), figures),
        tensor(TensorData::new(host.terms, [terms]), figures),
        tensor(TensorData::new(gradient, shape), dtype),
        tensor(TensorData::new(vec![0.0_f32], [1]), DType::F32),
    )
}

/// [`MixOps::mix_gradient`] of what [`composed`] kept.
fn composed_gradient<B: Backend>(kept: FloatTensor<B>, above: FloatTensor<B>) -> FloatTensor<B> {
    let above = to_host::<B>(above).first().copied().unwrap_or(0.0);
    B::float_mul_scalar(kept, above.into())
}

fn to_host<B: Backend>(tensor: FloatTensor<B>) -> Vec<f32> {
    let data =
        burn::tensor::read_sync(B::float_into_data(tensor)).expect("invariant: tensors of the processor can be read");
    data.iter::<f32>().collect()
}

impl Mix {
    /// Class numbers as rows of shares; a number that is no class makes its row NaN.
    fn shares(&self, labels: &[f32]) -> Vec<f32> {
        let row = |label: f32| {
            (0..self.classes).map(move |class| {
                #[expect(clippy::cast_precision_loss, reason = "classes are far below 2^24")]
                let (class, all) = (class as f32, self.classes as f32);
                let is_class = label >= 0.0 && label < all && label.fract() == 0.0;
                if is_class { f32::from(u8::from((label - class).abs() < 0.5)) } else { f32::NAN }
            })
        };
        labels.iter().copied().flat_map(row).collect()
    }
}

/// What the backward pass needs of the forward one.
type Saved<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, Arc<Mix>);

impl<B: MixOps, C: CheckpointStrategy> MixOps for Autodiff<B, C> {
    fn mix(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        mix: Arc<Mix>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct MixBackward;
        impl<B: MixOps> Backward<B, 1> for MixBackward {
            type State = Saved<B>;

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let (logits, targets, kept, slopes, mix) = ops.state;
                unary::<B, _>(ops.parents, ops.node, gradients, |above| {
                    B::mix_gradient(logits, targets, kept, slopes, above, mix)
                });
            }
        }
        let node = logits.node();
        let (logits, targets) = (logits.into_primitive(), targets.into_primitive());
        let (total, terms, kept, slopes) = B::mix(logits.clone(), targets.clone(), mix.clone());
        let plain = |tensor: FloatTensor<B>| <Self as burn::backend::AutodiffBackend>::from_inner(tensor);
        let (kept_too, slopes_too) = (plain(kept.clone()), plain(slopes.clone()));
        let total = match MixBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((logits, targets, kept, slopes, mix), total),
            OpsKind::UnTracked(prepared) => prepared.finish(total),
        };
        (total, plain(terms), kept_too, slopes_too)
    }
}

/// The weighted sum of losses over a batch of logits `[rows, classes]`, the mean over the rows for all terms but the soft F1.
///
/// Logits that are not finite, and targets that are no class, make the sum NaN. An empty batch costs 0.
///
/// # Panics
/// If the targets are not one a row, or the columns are not the sum's classes; on a GPU, if its kernels cannot count the logits.
#[must_use]
pub fn mix(mix: &Arc<Mix>, logits: Tensor<2>, targets: Targets) -> Mixed {
    let [rows, classes] = logits.dims();
    assert_countable(&[rows, classes], &logits.device());
    let fit = match &targets {
        Targets::Classes(labels) => labels.dims() == [rows],
        Targets::Shares(shares) => shares.dims() == [rows, classes],
    };
    assert!(fit && classes == mix.classes, "invariant: each row of logits has a target, each column is a class");
    if rows == 0 {
        let terms = Tensor::zeros([mix.terms.len()], &logits.device());
        return Mixed { total: logits.sum(), terms };
    }
    let targets = match targets {
        Targets::Classes(labels) => labels.cast(FloatDType::F32).into_dispatch(),
        Targets::Shares(shares) => shares.cast(FloatDType::F32).into_dispatch(),
    };
    let (total, terms, _, _) = Dispatch::mix(logits.into_dispatch(), targets, mix.clone());
    Mixed { total: Tensor::from_dispatch(total), terms: Tensor::from_dispatch(terms) }
}

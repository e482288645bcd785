//! Activations, and the sum with one after it, in one pass of all threads over the values, on the processor.
//!
//! burn does them on one thread, in a pass for each operation that they are composed of. On other devices they are
//! burn's.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, activation};
use pulp::{Simd, WithSimd};

use super::norm::is_taken;
use super::values::{CHUNK, erf, exp, sigmoid, tensor, written};
use crate::simd::arch;

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// `max(x, 0)`
    Relu,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `x * sigmoid(x)`
    Silu,
    /// `x * Phi(x)` by the error function.
    Gelu,
}

/// The operations.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait CurveOps: Backend {
    /// The function of each value.
    fn curve(input: FloatTensor<Self>, of: Curve) -> FloatTensor<Self>;

    /// The gradient times the slope; `known` is the input, and the output for [`Curve::Relu`] and [`Curve::Sigmoid`],
    /// where it tells as much and is kept anyway.
    fn curve_gradient(known: FloatTensor<Self>, gradient: FloatTensor<Self>, of: Curve) -> FloatTensor<Self>;

    /// `max(first + second, 0)` of two tensors of one shape.
    fn sum_relu(first: FloatTensor<Self>, second: FloatTensor<Self>) -> FloatTensor<Self>;
}

struct Pass<'a, F> {
    out: &'a mut [f32],
    x: &'a [f32],
    y: &'a [f32],
    of: F,
}

impl<F: Fn(f32, f32) -> f32> WithSimd for Pass<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (out, (x, y)) in self.out.iter_mut().zip(self.x.iter().zip(self.y)) {
            *out = (self.of)(*x, *y);
        }
    }
}

fn pass(x: &FlexTensor, y: &FlexTensor, of: impl Fn(f32, f32) -> f32 + Sync) -> FlexTensor {
    let shape = x.shape();
    let (x, y) = (x.to_contiguous(), y.to_contiguous());
    let (x, y) = (x.storage::<f32>(), y.storage::<f32>());
    let values = written(x.len(), CHUNK, |number, out| {
        let range = number * CHUNK..number * CHUNK + out.len();
        arch().dispatch(Pass { x: &x[range.clone()], y: &y[range], out, of: &of });
    });
    tensor(values, shape)
}

#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

impl CurveOps for Flex {
    fn curve(input: FlexTensor, of: Curve) -> FlexTensor {
        match of {
            Curve::Relu => pass(
                &input,
                &input,
                #[inline(always)]
                |x, _| relu(x),
            ),
            Curve::Sigmoid => pass(
                &input,
                &input,
                #[inline(always)]
                |x, _| sigmoid(x),
            ),
            Curve::Silu => pass(
                &input,
                &input,
                #[inline(always)]
                |x, _| x * sigmoid(x),
            ),
            Curve::Gelu => pass(
                &input,
                &input,
                #[inline(always)]
                |x, _| 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
            ),
        }
    }

    fn curve_gradient(known: FlexTensor, gradient: FlexTensor, of: Curve) -> FlexTensor {
        /// `1 / sqrt(2 pi)`
        const BELL: f32 = 0.398_942_3;
        match of {
            Curve::Relu => pass(
                &known,
                &gradient,
                #[inline(always)]
                |y, g| if y <= 0.0 { 0.0 } else { g },
            ),
            Curve::Sigmoid => pass(
                &known,
                &gradient,
                #[inline(always)]
                |y, g| g * y * (1.0 - y),
            ),
            Curve::Silu => pass(
                &known,
                &gradient,
                #[inline(always)]
                |x, g| {
                    let s = sigmoid(x);
                    g * s * (1.0 + x * (1.0 - s))
                },
            ),
            Curve::Gelu => pass(
                &known,
                &gradient,
                #[inline(always)]
                |x, g| {
                    let share = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
                    g * (share + x * BELL * exp(-0.5 * x * x))
                },
            ),
        }
    }

    fn sum_relu(first: FlexTensor, second: FlexTensor) -> FlexTensor {
        pass(
            &first,
            &second,
            #[inline(always)]
            |x, y| relu(x + y),
        )
    }
}

impl<B: CurveOps, C: CheckpointStrategy> CurveOps for Autodiff<B, C> {
    fn curve(input: FloatTensor<Self>, of: Curve) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Bend;
        impl<B: CurveOps> Backward<B, 1> for Bend {
            type State = (FloatTensor<B>, Curve);

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let output = gradients.consume::<B>(&ops.node);
                let (known, of) = ops.state;
                let [node] = ops.parents;
                if let Some(node) = node {
                    gradients.register::<B>(node.id, B::curve_gradient(known, output, of));
                }
            }
        }
        let node = input.node();
        let input = input.into_primitive();
        match Bend.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let output = B::curve(input.clone(), of);
                let known = match of {
                    Curve::Relu | Curve::Sigmoid => output.clone(),
                    Curve::Silu | Curve::Gelu => input,
                };
                prepared.finish((known, of), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::curve(input, of)),
        }
    }

    fn curve_gradient(known: FloatTensor<Self>, gradient: FloatTensor<Self>, of: Curve) -> FloatTensor<Self> {
        // Constants: nothing here is differentiated twice.
        Self::from_inner(B::curve_gradient(Self::inner(known), Self::inner(gradient), of))
    }

    fn sum_relu(first: FloatTensor<Self>, second: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Join;
        impl<B: CurveOps> Backward<B, 2> for Join {
            type State = FloatTensor<B>;

            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let output = gradients.consume::<B>(&ops.node);
                let gradient = B::curve_gradient(ops.state, output, Curve::Relu);
                for node in ops.parents.into_iter().flatten() {
                    gradients.register::<B>(node.id, gradient.clone());
                }
            }
        }
        let nodes = [first.node(), second.node()];
        let (first, second) = (first.into_primitive(), second.into_primitive());
        match Join.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let output = B::sum_relu(first, second);
                prepared.finish(output.clone(), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::sum_relu(first, second)),
        }
    }
}

/// The function of each value; any shape.
#[must_use]
pub fn curve<const D: usize>(input: Tensor<D>, of: Curve) -> Tensor<D> {
    if is_taken(&input) {
        return Tensor::from_dispatch(Dispatch::curve(input.into_dispatch(), of));
    }
    match of {
        Curve::Relu => activation::relu(input),
        Curve::Sigmoid => activation::sigmoid(input),
        Curve::Silu => activation::silu(input),
        Curve::Gelu => activation::gelu(input),
    }
}

/// `max(first + second, 0)`; both of one shape.
#[must_use]
pub fn sum_relu<const D: usize>(first: Tensor<D>, second: Tensor<D>) -> Tensor<D> {
    if is_taken(&first) && is_taken(&second) && first.dims() == second.dims() {
        return Tensor::from_dispatch(Dispatch::sum_relu(first.into_dispatch(), second.into_dispatch()));
    }
    activation::relu(first + second)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use burn::tensor::{Device, FloatDType};

    use super::*;

    const ALL: [Curve; 4] = [Curve::Relu, Curve::Sigmoid, Curve::Silu, Curve::Gelu];

    /// From -30 to 30, finer around 0, of a length that no vector divides, and more than one task takes on.
    fn line(device: &Device) -> Tensor<2> {
        let values: Vec<f32> = (-20_003..=20_003_i16).map(|at| (f32::from(at) / 20_003.0).powi(3) * 30.0).collect();
        Tensor::<1>::from_floats(values.as_slice(), device).reshape([1, 40_007])
    }

    fn theirs(input: Tensor<2>, of: Curve) -> Tensor<2> {
        match of {
            Curve::Relu => activation::relu(input),
            Curve::Sigmoid => activation::sigmoid(input),
            Curve::Silu => activation::silu(input),
            Curve::Gelu => activation::gelu(input),
        }
    }

    fn close(ours: Tensor<2>, theirs: Tensor<2>, what: &str) {
        let (ours, theirs) = (ours.into_data(), theirs.into_data());
        for (ours, theirs) in ours.iter::<f32>().zip(theirs.iter::<f32>()) {
            assert!((ours - theirs).abs() <= 1e-6 * theirs.abs().max(1.0), "{what}: {ours}, burn's {theirs}");
        }
    }

    #[test]
    fn values_and_gradients_are_burns_own() {
        let device = Device::flex().autodiff();
        let input = line(&device).require_grad();
        for of in ALL {
            let (ours, theirs) = (curve(input.clone(), of), theirs(input.clone(), of));
            close(ours.clone(), theirs.clone(), &format!("{of:?}"));
            let pull = line(&device).sin();
            let (ours, theirs) = ((ours * pull.clone()).sum().backward(), (theirs * pull).sum().backward());
            close(input.grad(&ours).unwrap(), input.grad(&theirs).unwrap(), &format!("gradient of {of:?}"));
        }
    }

    #[test]
    fn a_sum_and_its_relu_are_burns_own() {
        let device = Device::flex().autodiff();
        let (first, second) = (line(&device).require_grad(), line(&device).cos().detach().require_grad());
        let ours = sum_relu(first.clone(), second.clone());
        let theirs = activation::relu(first.clone() + second.clone());
        close(ours.clone(), theirs.clone(), "values");
        let (ours, theirs) = (ours.square().sum().backward(), theirs.square().sum().backward());
        for input in [&first, &second] {
            close(input.grad(&ours).unwrap(), input.grad(&theirs).unwrap(), "gradient");
        }
        let frozen = line(&device);
        let gradients = sum_relu(first.clone(), frozen.clone()).sum().backward();
        assert!(first.grad(&gradients).is_some() && frozen.grad(&gradients).is_none());
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for of in ALL {
            let output = curve(Tensor::<1>::from_floats([f32::NAN], &Device::flex()), of);
            assert!(output.into_data().iter::<f32>().all(f32::is_nan), "{of:?}");
        }
        let ends = Tensor::<1>::from_floats([f32::NEG_INFINITY, f32::INFINITY, -200.0, 200.0], &Device::flex());
        let ends: Vec<f32> = curve(ends, Curve::Sigmoid).into_data().iter().collect();
        assert!(ends[0] < 1e-30 && ends[1] > 0.999_999 && ends[2] < 1e-30 && ends[3] > 0.999_999, "{ends:?}");
    }

    #[test]
    fn numbers_of_fewer_bits_are_burns_to_bend() {
        let device = Device::flex();
        let half = line(&device).cast(FloatDType::BF16);
        for of in ALL {
            let (ours, theirs) = (curve(half.clone(), of), theirs(half.clone(), of));
            assert_eq!(ours.dtype(), half.dtype());
            close(ours, theirs, &format!("{of:?}"));
        }
        assert_eq!(sum_relu(half.clone(), half.clone()).dtype(), half.dtype());
    }

    #[test]
    fn a_view_is_read_in_its_own_order() {
        let device = Device::flex();
        let grid = Tensor::<1>::from_floats([1.0, -2.0, 3.0, 4.0, 5.0, -6.0], &device).reshape([2, 3]);
        let turned: Vec<f32> = curve(grid.clone().transpose(), Curve::Relu).into_data().iter().collect();
        assert_eq!(turned, [1.0, 4.0, 0.0, 5.0, 3.0, 0.0]);
        let part: Vec<f32> = sum_relu(grid.clone().narrow(1, 1, 2), grid.narrow(1, 0, 2)).into_data().iter().collect();
        assert_eq!(part, [0.0, 1.0, 9.0, 0.0]);
    }
}

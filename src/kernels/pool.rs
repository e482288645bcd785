//! The largest of each window, on the processor.
//!
//! burn's takes a window's values one by one. The gradient goes to the first of the largest, as in PyTorch; where it
//! lies is kept as one byte an output.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{FlexTensor, Layout as Strides};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Bytes, DType, Shape, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::phases::{Layout, WIDTH};
use super::values::{tensor, written_with};
use crate::simd::arch;

/// A square window that goes over an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Its side, at most [`Window::MOST`].
    pub kernel: usize,
    /// Step along both axes, from 1.
    pub stride: usize,
    /// Before and after the rows, before and after the columns.
    pub padding: [(usize, usize); 2],
    /// What the padding counts as.
    pub outside: f32,
    /// Is a last window kept that reaches beyond the end?
    pub ceil: bool,
}

impl Window {
    /// The longest side: a place in the window is a byte.
    pub const MOST: usize = 16;

    /// Windows along each axis of an image, by PyTorch's rule; one where the window is larger than the padded image, which PyTorch refuses.
    fn out(&self, sides: [usize; 2]) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let (before, after) = self.padding[axis];
            let reach = (sides[axis] + before + after).saturating_sub(self.kernel);
            let steps = if self.ceil { reach.div_ceil(self.stride) } else { reach / self.stride };
            // a window that would begin behind the image is none
            if self.ceil && steps * self.stride >= sides[axis] + before { steps } else { steps + 1 }
        })
    }

    fn layout(&self, sides: [usize; 2]) -> Layout {
        let [height, width] = self.out(sides);
        let [(top, _), (left, _)] = self.padding;
        Layout::new((self.kernel, self.kernel), (height, width), self.stride, (top, left))
    }
}

/// The operations.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait PoolOps: Backend {
    /// The largest value of each window.
    fn largest(input: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;

    /// The same, and where in the window it is, row by row.
    fn largest_and_place(input: FloatTensor<Self>, window: Window) -> (FloatTensor<Self>, IntTensor<Self>);

    /// Gradient by an input of these sides.
    fn largest_gradient(
        output: FloatTensor<Self>,
        places: IntTensor<Self>,
        window: Window,
        sides: [usize; 2],
    ) -> FloatTensor<Self>;
}

/// The largest of what the taps read, and with `places` which tap it was. What is not a number is larger than any number.
struct Largest<'a> {
    taps: &'a [usize],
    padded: &'a [f32],
    out: &'a mut [f32],
    places: Option<&'a mut [u8]>,
}

impl WithSimd for Largest<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (runs, _) = self.out.as_chunks_mut::<WIDTH>();
        match self.places {
            None => {
                for (number, out) in runs.iter_mut().enumerate() {
                    let mut best = [f32::NEG_INFINITY; WIDTH];
                    for tap in self.taps {
                        for (best, value) in best.iter_mut().zip(&self.padded[number * WIDTH + tap..][..WIDTH]) {
                            *best = if (*value > *best) | value.is_nan() { *value } else { *best };
                        }
                    }
                    *out = best;
                }
            }
            Some(places) => {
                for (number, (out, places)) in runs.iter_mut().zip(places.as_chunks_mut::<WIDTH>().0).enumerate() {
                    let mut best = [f32::NEG_INFINITY; WIDTH];
                    let mut place = [0_u32; WIDTH];
                    for (tap, at) in (0_u32..).zip(self.taps) {
                        let values = &self.padded[number * WIDTH + at..][..WIDTH];
                        for ((best, place), value) in best.iter_mut().zip(&mut place).zip(values) {
                            let larger = (*value > *best) | value.is_nan();
                            *best = if larger { *value } else { *best };
                            *place = if larger { tap } else { *place };
                        }
                    }
                    *out = best;
                    for (byte, place) in places.iter_mut().zip(place) {
                        *byte = place.to_le_bytes()[0];
                    }
                }
            }
        }
    }
}

/// What a task needs besides its data.
#[derive(Default)]
struct Scratch {
    padded: Vec<f32>,
    run: Vec<f32>,
    places: Vec<u8>,
}

/// Copies rows that lie `step` apart.
fn rows<T: Copy>(run: &[T], step: usize, width: usize, out: &mut [T]) {
    for (out, run) in out.chunks_mut(width).zip(run.chunks(step)) {
        out.copy_from_slice(&run[..width]);
    }
}

/// Largest values and, where `places` has room for them, their places.
fn pool(input: &FlexTensor, window: Window, places: &mut [u8]) -> FlexTensor {
    let [images, channels, height, width] = input.shape().dims();
    let [out_height, out_width] = window.out([height, width]);
    let (layout, plane, out) = (window.layout([height, width]), height * width, out_height * out_width);
    let taps = layout.taps(1, (window.kernel, window.kernel));
    let x = input.storage::<f32>();
    let length = images * channels * out;
    let find = |scratch: &mut Scratch, plane_number: usize, out: &mut [f32], found: Option<&mut [u8]>| {
        let Scratch { padded, run, places } = scratch;
        layout.pad(&x[plane_number * plane..][..plane], height, width, window.outside, padded);
        run.resize(layout.run, 0.0);
        places.resize(layout.run, 0);
        let wanted = found.is_some().then_some(&mut places[..]);
        arch().dispatch(Largest { taps: &taps, padded, out: run, places: wanted });
        rows(run, layout.step, out_width, out);
        if let Some(found) = found {
            rows(places, layout.step, out_width, found);
        }
    };
    let values = if places.is_empty() {
        written_with(length, out, Scratch::default, |scratch, number, out| find(scratch, number, out, None))
    } else {
        let mut values = vec![0.0; length];
        values.par_chunks_mut(out.max(1)).zip(places.par_chunks_mut(out.max(1))).enumerate().for_each_init(
            Scratch::default,
            |scratch, (number, (out, places))| {
                find(scratch, number, out, Some(places));
            },
        );
        values
    };
    tensor(values, Shape::new([images, channels, out_height, out_width]))
}

impl PoolOps for Flex {
    fn largest(input: FlexTensor, window: Window) -> FlexTensor {
        pool(&input.to_contiguous(), window, &mut [])
    }

    fn largest_and_place(input: FlexTensor, window: Window) -> (FlexTensor, FlexTensor) {
        let [images, channels, height, width] = input.shape().dims();
        let [out_height, out_width] = window.out([height, width]);
        let mut places = vec![0_u8; images * channels * out_height * out_width];
        let values = pool(&input.to_contiguous(), window, &mut places);
        let shape = Strides::contiguous(values.shape());
        (values, FlexTensor::new(Bytes::from_elems(places), shape, DType::U8))
    }

    fn largest_gradient(output: FlexTensor, places: FlexTensor, window: Window, sides: [usize; 2]) -> FlexTensor {
        let [images, channels, out_height, out_width] = output.shape().dims();
        let output = output.to_contiguous();
        let (y, places) = (output.storage::<f32>(), places.storage::<u8>());
        let [height, width] = sides;
        let [(top, _), (left, _)] = window.padding;
        let out = out_height * out_width;
        let values = written_with(
            images * channels * height * width,
            height * width,
            || (),
            |(), number, input| {
                let (y, places) = (&y[number * out..][..out], &places[number * out..][..out]);
                for (row, (y, places)) in y.chunks(out_width).zip(places.chunks(out_width)).enumerate() {
                    for (column, (y, place)) in y.iter().zip(places).enumerate() {
                        let place = usize::from(*place);
                        let row = (row * window.stride + place / window.kernel).checked_sub(top);
                        let column = (column * window.stride + place % window.kernel).checked_sub(left);
                        // else the largest lies in the padding
                        if let (Some(row), Some(column)) = (row, column)
                            && row < height
                            && column < width
                        {
                            input[row * width + column] += y;
                        }
                    }
                }
            },
        );
        tensor(values, Shape::new([images, channels, height, width]))
    }
}

impl<B: PoolOps, C: CheckpointStrategy> PoolOps for Autodiff<B, C> {
    fn largest(input: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Pool;
        impl<B: PoolOps> Backward<B, 1> for Pool {
            type State = (IntTensor<B>, Window, [usize; 2]);

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let output = gradients.consume::<B>(&ops.node);
                let (places, window, sides) = ops.state;
                let [node] = ops.parents;
                if let Some(node) = node {
                    gradients.register::<B>(node.id, B::largest_gradient(output, places, window, sides));
                }
            }
        }
        let nodes = [input.node()];
        let input = input.into_primitive();
        match Pool.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let [_, _, height, width] = input.shape().dims();
                let (output, places) = B::largest_and_place(input, window);
                prepared.finish((places, window, [height, width]), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::largest(input, window)),
        }
    }

    fn largest_and_place(input: FloatTensor<Self>, window: Window) -> (FloatTensor<Self>, IntTensor<Self>) {
        // Constants: nothing here is differentiated twice.
        let (values, places) = B::largest_and_place(Self::inner(input), window);
        (Self::from_inner(values), places)
    }

    fn largest_gradient(
        output: FloatTensor<Self>,
        places: IntTensor<Self>,
        window: Window,
        sides: [usize; 2],
    ) -> FloatTensor<Self> {
        Self::from_inner(B::largest_gradient(Self::inner(output), places, window, sides))
    }
}

/// The largest value of each window. On the processor; ask [`super::on_processor`] first.
///
/// # Shapes
/// `[images, channels, height, width]` to `[images, channels, (height + padding - kernel) / stride + 1, ...]`.
#[must_use]
pub fn largest(input: Tensor<4>, window: Window) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::largest(input.into_dispatch(), window))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use burn::tensor::Device;
    use burn::tensor::module::max_pool2d;
    use burn::tensor::ops::MaxPoolOptions;

    use super::*;
    use crate::kernels::drawn::drawn;

    #[test]
    fn values_and_gradients_are_burns_own() {
        for (shape, kernel, stride, padding, ceil) in [
            ([2, 3, 12, 11], 3, 2, [(1, 1); 2], false),
            ([2, 3, 112, 7], 3, 2, [(1, 1); 2], false),
            ([1, 2, 9, 8], 2, 2, [(0, 0); 2], false),
            ([1, 2, 9, 8], 2, 2, [(0, 0); 2], true),
            ([1, 2, 7, 7], 3, 2, [(0, 0); 2], true),
            ([1, 2, 10, 13], 3, 1, [(1, 1); 2], false),
            ([1, 2, 14, 15], 3, 2, [(0, 1), (0, 1)], false),
            ([2, 1, 13, 13], 5, 3, [(2, 2); 2], true),
        ] {
            let window = Window { kernel, stride, padding, outside: f32::NEG_INFINITY, ceil };
            let options = MaxPoolOptions::new([kernel; 2])
                .with_stride([stride; 2])
                .with_padding_pairs(padding)
                .with_ceil_mode(ceil);
            // whole numbers: some windows have two of the largest
            let input = (drawn(shape, 1) * 2.0).round().detach().require_grad();
            let (ours, theirs) = (largest(input.clone(), window), max_pool2d(input.clone(), options));
            assert_eq!(ours.dims(), theirs.dims(), "{window:?}");
            assert!(ours.clone().equal(theirs.clone()).all().into_scalar::<bool>(), "values, {window:?}");
            let pull = drawn(ours.dims(), 2);
            let (ours, theirs) = ((ours * pull.clone()).sum().backward(), (theirs * pull).sum().backward());
            let gap: f32 = (input.grad(&ours).unwrap() - input.grad(&theirs).unwrap()).abs().max().into_scalar();
            assert!(gap < 1e-5, "gradients, {window:?}: {gap}");
        }
    }

    #[test]
    fn padding_may_count_as_zero_and_what_is_no_number_is_found() {
        let values = [-1.0, -2.0, f32::NAN, -4.0];
        let input = Tensor::<1>::from_floats(values, &Device::flex().autodiff()).reshape([1, 1, 1, 4]).require_grad();
        let window = Window { kernel: 2, stride: 2, padding: [(0, 1), (0, 0)], outside: 0.0, ceil: false };
        let output = largest(input.clone(), window);
        let found: Vec<f32> = output.clone().into_data().iter().collect();
        assert!(found[0] == 0.0 && found[1].is_nan(), "{found:?}");
        let gradient: Vec<f32> = input.grad(&output.sum().backward()).unwrap().into_data().iter().collect();
        assert_eq!(gradient, [0.0, 0.0, 1.0, 0.0]);
    }
}

//! A scale and a shift a channel and the activation after them: what follows a convolution once a norm's statistics are known.

use pulp::{Simd, WithSimd};

use super::values::sigmoid;
use crate::simd::arch;

/// What follows a norm. Values that are not numbers pass through, so that they are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Linear,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x * sigmoid(x)`
    Silu,
}

/// `activation(x * scale + shift)` of a channel. A type of its own for each form of code, so that loops over one have no branch.
pub(super) trait Affine: Copy + Send + Sync {
    fn new(scale: f32, shift: f32, activation: After) -> Self;

    fn scale(self) -> f32;

    /// Before the activation.
    fn linear(self, x: f32) -> f32;

    fn activation(self, y: f32) -> f32;

    /// The gradient that arrives before the activation.
    fn passed(self, x: f32, gradient: f32) -> f32;

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        self.activation(self.linear(x))
    }
}

/// A range passes, and what is outside becomes its ends: all activations but one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranged {
    scale: f32,
    shift: f32,
    low: f32,
    high: f32,
}

impl Affine for Ranged {
    fn new(scale: f32, shift: f32, activation: After) -> Self {
        let (low, high) = match activation {
            After::Linear | After::Silu => (f32::NEG_INFINITY, f32::INFINITY),
            After::Relu => (0.0, f32::INFINITY),
            After::Relu6 => (0.0, 6.0),
        };
        Self { scale, shift, low, high }
    }

    #[inline(always)]
    fn scale(self) -> f32 {
        self.scale
    }

    #[inline(always)]
    fn linear(self, x: f32) -> f32 {
        x * self.scale + self.shift
    }

    #[inline(always)]
    fn activation(self, y: f32) -> f32 {
        // Two plain selections: vector instructions, and what is not a number stays what it is.
        let y = if y < self.low { self.low } else { y };
        if y > self.high { self.high } else { y }
    }

    /// Zero on the ends of the range and outside, as in PyTorch.
    #[inline(always)]
    fn passed(self, x: f32, gradient: f32) -> f32 {
        let y = self.linear(x);
        if y <= self.low || y >= self.high { 0.0 } else { gradient }
    }
}

/// [`After::Silu`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Swish {
    scale: f32,
    shift: f32,
}

impl Affine for Swish {
    fn new(scale: f32, shift: f32, _: After) -> Self {
        Self { scale, shift }
    }

    #[inline(always)]
    fn scale(self) -> f32 {
        self.scale
    }

    #[inline(always)]
    fn linear(self, x: f32) -> f32 {
        x * self.scale + self.shift
    }

    #[inline(always)]
    fn activation(self, y: f32) -> f32 {
        y * sigmoid(y)
    }

    #[inline(always)]
    fn passed(self, x: f32, gradient: f32) -> f32 {
        let y = self.linear(x);
        let s = sigmoid(y);
        gradient * s * (1.0 + y * (1.0 - s))
    }
}

/// Of each channel.
pub(super) fn affines<A: Affine>(scale: &[f32], shift: &[f32], activation: After) -> Vec<A> {
    scale.iter().zip(shift).map(|(scale, shift)| A::new(*scale, *shift, activation)).collect()
}

/// What becomes of a convolution's output while a core's cache still has it.
pub(super) trait Finish: Sync {
    /// Is there anything to do?
    const CHANGES: bool;

    /// Of a run of one channel, which is at this place in the whole output.
    fn run(&self, channel: usize, at: usize, out: &mut [f32]);
}

/// It stays as it is.
pub(super) struct Raw;

impl Finish for Raw {
    const CHANGES: bool = false;

    fn run(&self, _: usize, _: usize, _: &mut [f32]) {}
}

/// `activation(x * scale + shift + added)`
pub(super) struct Finished<'a, A> {
    /// One a channel.
    pub(super) channels: &'a [A],
    /// As large as the output.
    pub(super) added: Option<&'a [f32]>,
}

impl<A: Affine> Finish for Finished<'_, A> {
    const CHANGES: bool = true;

    fn run(&self, channel: usize, at: usize, out: &mut [f32]) {
        let added = self.added.map(|added| &added[at..at + out.len()]);
        arch().dispatch(Run { affine: self.channels[channel], added, out });
    }
}

struct Run<'a, A> {
    affine: A,
    added: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl<A: Affine> WithSimd for Run<'_, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let affine = self.affine;
        match self.added {
            None => {
                for out in self.out {
                    *out = affine.value(*out);
                }
            }
            Some(added) => {
                for (out, added) in self.out.iter_mut().zip(added) {
                    *out = affine.activation(affine.linear(*out) + added);
                }
            }
        }
    }
}

//! Vision transformers (Dosovitskiy et al. 2020) as timm builds them.
//!
//! Patches become tokens by one convolution, a class token comes first, a learned table of positions is added; blocks
//! normalise before attention and before the perceptron, GELU is the exact one, and the features are the class token
//! after the last norm.

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};

use super::Pass;
use super::layers::{Convolution, LayerNorm, Linear, Padding, blank, conv};
use super::pool::pooled;
use super::precision::product;
use crate::catalog::backbones::VisionTransformer as Shape;
use crate::kernels::{Curve, attention, curve, on_processor};
use crate::study::{Pooling, Precision};

/// Of the layer norms; torch's default is another.
const EPS: f64 = 1e-6;

/// The perceptron is so many times wider inside.
const EXPANSION: usize = 4;

/// A vision transformer, without its head.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    cls_token: Param<Tensor<3>>,
    pos_embed: Param<Tensor<3>>,
    patch_embed: PatchEmbedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    /// Rows and columns of patches.
    #[module(skip)]
    grid: [usize; 2],
}

/// Patches to tokens.
#[derive(Module, Debug)]
struct PatchEmbedding {
    proj: Convolution,
}

impl VisionTransformer {
    /// The network for images of a height and width (both multiples of the patch) with blank weights.
    #[must_use]
    pub fn new(shape: Shape, channels: usize, [height, width]: [usize; 2], device: &Device) -> Self {
        let grid = [height / shape.patch, width / shape.patch];
        let proj = conv([channels, shape.width], shape.patch).stride(shape.patch).padding(Padding::Valid).bias();
        Self {
            cls_token: blank([1, 1, shape.width], device),
            pos_embed: blank([1, 1 + grid[0] * grid[1], shape.width], device),
            patch_embed: PatchEmbedding { proj: proj.build(device) },
            blocks: (0..shape.depth).map(|_| Block::new(shape, device)).collect(),
            norm: LayerNorm::new(shape.width, EPS, device),
            grid,
        }
    }

    /// Rows and columns of patches.
    pub(super) fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// Residual branches that drop path may leave out: two a block.
    pub(super) fn branches(&self) -> usize {
        2 * self.blocks.len()
    }

    /// The class token after the last norm, or what a pool makes of the patches there.
    ///
    /// # Shapes
    /// `[images, channels, height, width]` to `[images, width]`.
    pub(super) fn features(&self, images: Tensor<4>, pass: &Pass, pooling: Option<Pooling>) -> Tensor<2> {
        let tokens = self.tokens(images, pass);
        let [images, count, width] = tokens.dims();
        let [rows, columns] = self.grid;
        match pooling {
            None => tokens.narrow(1, 0, 1).reshape([images, width]),
            Some(pooling) => {
                let patches = tokens.narrow(1, 1, count - 1).swap_dims(1, 2);
                pooled(patches.reshape([images, width, rows, columns]), pooling)
            }
        }
    }

    /// The tokens after the last norm: the class token, then the patches in rows.
    ///
    /// # Shapes
    /// `[images, channels, height, width]` to `[images, 1 + patches, width]`.
    fn tokens(&self, images: Tensor<4>, pass: &Pass) -> Tensor<3> {
        let patches = self.patch_embed.proj.forward(images, pass.precision);
        let [count, width, rows, columns] = patches.dims();
        let patches = pass.seen("patch_embed", patches.reshape([count, width, rows * columns]).swap_dims(1, 2));
        let class = self.cls_token.val().repeat_dim(0, count);
        let mut tokens = Tensor::cat(vec![class, patches], 1) + self.pos_embed.val();
        for (number, block) in self.blocks.iter().enumerate() {
            tokens = pass.seen(&format!("blocks.{number}"), block.forward(tokens, number, pass));
        }
        pass.seen("norm", self.norm.forward(tokens))
    }
}

/// Attention and a perceptron, each added to what it reads.
#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    mlp: Perceptron,
}

impl Block {
    fn new(shape: Shape, device: &Device) -> Self {
        Self {
            norm1: LayerNorm::new(shape.width, EPS, device),
            attn: Attention {
                qkv: Linear::new(shape.width, 3 * shape.width, device),
                proj: Linear::new(shape.width, shape.width, device),
                heads: shape.heads,
            },
            norm2: LayerNorm::new(shape.width, EPS, device),
            mlp: Perceptron {
                fc1: Linear::new(shape.width, EXPANSION * shape.width, device),
                fc2: Linear::new(EXPANSION * shape.width, shape.width, device),
            },
        }
    }

    fn forward(&self, tokens: Tensor<3>, number: usize, pass: &Pass) -> Tensor<3> {
        let seen = self.attn.forward(self.norm1.forward(tokens.clone()), pass.precision);
        let tokens = tokens + pass.branch(2 * number, seen);
        let thought = self.mlp.forward(self.norm2.forward(tokens.clone()), pass.precision);
        tokens + pass.branch(2 * number + 1, thought)
    }
}

/// Attention of several heads; one linear layer makes queries, keys and values.
#[derive(Module, Debug)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

impl Attention {
    fn forward(&self, input: Tensor<3>, precision: Precision) -> Tensor<3> {
        let [images, tokens, width] = input.dims();
        let each = width / self.heads;
        let all = self.qkv.forward(input, precision);
        if precision == Precision::F32 && on_processor(&all.device()) {
            return self.proj.forward(attention(all, self.heads), precision);
        }
        let all = all.reshape([images, tokens, 3, self.heads, each]).permute([2, 0, 3, 1, 4]);
        let part = |number| all.clone().narrow(0, number, 1).reshape([images, self.heads, tokens, each]);
        let (query, key, value) = (part(0), part(1), part(2));
        #[expect(clippy::cast_precision_loss, reason = "a few dozen numbers a head")]
        let scale = (each as f64).sqrt().recip();
        let attention = softmax(product(query * scale, key.swap_dims(2, 3), precision), 3);
        let output = product(attention, value, precision).swap_dims(1, 2).reshape([images, tokens, width]);
        self.proj.forward(output, precision)
    }
}

/// Two linear layers with GELU between them.
#[derive(Module, Debug)]
struct Perceptron {
    fc1: Linear,
    fc2: Linear,
}

impl Perceptron {
    fn forward(&self, input: Tensor<3>, precision: Precision) -> Tensor<3> {
        self.fc2.forward(curve(self.fc1.forward(input, precision), Curve::Gelu), precision)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use burn::module::ModuleMapper;
    use burn::tensor::{DType, TensorData};

    use super::super::{Mode, Stages};
    use super::*;
    use crate::draw::{DrawKey, Stage, Stream};

    const SHAPE: Shape = Shape { width: 64, depth: 4, heads: 4, patch: 8 };

    fn drawn(stream: &mut Stream, count: usize, scale: f64) -> Vec<f32> {
        #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
        (0..count).map(|_| (stream.normal() * scale) as f32).collect()
    }

    /// Weights of a size that lets attention tell tokens apart.
    struct Fill(Stream);

    impl ModuleMapper for Fill {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, blank, _) = param.consume();
            let (shape, device) = (blank.dims(), blank.device());
            let scale = if D == 2 { 0.15 } else { 0.02 };
            let values = TensorData::new(drawn(&mut self.0, shape.iter().product(), scale), shape);
            // Norms keep their ones.
            Param::initialized(id, (blank.detach() + Tensor::from_data(values, &device)).detach().require_grad())
        }
    }

    #[test]
    fn attention_in_half_the_bits_is_near_that_in_all() {
        let device = Device::flex().autodiff();
        let mut fill = Fill(DrawKey { seed: 5, stage: Stage::Initialise, epoch: 0, sample: 0 }.stream());
        let network = VisionTransformer::new(SHAPE, 3, [32; 2], &device).map(&mut fill);
        let images = TensorData::new(drawn(&mut fill.0, 2 * 3 * 32 * 32, 1.0), [2, 3, 32, 32]);
        let images = Tensor::<4>::from_data(images, &device);
        let pull = TensorData::new(drawn(&mut fill.0, 2 * SHAPE.width, 1.0), [2, SHAPE.width]);
        let pull = Tensor::<2>::from_data(pull, &device);
        let of = |precision| {
            let stages = Stages::default();
            let pass = Pass { precision, stages: Some(stages.clone()), ..Mode::Train.into() };
            let features = network.features(images.clone(), &pass, None);
            assert!(stages.take().iter().all(|(_, value)| value.dtype() == DType::F32));
            let gradients = (features.clone() * pull.clone()).sum().backward();
            let block = &network.blocks[0];
            let weights = [&block.attn.qkv, &block.mlp.fc2].map(|layer| layer.weight().grad(&gradients).unwrap());
            let patches = network.patch_embed.proj.weight().grad(&gradients).unwrap().reshape([SHAPE.width, 192]);
            let [qkv, fc2] = weights;
            [features.inner(), qkv, fc2, patches]
        };
        let (whole, half) = (of(Precision::F32), of(Precision::Bf16));
        for (what, (whole, half)) in ["features", "qkv", "fc2", "patches"].into_iter().zip(whole.into_iter().zip(half))
        {
            assert_eq!(half.dtype(), DType::F32, "{what}");
            let size: f32 = whole.clone().square().sum().sqrt().into_scalar();
            let gap: f32 = (half - whole).square().sum().sqrt().into_scalar();
            assert!(gap > 0.0 && gap < 0.03 * size, "{what}: {gap} of {size}");
        }
    }
}

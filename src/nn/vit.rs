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
use crate::catalog::backbones::VisionTransformer as Shape;
use crate::kernels::{Curve, attention, curve, on_processor};
use crate::study::Pooling;

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
        let patches = self.patch_embed.proj.forward(images);
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
        let seen = self.attn.forward(self.norm1.forward(tokens.clone()));
        let tokens = tokens + pass.branch(2 * number, seen);
        let thought = self.mlp.forward(self.norm2.forward(tokens.clone()));
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
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let [images, tokens, width] = input.dims();
        let each = width / self.heads;
        let all = self.qkv.forward(input);
        if on_processor(&all.device()) {
            return self.proj.forward(attention(all, self.heads));
        }
        let all = all.reshape([images, tokens, 3, self.heads, each]).permute([2, 0, 3, 1, 4]);
        let part = |number| all.clone().narrow(0, number, 1).reshape([images, self.heads, tokens, each]);
        let (query, key, value) = (part(0), part(1), part(2));
        #[expect(clippy::cast_precision_loss, reason = "a few dozen numbers a head")]
        let scale = (each as f64).sqrt().recip();
        let attention = softmax((query * scale).matmul(key.swap_dims(2, 3)), 3);
        let output = attention.matmul(value).swap_dims(1, 2).reshape([images, tokens, width]);
        self.proj.forward(output)
    }
}

/// Two linear layers with GELU between them.
#[derive(Module, Debug)]
struct Perceptron {
    fc1: Linear,
    fc2: Linear,
}

impl Perceptron {
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(curve(self.fc1.forward(input), Curve::Gelu))
    }
}

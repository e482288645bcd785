//! Freezing: which parameters learn, and which batch norms follow the batches.

use burn::module::{Flag, Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::Network;
use super::names::{Kind, Path, keep_path, slots};

/// What of a network keeps its weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Frozen {
    /// Nothing: all of it learns.
    Nothing,
    /// The backbone: only the head learns.
    Backbone,
    /// The first share (0..1) of the backbone's parameter tensors in order of the forward pass, rounded down.
    First(f64),
    /// Every batch norm's statistics, of the first weights; all parameters learn.
    Statistics,
}

/// Sets for every parameter whether it learns, and for every batch norm whether it follows the batches: it does
/// unless its weight or its bias is frozen, or all statistics are.
pub(super) fn freeze(network: Network, what: Frozen) -> Network {
    let parameters = slots(&network).iter().filter(|slot| slot.kind == Kind::Parameter && !slot.in_head).count();
    let frozen = match what {
        Frozen::Nothing | Frozen::Statistics => 0,
        Frozen::Backbone => parameters,
        Frozen::First(share) => share_of(parameters, share),
    };
    let path = Path::of(&network);
    network.map(&mut Freeze { path, seen: 0, frozen, froze: false, statistics: what == Frozen::Statistics })
}

#[expect(clippy::cast_precision_loss, reason = "hundreds of tensors")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the count of tensors")]
fn share_of(count: usize, share: f64) -> usize {
    (count as f64 * share.clamp(0.0, 1.0)).floor() as usize
}

struct Freeze {
    path: Path,
    /// Parameters of the backbone met so far.
    seen: usize,
    /// How many of them freeze.
    frozen: usize,
    /// Did the parameter before this one freeze, or the one before that in the same layer?
    froze: bool,
    /// Do all batch norms keep their statistics?
    statistics: bool,
}

impl ModuleMapper for Freeze {
    keep_path!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let slot = self.path.slot(&param);
        match slot.kind {
            Kind::Statistic => param,
            Kind::Parameter => {
                let freezes = !slot.in_head && self.seen < self.frozen;
                self.seen += usize::from(!slot.in_head);
                // Weight comes before bias, so a layer's weight is frozen whenever its bias is.
                if slot.name.rsplit('.').next() != Some("bias") {
                    self.froze = freezes;
                }
                param.set_require_grad(!freezes)
            }
        }
    }

    /// A batch norm's flag comes right after its weight, bias and statistics.
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        let follows = !self.froze && !self.statistics;
        flag.with_value(follows)
    }
}

//! The kernels launched on a CubeCL device.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_elem_type;
use burn::tensor::{DType, Shape as Dims};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::{empty_device_contiguous_dtype, empty_device_dtype};
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::features::Plane;
use cubecl::prelude::*;

use super::super::focal::kernel as kinds;
use super::super::soft_f1::kernel::{by_class, columns};
use super::kernel::{KEPT, Shape, UNITS, gradient, rows, total};
use super::{Kind, Mix, MixOps, composed, composed_gradient};

/// Cubes of the forward pass at most, four times as many over wide rows: enough to fill a GPU, few enough to add up.
const CUBES: usize = 256;
/// Cubes of the backward pass at most: as many units as a large GPU holds.
const BACKWARD_CUBES: usize = 1024;
/// Columns a row may have for one unit to read it.
const NARROW: usize = 32;
/// Parts that columns of wide rows are summed in at most.
const PARTS: usize = 256;

static LAUNCHES: AtomicUsize = AtomicUsize::new(0);

/// How many kernels this process has launched here. Tests ask it, to know that no fallback ran.
#[must_use]
pub fn launches() -> usize {
    LAUNCHES.load(Ordering::Relaxed)
}

fn launched() {
    LAUNCHES.fetch_add(1, Ordering::Relaxed);
}

#[cfg(feature = "cuda")]
pub(super) fn specs(
    logits: &burn::backend::fusion::custom::TensorSpec,
    mix: &Arc<Mix>,
) -> (
    burn::backend::fusion::custom::TensorSpec,
    burn::backend::fusion::custom::TensorSpec,
    burn::backend::fusion::custom::TensorSpec,
    burn::backend::fusion::custom::TensorSpec,
) {
    let spec = |dims: &[usize]| {
        let mut spec = logits.clone();
        spec.dtype = DType::F32;
        spec.shape = Dims::from(dims.to_vec());
        spec
    };
    let count = logits.shape[0];
    (spec(&[1]), spec(&[mix.terms.len()]), spec(&[count, KEPT]), spec(&[2, mix.classes]))
}

/// How a batch is cut, from its sizes and the device's planes.
struct Cut {
    shape: Shape,
    /// Units of the smallest plane there may be.
    lanes: usize,
    /// May planes be of another size in another kernel?
    vary: bool,
    cubes: usize,
    steps: usize,
    backward_cubes: usize,
    backward_steps: usize,
}

impl Cut {
    fn new(logits: &CubeTensor, targets: &CubeTensor, mix: &Mix) -> Self {
        let hard = targets.shape().num_dims() == 1;
        let hardware = &logits.client.properties().hardware;
        let [lanes, largest] =
            [hardware.plane_size_min, hardware.plane_size_max].map(|size| (size as usize).clamp(1, UNITS));
        // Each unit of a plane begins with a class of its own.
        let wide = mix.classes > NARROW.max(largest);
        let by_row = || mix.terms.iter().filter(|term| term.kind != Kind::SoftF1);
        let shape = Shape {
            wide,
            terms: mix.terms.len(),
            hard,
            dense: by_row().any(|term| !hard || term.smoothing > 0.0 || term.kind == Kind::Kl),
            f1: mix.terms.iter().any(|term| term.kind == Kind::SoftF1),
            weighted: by_row().any(|term| term.class_weights.is_some()),
        };
        // Rows that a cube takes at once; with the largest planes it takes fewest.
        let turns = logits.shape()[0].div_ceil(if wide { UNITS / largest } else { UNITS });
        let steps = turns.div_ceil(if wide { CUBES * 4 } else { CUBES });
        let backward_steps = turns.div_ceil(BACKWARD_CUBES);
        Self {
            shape,
            lanes,
            vary: lanes != largest,
            cubes: turns.div_ceil(steps),
            steps,
            backward_cubes: turns.div_ceil(backward_steps),
            backward_steps,
        }
    }

    /// Planes of so many cubes, at most.
    fn planes(&self, cubes: usize) -> usize {
        cubes * (UNITS / self.lanes)
    }

    /// Room for what each plane writes, `slots` first. Where planes may be larger than the smallest, some write nothing, and
    /// what is read there must be zero.
    fn slots(&self, like: &CubeTensor, slots: &[usize]) -> CubeTensor {
        if self.vary { zeros(like, slots) } else { empty(like, slots) }
    }
}

fn cube_dim() -> CubeDim {
    CubeDim::new_1d(u32::try_from(UNITS).unwrap_or(u32::MAX))
}

fn cubes(count: usize) -> CubeCount {
    CubeCount::Static(u32::try_from(count).unwrap_or(u32::MAX), 1, 1)
}

/// Numbers of the host on the device of `like`.
fn upload(like: &CubeTensor, values: &[f32]) -> CubeTensor {
    let handle = like.client.create_from_slice(f32::as_bytes(values));
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), Dims::new([values.len()]), handle, DType::F32)
}

fn zeros(like: &CubeTensor, dims: &[usize]) -> CubeTensor {
    let handle = like.client.create_from_slice(f32::as_bytes(&vec![0.0; dims.iter().product()]));
    let dims = Dims::from(dims.to_vec());
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), dims, handle, DType::F32)
}

fn empty(like: &CubeTensor, dims: &[usize]) -> CubeTensor {
    let dims = Dims::from(dims.to_vec());
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), dims, DType::F32)
}

impl Mix {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "kernels work in single precision"
    )]
    fn numbers(&self) -> Vec<f32> {
        let each = self.terms.iter().flat_map(|term| {
            let (kind, gamma, alpha) = match term.kind {
                Kind::CrossEntropy => (kinds::CROSS_ENTROPY, 0.0, 0.0),
                Kind::Focal { gamma, alpha } => (kinds::FOCAL, gamma, alpha),
                Kind::Kl => (kinds::KULLBACK_LEIBLER, 0.0, 0.0),
                Kind::SoftF1 => (kinds::SOFT_F1, 0.0, 0.0),
            };
            let weighted = f32::from(u8::from(term.class_weights.is_some()));
            [kind as f32, term.weight as f32, term.smoothing as f32, gamma as f32, alpha as f32, weighted]
        });
        each.collect()
    }

    #[expect(clippy::cast_possible_truncation, reason = "kernels work in single precision")]
    fn class_weights(&self, weighted: bool) -> Vec<f32> {
        if !weighted {
            return vec![0.0];
        }
        let own = |term: &super::Term| term.class_weights.clone().unwrap_or_else(|| vec![1.0; self.classes]);
        self.terms.iter().flat_map(|term| own(term).into_iter().map(|weight| weight as f32)).collect()
    }
}

/// Can the kernels here run? All of them add up what the units of a plane have.
fn runs_on(client: &Client) -> bool {
    let device = client.properties();
    let says_so = device.features.plane.contains(Plane::Ops);
    adds_planes(says_so, device.identity.physical.is_some(), device.hardware.plane_size_min)
}

/// CubeCL says of cards whether they add planes up. Of drivers that compute on the processor it says that none does, yet Mesa's, whose
/// planes have several units, does.
fn adds_planes(says_so: bool, is_card: bool, units_of_a_plane: u32) -> bool {
    says_so || (!is_card && units_of_a_plane > 1)
}

impl MixOps for CubeBackend {
    fn mix(logits: CubeTensor, targets: CubeTensor, mix: Arc<Mix>) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
        if !runs_on(&logits.client) {
            return composed::<Self>(logits, targets, &mix, DType::F32);
        }
        let count = logits.shape()[0];
        let classes = mix.classes;
        let cut = Cut::new(&logits, &targets, &mix);
        let Shape { wide, f1, terms: number, hard, .. } = cut.shape;
        let client = logits.client.clone();
        let terms = upload(&logits, &mix.numbers());
        let weights = upload(&logits, &mix.class_weights(cut.shape.weighted));
        let stats = empty(&logits, &[count, KEPT]);
        let values = cut.slots(&logits, &[cut.planes(cut.cubes), number]);
        let blocks = classes.div_ceil(UNITS);
        let rows_of_part = count.div_ceil((PARTS * 16 / blocks).clamp(1, PARTS));
        let parts = if wide { count.div_ceil(rows_of_part) } else { cut.planes(cut.cubes) };
        let sums = cut.slots(&logits, &if f1 { vec![parts, 3, classes] } else { vec![1] });
        let kind = dtype_to_elem_type(logits.dtype);
        launched();
        rows::launch(
            &client,
            cubes(cut.cubes),
            cube_dim(),
            logits.clone().into_tensor_arg(),
            targets.clone().into_tensor_arg(),
            terms.clone().into_tensor_arg(),
            weights.into_tensor_arg(),
            stats.clone().into_tensor_arg(),
            values.clone().into_tensor_arg(),
            sums.clone().into_tensor_arg(),
            cut.steps,
            cut.shape,
            kind,
        );
        let score_cubes = classes.div_ceil(UNITS / cut.lanes).min(CUBES);
        let slopes = empty(&logits, &[2, classes]);
        let scores = cut.slots(&logits, &[if f1 { cut.planes(score_cubes) } else { 1 }, number]);
        if f1 && wide {
            launched();
            let [blocks, parts] = [blocks, parts].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
            columns::launch(
                &client,
                CubeCount::Static(blocks, parts, 1),
                cube_dim(),
                logits.clone().into_tensor_arg(),
                targets.into_tensor_arg(),
                stats.clone().into_tensor_arg(),
                sums.clone().into_tensor_arg(),
                rows_of_part,
                hard,
                kind,
            );
        }
        if f1 {
            launched();
            by_class::launch(
                &client,
                cubes(score_cubes),
                cube_dim(),
                sums.into_tensor_arg(),
                terms.clone().into_tensor_arg(),
                slopes.clone().into_tensor_arg(),
                scores.clone().into_tensor_arg(),
                count,
                classes,
                number,
            );
        }
        let sum = empty(&logits, &[1]);
        let each = empty(&logits, &[number]);
        launched();
        total::launch(
            &client,
            cubes(1),
            cube_dim(),
            values.into_tensor_arg(),
            scores.into_tensor_arg(),
            terms.into_tensor_arg(),
            sum.clone().into_tensor_arg(),
            each.clone().into_tensor_arg(),
            classes,
            number,
        );
        (sum, each, stats, slopes)
    }

    fn mix_gradient(
        logits: CubeTensor,
        targets: CubeTensor,
        kept: CubeTensor,
        slopes: CubeTensor,
        above: CubeTensor,
        mix: Arc<Mix>,
    ) -> CubeTensor {
        if !runs_on(&logits.client) {
            return composed_gradient::<Self>(kept, above);
        }
        let cut = Cut::new(&logits, &targets, &mix);
        let client = logits.client.clone();
        let terms = upload(&logits, &mix.numbers());
        let weights = upload(&logits, &mix.class_weights(cut.shape.weighted));
        let out = empty_device_dtype(client.clone(), logits.device.clone(), logits.shape(), logits.dtype);
        let kind = dtype_to_elem_type(logits.dtype);
        launched();
        gradient::launch(
            &client,
            cubes(cut.backward_cubes),
            cube_dim(),
            logits.into_tensor_arg(),
            targets.into_tensor_arg(),
            terms.into_tensor_arg(),
            weights.into_tensor_arg(),
            kept.into_tensor_arg(),
            slopes.into_tensor_arg(),
            into_contiguous(above).into_tensor_arg(),
            out.clone().into_tensor_arg(),
            cut.backward_steps,
            cut.shape,
            kind,
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::cubecl::Device;
    use burn::backend::ops::FloatTensorOps;
    use burn::tensor::TensorData;

    use super::super::{Term, to_host};
    use super::*;

    #[test]
    fn gpu_kernels_run_where_planes_add_up() {
        assert!(adds_planes(true, true, 32), "a GPU");
        assert!(!adds_planes(false, true, 32), "a GPU without");
        assert!(adds_planes(false, false, 8), "Mesa's software driver");
        assert!(!adds_planes(false, false, 1), "CubeCL's own on the processor");
    }
    /// What runs where planes add up nothing, on whatever answers.
    #[test]
    fn gpu_the_hosts_reference_leaves_its_results_on_the_device() {
        let Some(device) = Device::enumerate_all().into_iter().next() else { return };
        let term = |weight, kind| Term { weight, kind, smoothing: 0.1, class_weights: None };
        let mix = Mix { classes: 3, terms: vec![term(0.6, Kind::CrossEntropy), term(0.4, Kind::SoftF1)] };
        let (logits, labels) = (vec![0.5_f32, -1.0, 2.0, 0.0, 3.0, -0.5], vec![2.0_f32, 0.0]);
        let shares = [0.0_f32, 0.0, 1.0, 1.0, 0.0, 0.0];
        let host = mix.on_host(&logits, &shares);
        let tensor = |values: Vec<f32>, shape: &[usize]| {
            CubeBackend::float_from_data(TensorData::new(values, shape.to_vec()), &device)
        };
        let (total, terms, kept, _) =
            composed::<CubeBackend>(tensor(logits, &[2, 3]), tensor(labels, &[2]), &mix, DType::F32);
        let gradient = composed_gradient::<CubeBackend>(kept, tensor(vec![2.0], &[1]));
        let wanted = host.gradient.iter().map(|slope| 2.0 * slope).collect::<Vec<_>>();
        for (ours, theirs) in [(total, vec![host.value]), (terms, host.terms), (gradient, wanted)] {
            let ours = to_host::<CubeBackend>(ours);
            assert_eq!(ours.len(), theirs.len());
            assert!(ours.iter().zip(&theirs).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{ours:?}, {theirs:?}");
        }
    }
}

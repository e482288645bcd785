//! A file of first weights -> how it wants images normalised: as its own note says, else as the `config.json` beside it,
//! which is timm's and the Hugging Face hub's.

use std::path::Path;

use crate::data::seen;
use crate::host::Host;
use crate::images::normalisation;
use crate::study::Normalize;

/// Longest `config.json` that is read; a thousand names of classes are a tenth of it.
const CONFIG: usize = 1 << 20;
/// Figures that agree to so much are the same.
const CLOSE: f64 = 1e-4;

/// What the file wants, if it or its `config.json` says so in figures that a study has a word for.
pub(super) fn wants(host: &dyn Host, path: &Path) -> Option<Normalize> {
    match seen::noted(host, path, seen::NORMALIZE) {
        Some(word) => Normalize::named(&word).filter(|normalize| !normalize.is_fitted()),
        None => of_config(&host.read_start(path.parent()?, "config.json", CONFIG).ok()?),
    }
}

fn of_config(bytes: &[u8]) -> Option<Normalize> {
    let config: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let figures = |name: &str| -> Option<Vec<f64>> {
        config.get("pretrained_cfg")?.get(name)?.as_array()?.iter().map(serde_json::Value::as_f64).collect()
    };
    let (mean, std) = (figures("mean")?, figures("std")?);
    let same = |ours: [f32; 3], theirs: &[f64]| {
        theirs.len() == 3 && ours.iter().zip(theirs).all(|(ours, theirs)| (f64::from(*ours) - theirs).abs() < CLOSE)
    };
    let all = [Normalize::Imagenet, Normalize::Half, Normalize::None, Normalize::Bytes, Normalize::Caffe];
    all.into_iter().find(|normalize| {
        normalisation(*normalize, 3).is_some_and(|(ours, deviation)| same(ours, &mean) && same(deviation, &std))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_read_for_figures_that_have_a_word() {
        let config = |mean: &str, std: &str| {
            of_config(
                format!("{{\"architecture\":\"x\",\"pretrained_cfg\":{{\"mean\":{mean},\"std\":{std}}}}}").as_bytes(),
            )
        };
        assert_eq!(config("[0.485,0.456,0.406]", "[0.229,0.224,0.225]"), Some(Normalize::Imagenet));
        assert_eq!(config("[0.5,0.5,0.5]", "[0.5,0.5,0.5]"), Some(Normalize::Half));
        assert_eq!(config("[0,0,0]", "[0.00392156862,0.00392156862,0.00392156862]"), Some(Normalize::Bytes));
        assert_eq!(config("[0.4,0.4,0.4]", "[0.5,0.5,0.5]"), None);
        for nonsense in ["[0.5,0.5]", "0.5", "[\"a\",0,0]", "null"] {
            assert_eq!(config(nonsense, "[0.5,0.5,0.5]"), None, "{nonsense}");
        }
        assert_eq!(of_config(b"[1"), None);
    }
}

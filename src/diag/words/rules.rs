//! Sentences about what settings mean together: leakage, weights, losses, patience.

use super::data::counted;
use super::names::list;
use crate::diag::suggest::nearest;
use crate::diag::{Code, Diagnostic, Problems};
use crate::source::Span;

/// `1 epoch`, `30 epochs`.
fn epochs_of(number: u32) -> String {
    counted(usize::try_from(number).unwrap_or(usize::MAX), "epoch")
}

impl Problems {
    /// E0103: something after `normalize`.
    pub fn normalize_not_last(&mut self, span: Span, next: Span) {
        self.push(
            Diagnostic::new(Code::E0103, "`normalize` must be the last preparing operation")
                .label(span, "leaves no image, but centred numbers")
                .label(next, "wants an image")
                .help("move `normalize(...)` to the end of `prepare`"),
        );
    }

    /// E0101: an image column where there is no table.
    pub fn image_without_table(&mut self, span: Span, table: Span) {
        self.push(
            Diagnostic::new(Code::E0101, "`image` names a column of a table, and there is no table")
                .label(span, "nothing to name")
                .label(table, "brings its images along")
                .help("remove the line"),
        );
    }

    /// E0507: 16 bits in a study that is to run on the CPU.
    pub fn bf16_on_cpu(&mut self, at: Span, device: Span) {
        self.push(
            Diagnostic::new(Code::E0507, "`bf16` on the CPU is slower than `f32` and is not offered")
                .label(at, "asked here")
                .label(device, "to run on the CPU")
                .help("write  precision = f32 , or name a GPU:  device = cuda"),
        );
    }

    /// E0401: a network nobody knows.
    pub fn unknown_backbone<'a>(
        &mut self,
        name: &str,
        span: Span,
        running: impl IntoIterator<Item = &'a str>,
        later: &[&str],
    ) {
        let running: Vec<&str> = running.into_iter().collect();
        let near = nearest(name, running.iter().copied().chain(later.iter().copied()));
        // Dozens: those whose names begin alike.
        let start: String = name.chars().take(3).collect();
        let alike: Vec<&str> = running.iter().copied().filter(|one| one.starts_with(&start)).collect();
        let shown = if alike.is_empty() { &running } else { &alike };
        let all =
            format!("this version runs {} backbones, such as {}", running.len(), list(shown.iter().copied().take(4)));
        let help = near.map_or_else(|| all.clone(), |near| format!("did you mean `{near}`? {all}"));
        self.push(
            Diagnostic::new(Code::E0401, format!("there is no backbone called `{name}`"))
                .label(span, "not a backbone")
                .help(help),
        );
    }

    /// E0402: weights a network does not have.
    pub fn no_such_weights(&mut self, backbone: &str, name: &str, span: Span, there: &[&str]) {
        let near = nearest(name, there.iter().copied().chain(["none"]));
        let known = if there.is_empty() { String::new() } else { format!("{}, ", list(there.iter().copied())) };
        let all = format!("there are: {known}`none`, `file(\"x.safetensors\")`");
        let help = near.map_or_else(|| all.clone(), |near| format!("did you mean `{near}`? {all}"));
        self.push(
            Diagnostic::new(Code::E0402, format!("`{backbone}` has no weights called `{name}`"))
                .label(span, "no such weights")
                .help(help),
        );
    }

    /// E0402: a weights file that is not there.
    pub fn no_weights_file(&mut self, name: &str, why: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0402, format!("the weights file `{name}` cannot be read: {why}"))
                .label(span, "looked for beside the study file")
                .help("check the path, or start from random weights:  weights = none"),
        );
    }

    /// E0402: a weights file of another kind.
    pub fn weights_not_safetensors(&mut self, name: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0402, format!("`{name}` is no safetensors file"))
                .label(span, "only safetensors files are read")
                .help("write  weights = file(\"x.safetensors\")"),
        );
    }

    /// E0403: images smaller than the network's strides.
    pub fn image_too_small(&mut self, backbone: &str, side: u32, smallest: u32, at: Span, model: Option<Span>) {
        let mut diagnostic = Diagnostic::new(
            Code::E0403,
            format!("images of {side} pixels are too small for `{backbone}`, which halves them 5 times"),
        )
        .label(at, format!("{side} pixels a side"));
        if let Some(model) = model {
            diagnostic = diagnostic.label(model, format!("wants at least {smallest} pixels a side"));
        }
        self.push(diagnostic.help(format!("write  resize({smallest})  or larger")));
    }

    /// E0403: a vision transformer's patches do not cover the images.
    pub fn image_cuts_patches(&mut self, backbone: &str, side: u32, patch: u32, at: Span, model: Option<Span>) {
        let mut diagnostic = Diagnostic::new(
            Code::E0403,
            format!("images of {side} pixels are no whole number of the patches of `{backbone}`"),
        )
        .label(at, format!("{side} pixels a side"));
        if let Some(model) = model {
            diagnostic = diagnostic.label(model, format!("patches of {patch} pixels a side"));
        }
        let near = (side + patch / 2) / patch * patch;
        self.push(diagnostic.help(format!("write  resize({})", near.max(patch))));
    }

    /// W0404: another normalisation than the weights'.
    pub fn normalize_differs(&mut self, backbone: &str, wants: &str, got: &str, at: Span, weights: Span) {
        self.push(
            Diagnostic::new(
                Code::W0404,
                format!("the weights of `{backbone}` expect normalize({wants}); got normalize({got})"),
            )
            .label(at, "shifts every input away from what the weights know")
            .label(weights, format!("trained with normalize({wants})"))
            .help(format!("write `normalize({wants})`, or leave `normalize` out: each backbone then has its own"))
            .fix(at, format!("normalize({wants})")),
        );
    }

    /// E0405: images of other channels than the first weights', and nobody said what becomes of these.
    pub fn channels_differ(&mut self, backbone: &str, channels: u32, wanted: u32, at: Span, weights: Span) {
        let images = if channels == 1 { "1 channel".to_owned() } else { format!("{channels} channels") };
        self.push(
            Diagnostic::new(
                Code::E0405,
                format!("the weights of `{backbone}` are for images of {wanted} channels, and these have {images}"),
            )
            .label(at, images)
            .label(weights, format!("kernels for {wanted} channels"))
            .help(format!(
                "show the network the same grey in all of them:  grayscale(to = {wanted})\n\
                 or make the kernels fit:  model {{ stem = average }}"
            )),
        );
    }

    /// W0407: frozen for the whole of the training.
    pub fn backbone_never_trains(&mut self, frozen: u32, epochs: u32, at: Span, epochs_at: Option<Span>) {
        let mut diagnostic = Diagnostic::new(Code::W0407, "the backbone would never train")
            .label(at, format!("frozen for {}", epochs_of(frozen)));
        if let Some(epochs_at) = epochs_at {
            diagnostic = diagnostic.label(epochs_at, format!("{} in all", epochs_of(epochs)));
        }
        self.push(diagnostic.help(format!(
            "train longer:  epochs = {}\nor say that it is meant:  freeze = all",
            frozen.saturating_add(5)
        )));
    }

    /// W0501: weights that do not sum to 1.
    pub fn loss_weights_sum(&mut self, sum: f64, at: Span) {
        let sum = (sum * 1e6).round() / 1e6;
        let percent = ((sum - 1.0) * 100.0).abs().round();
        let way = if sum > 1.0 { "higher" } else { "lower" };
        self.push(
            Diagnostic::new(Code::W0501, format!("the weights of the losses sum to {sum}, not 1"))
                .label(at, format!("sums to {sum}"))
                .help(format!("fine, but the learning rate is then effectively {percent}% {way}")),
        );
    }

    /// E0503: a divergence from one-hot targets.
    pub fn kl_without_soft_targets(&mut self, at: Span) {
        self.push(
            Diagnostic::new(Code::E0503, "`kl()` compares with soft labels, and these are one-hot")
                .label(at, "no target distribution to compare with")
                .help("write `kl(smoothing = 0.1)`, or add  mixup()  to `augment`"),
        );
    }

    /// W0504: rare classes favoured three times; the ways with their places.
    pub fn corrected_three_times(&mut self, ways: &[(Option<Span>, &str)]) {
        let mut diagnostic = Diagnostic::new(Code::W0504, "rare classes are favoured three times over");
        for (at, way) in ways {
            if let Some(at) = at {
                diagnostic = diagnostic.label(*at, *way);
            }
        }
        self.push(diagnostic.help(
            "each alone makes classes count alike, together they favour rare ones:\nkeep one, for example  sampler = balanced",
        ));
    }

    /// W0505: patience that cannot run out.
    pub fn patience_too_long(&mut self, who: &str, patience: u32, epochs: u32, at: Span, epochs_at: Option<Span>) {
        let mut diagnostic = Diagnostic::new(Code::W0505, format!("{who} cannot act within {}", epochs_of(epochs)))
            .label(at, format!("waits for {}", epochs_of(patience)));
        if let Some(epochs_at) = epochs_at {
            diagnostic = diagnostic.label(epochs_at, format!("{} in all", epochs_of(epochs)));
        }
        let shorter = (epochs / 3).max(1);
        let unit = if shorter == 1 { "epoch" } else { "epochs" };
        // In a single epoch there is nothing to wait for.
        let help = if shorter < epochs {
            format!("write  patience = {shorter}{unit}  or train longer")
        } else {
            format!("train longer:  epochs = {}\nor leave {who} out", patience.saturating_mul(3).max(5))
        };
        self.push(diagnostic.help(help));
    }

    /// E0104: a warm-up that is longer than the training.
    pub fn warmup_too_long(&mut self, warmup: f64, epochs: u32, at: Span, epochs_at: Option<Span>) {
        let all = epochs_of(epochs);
        let mut diagnostic =
            Diagnostic::new(Code::E0104, format!("`warmup` must be within {all}, but this is {warmup} epochs"))
                .label(at, "the learning rate would never come down");
        if let Some(epochs_at) = epochs_at {
            diagnostic = diagnostic.label(epochs_at, format!("{all} in all"));
        }
        let shorter = (epochs / 5).max(1);
        let unit = if shorter == 1 { "epoch" } else { "epochs" };
        self.push(diagnostic.help(format!("write  warmup = {shorter}{unit}  or train longer")));
    }

    /// W0505: a cosine that stopping cuts.
    pub fn cosine_cut(&mut self, schedule: Span, stop: Span) {
        self.push(
            Diagnostic::new(Code::W0505, "early stopping would cut the cosine before it comes down")
                .label(stop, "may end training early")
                .label(schedule, "reaches small steps only in the last epochs")
                .help("keep one of the two; to keep the best epoch all the same:\n  keep = best(on = macro_f1)"),
        );
    }

    /// E0901: a URL.
    pub fn url_without_digest(&mut self, url: &str, at: Span) {
        let shown: String = url.chars().filter(|c| !c.is_control()).take(60).collect();
        self.push(
            Diagnostic::new(
                Code::E0901,
                "a URL without a sha256: what lies there may change, and nothing is downloaded",
            )
            .label(at, format!("`{shown}`"))
            .help("download it once, check its sha256, and name the file, relative to the study's folder"),
        );
    }

    /// E0902: a pickle.
    pub fn pickle(&mut self, name: &str, span: Span) {
        let stem = name.trim_end_matches(".tar").rsplit_once('.').map_or(name, |(stem, _)| stem);
        self.push(
            Diagnostic::new(Code::E0902, "refusing to load a pickle: it can run code on your machine")
                .label(span, "a Python pickle, not weights")
                .help(format!(
                    "convert it once; nothing in it is run:\n  \
                     pipe weights import {name} --to {stem}.safetensors\nthen  weights = file(\"{stem}.safetensors\")"
                )),
        );
    }

    /// E0904: the environment inside a study.
    pub fn environment(&mut self, what: &str, span: Span) {
        self.push(
            Diagnostic::new(Code::E0904, format!("`{what}` reads the environment, which a study cannot see"))
                .label(span, "would make the result depend on the machine")
                .help("declare it:  param root : path = \"./data\"\nand set it:  pipe run FILE --set root=/mnt/data"),
        );
    }
}

//! Turns the variants of a study and the digests of what they read into one graph of work whose keys are its content.
//!
//! Invariants: equal work is one node; a node's key is BLAKE3 over its kind, that kind's version, its
//! parameters, the bytes it reads and the keys of its inputs, so comments, formatting, the names of folders
//! and everything in a `run` block change nothing; edges never point backwards, and the order of nodes is
//! the same on every run. This is the only file that names petgraph.

mod digests;
mod parts;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef as _;
use serde::Serialize;
use serde_json::json;

use digests::Digests;
pub use parts::Parts;

use crate::split::Folds;
use crate::study::{Freeze, Normalize, Precision, Source, Study, Weights};

/// A content key, 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key(String);

impl Key {
    /// BLAKE3 of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }

    /// A key printed by [`Key::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self(text.into()))
    }

    /// All 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 8 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Read the table.
    ReadTable,
    /// Filter, label, group and limit rows.
    SelectRows,
    /// Deal patients into folds.
    Split,
    /// Decode and prepare every image.
    Prepare,
    /// Run the frozen backbone over every image.
    Features,
    /// Train one fold.
    Train(u32),
    /// Score one fold's patients (and the hold-out) with that fold's network.
    Predict(u32),
    /// One table of every scored image.
    OutOfFold,
    /// Figures.
    Evaluate,
    /// Text, HTML, model files.
    Report,
    /// Differences between variants, and the report on all of them.
    Compare,
}

impl Work {
    /// In a few words.
    #[must_use]
    pub fn title(self) -> String {
        match self {
            Self::ReadTable => "read table".into(),
            Self::SelectRows => "select rows".into(),
            Self::Split => "split patients".into(),
            Self::Prepare => "decode and prepare".into(),
            Self::Features => "frozen features".into(),
            Self::Train(fold) => format!("train fold {fold}"),
            Self::Predict(fold) => format!("predict fold {fold}"),
            Self::OutOfFold => "out-of-fold table".into(),
            Self::Evaluate => "evaluate".into(),
            Self::Report => "report".into(),
            Self::Compare => "compare variants".into(),
        }
    }

    /// Is its result kept in the store? The others take less time than reading them back.
    #[must_use]
    pub fn is_stored(self) -> bool {
        match self {
            Self::Prepare | Self::Features | Self::Train(_) | Self::Predict(_) => true,
            Self::ReadTable
            | Self::SelectRows
            | Self::Split
            | Self::OutOfFold
            | Self::Evaluate
            | Self::Report
            | Self::Compare => false,
        }
    }

    /// Raised whenever the same parameters would give other bytes.
    fn version(self) -> u32 {
        match self {
            Self::Prepare => 2,
            Self::ReadTable
            | Self::SelectRows
            | Self::Split
            | Self::Features
            | Self::Train(_)
            | Self::Predict(_)
            | Self::OutOfFold
            | Self::Evaluate
            | Self::Report
            | Self::Compare => 1,
        }
    }

    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::ReadTable => "read_table",
            Self::SelectRows => "select_rows",
            Self::Split => "split",
            Self::Prepare => "prepare",
            Self::Features => "features",
            Self::Train(_) => "train",
            Self::Predict(_) => "predict",
            Self::OutOfFold => "out_of_fold",
            Self::Evaluate => "evaluate",
            Self::Report => "report",
            Self::Compare => "compare",
        }
    }
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What.
    pub work: Work,
    /// Its content key.
    pub key: Key,
    /// What goes into the key besides the inputs, for people.
    pub detail: String,
    /// The variants that ask for it, ascending; more than one: shared. Empty: the study as a whole does.
    pub variants: Vec<usize>,
    /// What the key is made of, in words; empty for what is not kept in the store.
    pub parts: Parts,
}

/// Names a node of a [`Dag`]; ids ascend in an order in which the work can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

/// Does an input's key enter the node's key, or only what the node reads of it?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// Its key does.
    Value,
    /// It must be done before; the part that matters stands in the node's parameters, so that (say) another
    /// order of classes does not decode every image again.
    Order,
}

/// The work of a study.
#[derive(Debug, Clone)]
pub struct Dag {
    graph: DiGraph<Node, Edge, u32>,
    by_key: BTreeMap<Key, NodeIndex<u32>>,
    /// Where each variant's work is.
    places: BTreeMap<(usize, Work), NodeIndex<u32>>,
    /// What the variants are called.
    names: Vec<String>,
}

/// Digests of what a study reads, found by `plan`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// Of the table's bytes; `None` where there is no file to read (phantoms) or names only (folders).
    pub table: Option<Key>,
    /// Of each image's bytes, in the data set's order; for phantoms of its drawing's parameters.
    pub images: Vec<Key>,
    /// Class of each image.
    pub labels: Vec<u32>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// sha256 of the first weights' file, if any.
    pub weights: Option<String>,
}

/// Does this study run its frozen backbone once over all images, instead of in every epoch and fold?
///
/// Only where a fold cannot tell the difference: the backbone keeps its first weights and statistics for at least
/// one epoch, images are the same in every epoch, and their normalisation is the same in every fold.
#[must_use]
pub fn shares_features(study: &Study) -> bool {
    unshared_features(study).is_empty()
}

/// Why it does not; empty where it does.
#[must_use]
pub fn unshared_features(study: &Study) -> Vec<&'static str> {
    let learns = match study.model.freeze {
        Freeze::All => None,
        Freeze::BackboneFor(epochs) if epochs > 0 => None,
        Freeze::None | Freeze::BackboneFor(_) => Some("the backbone learns from the first epoch on: `model.freeze`"),
        Freeze::First(_) => Some("a part of the backbone learns: `model.freeze` leaves its later stages free"),
    };
    let random = "images are other ones in every epoch: `images.augment` is random";
    let normal =
        "the normalisation is worked out in each fold: `images.prepare` has `normalize(train)` or `normalize(dataset)`";
    let drawn =
        "the backbone has no first weights, and what is drawn need not be the same: `model.backbone` has no `weights`";
    let reasons = [
        learns,
        (!study.images.augment.is_empty()).then_some(random),
        matches!(study.images.normalize, Normalize::Train | Normalize::Dataset).then_some(normal),
        (study.model.weights == Weights::None).then_some(drawn),
    ];
    reasons.into_iter().flatten().collect()
}

/// One variant of a study, with what was found of its data.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The variant's name; empty when nothing varies.
    pub name: &'a str,
    /// What is meant.
    pub study: &'a Study,
    /// Digests of what it reads.
    pub inputs: &'a Inputs,
    /// Who is in which fold.
    pub folds: &'a Folds,
    /// The folds that are trained.
    pub trained: &'a [u32],
}

/// Builds the graph of a study out of its variants; `comparison` is what else decides how they are compared.
///
/// Variants ask for their work one after the other, and work that is there already is theirs too.
#[must_use]
pub fn build(parts: &[Part<'_>], comparison: &serde_json::Value) -> Dag {
    let mut dag =
        Dag { graph: DiGraph::default(), by_key: BTreeMap::new(), places: BTreeMap::new(), names: Vec::new() };
    let mut reports = Vec::with_capacity(parts.len());
    let mut digests = Digests::default();
    for (variant, part) in parts.iter().enumerate() {
        dag.names.push(part.name.to_owned());
        reports.push((dag.variant(variant, part, &mut digests), Edge::Value));
    }
    if parts.len() > 1 {
        let detail = format!("{} variants", parts.len());
        dag.add(None, Work::Compare, comparison, detail, &reports);
    }
    dag
}

/// A hold-out that the table gives enters; one that there is not leaves the key as it was.
fn split_parameters(study: &Study) -> serde_json::Value {
    let split = &study.split;
    match &split.holdout_rows {
        None => json!([split.holdout, split.cv, split.validation, study.seed]),
        Some(rows) => json!([split.holdout, split.cv, split.validation, study.seed, rows]),
    }
}

/// What the features of a frozen backbone are made with.
fn features_of(study: &Study, inputs: &Inputs) -> serde_json::Value {
    let (model, normalize) = (&study.model, study.images.normalize);
    match (model.head.pool, model.channels, study.train.precision) {
        (None, None, Precision::F32) => json!([model.backbone, inputs.weights, normalize]),
        (Some(pool), None, Precision::F32) => json!([model.backbone, inputs.weights, normalize, pool]),
        (pool, Some(channels), Precision::F32) => json!([model.backbone, inputs.weights, normalize, pool, channels]),
        (pool, channels, Precision::Bf16) => {
            json!([model.backbone, inputs.weights, normalize, pool, channels, study.train.precision])
        }
    }
}

impl Dag {
    /// Adds the work of one variant; its report.
    fn variant(&mut self, variant: usize, part: &Part<'_>, digests: &mut Digests) -> NodeIndex<u32> {
        let Part { study, inputs, folds, trained, .. } = part;
        let of = Some(variant);
        // What a source *is*, without where it lies.
        let source = match &study.data.source {
            Source::Csv { .. } => json!("csv"),
            Source::Folder { .. } => json!("folder"),
            Source::Phantoms { images, patients, seed } => json!({ "phantoms": [images, patients, seed] }),
        };
        let table = self.add(of, Work::ReadTable, &json!([source, inputs.table]), "table".into(), &[]);

        let data = &study.data;
        let image_column = data.image.as_ref().map(|image| &image.column);
        let rows = self.add(
            of,
            Work::SelectRows,
            &json!([
                image_column,
                data.label,
                data.labels,
                data.classes,
                data.merge,
                data.group,
                data.keep,
                data.limit,
                data.on_missing,
                study.seed
            ]),
            format!("{} images, {} classes", inputs.images.len(), inputs.classes.len()),
            &[(table, Edge::Value)],
        );
        let split = self.add(
            of,
            Work::Split,
            &split_parameters(study),
            format!("{} folds", folds.count),
            &[(rows, Edge::Value)],
        );
        let prepare = self.add(
            of,
            Work::Prepare,
            &json!([study.images.prepare, digests.images(inputs)]),
            format!("{} images to {} px", inputs.images.len(), study.images.side()),
            &[(rows, Edge::Order)],
        );
        let features = shares_features(study).then(|| {
            self.add(
                of,
                Work::Features,
                &features_of(study, inputs),
                "once for all folds".into(),
                &[(prepare, Edge::Value)],
            )
        });

        let mut predictions = Vec::new();
        for fold in trained.iter().copied() {
            let seen = digests.seen(study, inputs, folds, fold);
            let mut model = study.model.clone();
            if inputs.weights.is_some() {
                model.weights = Weights::None; // the bytes count, not the name
            }
            let mut before = vec![(prepare, Edge::Value), (split, Edge::Order)];
            before.extend(features.map(|node| (node, Edge::Value)));
            let train = self.add(
                of,
                Work::Train(fold),
                &json!([
                    fold,
                    study.seed,
                    inputs.classes,
                    seen.trained,
                    seen.learned,
                    model,
                    inputs.weights,
                    study.train,
                    study.images.normalize,
                    study.images.augment
                ]),
                if seen.watched == 0 {
                    format!("{} images", seen.learned)
                } else if crate::leakage::watches_reported_fold(study) {
                    format!("{} images, watches the fold's own {}", seen.learned, seen.watched)
                } else {
                    format!("{} images, {} for validation", seen.learned, seen.watched)
                },
                &before,
            );
            let scored = seen.scored;
            predictions.push(self.add(
                of,
                Work::Predict(fold),
                &if study.evaluate.tta.is_empty() { json!([scored]) } else { json!([scored, study.evaluate.tta]) },
                format!("{} images", seen.scores),
                &[(train, Edge::Value), (prepare, Edge::Value)],
            ));
        }
        let scored: Vec<_> = predictions.iter().map(|node| (*node, Edge::Value)).chain([(rows, Edge::Value)]).collect();
        let table = self.add(of, Work::OutOfFold, &json!(null), "predictions.csv".into(), &scored);
        let figures = self.add(
            of,
            Work::Evaluate,
            &json!([study.evaluate, study.seed]),
            "figures".into(),
            &[(table, Edge::Value)],
        );
        self.add(
            of,
            Work::Report,
            &json!([study.name, study.question]),
            "report.html".into(),
            &[(figures, Edge::Value), (split, Edge::Value)],
        )
    }

    /// Adds a node for a variant, or finds the equal one that is there.
    fn add(
        &mut self,
        variant: Option<usize>,
        work: Work,
        parameters: &serde_json::Value,
        detail: String,
        inputs: &[(NodeIndex<u32>, Edge)],
    ) -> NodeIndex<u32> {
        let keys: Vec<&str> = inputs
            .iter()
            .filter(|(_, edge)| *edge == Edge::Value)
            .filter_map(|(node, _)| self.graph.node_weight(*node))
            .map(|node| node.key.as_str())
            .collect();
        let key = Key::of(json!([work.tag(), work.version(), parameters, keys]).to_string().as_bytes());
        let node = self.by_key.get(&key).copied().unwrap_or_else(|| {
            let titled = inputs.iter().filter(|(_, edge)| *edge == Edge::Value);
            let titled: Vec<(String, &str)> = titled
                .filter_map(|(node, _)| self.graph.node_weight(*node))
                .map(|node| (node.work.title(), node.key.as_str()))
                .collect();
            let parts = parts::parts(work, parameters, &titled);
            let node = self.graph.add_node(Node { work, key: key.clone(), detail, variants: Vec::new(), parts });
            for (input, edge) in inputs {
                self.graph.update_edge(*input, node, *edge);
            }
            self.by_key.insert(key, node);
            node
        });
        if let (Some(variant), Some(node)) = (variant, self.graph.node_weight_mut(node))
            && node.variants.last() != Some(&variant)
        {
            node.variants.push(variant);
        }
        if let Some(variant) = variant {
            self.places.insert((variant, work), node);
        }
        node
    }

    /// Every node, inputs before what they feed.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        // Nodes are only ever added after their inputs, so the order of insertion is a topological one.
        self.graph.node_indices().filter_map(|index| {
            let id = NodeId(u32::try_from(index.index()).ok()?);
            Some((id, self.graph.node_weight(index)?))
        })
    }

    /// What a node needs, in order of id.
    #[must_use]
    pub fn inputs(&self, id: NodeId) -> Vec<NodeId> {
        let mut inputs: Vec<NodeId> = self
            .graph
            .edges_directed(NodeIndex::new(id.0 as usize), Direction::Incoming)
            .filter_map(|edge| u32::try_from(edge.source().index()).ok().map(NodeId))
            .collect();
        inputs.sort_unstable();
        inputs
    }

    /// How many nodes a node feeds.
    #[must_use]
    pub fn fan_out(&self, id: NodeId) -> usize {
        self.graph.edges_directed(NodeIndex::new(id.0 as usize), Direction::Outgoing).count()
    }

    /// The node that does this work for a variant, if it needs it.
    #[must_use]
    pub fn find(&self, variant: usize, work: Work) -> Option<&Node> {
        self.graph.node_weight(*self.places.get(&(variant, work))?)
    }

    /// Every node that a variant needs, inputs before what they feed.
    pub fn of(&self, variant: usize) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes().filter(move |(_, node)| node.variants.binary_search(&variant).is_ok())
    }

    /// The key of the whole study: that of its last node, the report or the comparison.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.nodes().last().map(|(_, node)| &node.key)
    }

    /// What a node is for people: its detail, and in a grid whose it is.
    #[must_use]
    pub fn about(&self, node: &Node) -> String {
        let name = |variant: &usize| self.names.get(*variant).map_or("", String::as_str);
        match (self.names.len(), node.variants.as_slice()) {
            (0 | 1, _) | (_, []) => node.detail.clone(),
            (_, [one]) => format!("{}  ({})", node.detail, name(one)),
            (all, some) if some.len() == all => format!("{}  (all {all} variants)", node.detail),
            (_, [one, other]) => format!("{}  ({}, {})", node.detail, name(one), name(other)),
            (all, some) => format!("{}  ({} of {all} variants)", node.detail, some.len()),
        }
    }

    /// One line a node: number, work, key, inputs.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (id, node) in self.nodes() {
            let inputs: Vec<String> = self.inputs(id).iter().map(|input| input.0.to_string()).collect();
            let from = if inputs.is_empty() { String::new() } else { format!("  <- {}", inputs.join(", ")) };
            let _ = writeln!(
                text,
                "{:>3}  {}  {:<20} {}{from}",
                id.0,
                node.key.short(),
                node.work.title(),
                self.about(node)
            );
        }
        text
    }

    /// Graphviz.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut text =
            String::from("digraph study {\n  rankdir = LR\n  node [shape = box, fontname = \"sans-serif\"]\n");
        for (id, node) in self.nodes() {
            let label = format!("{}\\n{}\\n{}", node.work.title(), self.about(node), node.key.short());
            let _ = writeln!(text, "  n{} [label = \"{}\"]", id.0, label.replace('"', "'"));
        }
        for (id, _) in self.nodes() {
            for input in self.inputs(id) {
                let _ = writeln!(text, "  n{} -> n{}", input.0, id.0);
            }
        }
        text.push_str("}\n");
        text
    }

    /// Mermaid, as Markdown pages draw it.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (id, node) in self.nodes() {
            let _ = writeln!(text, "  n{}[\"{}<br>{}\"]", id.0, node.work.title(), self.about(node).replace('"', "'"));
        }
        for (id, _) in self.nodes() {
            for input in self.inputs(id) {
                let _ = writeln!(text, "  n{} --> n{}", input.0, id.0);
            }
        }
        text
    }
}

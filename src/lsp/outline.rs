//! The shape of a file: its symbols for an outline, its blocks and comments for folding.

use gen_lsp_types as lsp;

use super::names::Kind;
use super::offers::symbol;
use super::places::Lines;
use super::server::Server;
use crate::source::Span;
use crate::syntax::ast::{Block, Entry, Item, Setting};

/// Studies with their blocks and settings, names, places to run.
pub(super) fn symbols(server: &Server, params: &lsp::DocumentSymbolParams) -> Option<Vec<lsp::DocumentSymbol>> {
    let page = &server.opened(&params.text_document.uri)?.page;
    let shape = Shape { lines: Lines::new(&page.text, server.shows.encoding), text: &page.text };
    let symbols = page.parsed.file.items.iter().filter_map(|item| match item {
        Item::Param(param) => {
            let ty = shape.slice(param.ty.span);
            Some(shape.symbol(&param.name.text, ty, symbol(Kind::Param), param.span, param.name.span, Vec::new()))
        }
        Item::Let(one) => {
            let value = shape.slice(one.value.span);
            Some(shape.symbol(&one.name.text, value, symbol(Kind::Let), one.span, one.name.span, Vec::new()))
        }
        Item::Use(one) => {
            let path = one.path.plain().unwrap_or_default();
            Some(shape.symbol(&path, "use", symbol(Kind::Import), one.span, one.path.span, Vec::new()))
        }
        Item::Block(block) => Some(shape.block(block)),
        Item::Error(_) => None,
    });
    Some(symbols.collect())
}

struct Shape<'t> {
    lines: Lines<'t>,
    text: &'t str,
}

impl<'t> Shape<'t> {
    /// The first line of what a span covers.
    fn slice(&self, span: Span) -> &'t str {
        self.text.get(span.range()).unwrap_or("").lines().next().unwrap_or("")
    }

    fn symbol(
        &self,
        name: &str,
        detail: &str,
        kind: lsp::SymbolKind,
        whole: Span,
        named: Span,
        children: Vec<lsp::DocumentSymbol>,
    ) -> lsp::DocumentSymbol {
        #[expect(deprecated, reason = "a field of the protocol's that has to be filled in")]
        lsp::DocumentSymbol {
            // an empty name is not allowed
            name: if name.is_empty() { "?".to_owned() } else { name.to_owned() },
            detail: (!detail.is_empty()).then(|| detail.to_owned()),
            kind,
            tags: None,
            deprecated: None,
            range: self.lines.range(&whole.to(named).range()),
            selection_range: self.lines.range(&named.range()),
            children: (!children.is_empty()).then_some(children),
        }
    }

    fn block(&self, block: &Block) -> lsp::DocumentSymbol {
        let children = block.entries.iter().filter_map(|entry| self.entry(entry)).collect();
        let (kind, detail) = match block.keyword.text.as_str() {
            "study" => (symbol(Kind::Study), "study"),
            "run" => (symbol(Kind::Run), "run"),
            _ => (lsp::SymbolKind::Namespace, ""),
        };
        let name = block.labels.first().unwrap_or(&block.keyword);
        self.symbol(&name.text, detail, kind, block.span, name.span, children)
    }

    fn entry(&self, entry: &Entry) -> Option<lsp::DocumentSymbol> {
        Some(match entry {
            Entry::Setting(setting) => self.setting(setting, lsp::SymbolKind::Property),
            Entry::Vary(setting) => self.setting(setting, lsp::SymbolKind::Enum),
            Entry::Let(one) => {
                let value = self.slice(one.value.span);
                self.symbol(&one.name.text, value, symbol(Kind::Let), one.span, one.name.span, Vec::new())
            }
            Entry::Block(inner) => self.block(inner),
            Entry::Error(_) => return None,
        })
    }

    fn setting(&self, setting: &Setting, kind: lsp::SymbolKind) -> lsp::DocumentSymbol {
        let value = self.slice(setting.value.span);
        self.symbol(self.slice(setting.path.span), value, kind, setting.span, setting.path.span, Vec::new())
    }
}

/// Blocks of several lines, and comments of several lines.
pub(super) fn folds(server: &Server, params: &lsp::FoldingRangeParams) -> Option<Vec<lsp::FoldingRange>> {
    let page = &server.opened(&params.text_document.uri)?.page;
    let lines = Lines::new(&page.text, server.shows.encoding);
    let fold = |start: usize, end: usize, kind| {
        let line = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (end > start).then(|| lsp::FoldingRange {
            start_line: line(start),
            end_line: line(end),
            kind,
            ..lsp::FoldingRange::default()
        })
    };
    let mut blocks: Vec<&Block> = Vec::new();
    for item in &page.parsed.file.items {
        if let Item::Block(block) = item {
            blocks.push(block);
        }
    }
    let mut folds = Vec::new();
    while let Some(block) = blocks.pop() {
        // the closing brace stays to be seen
        let range = block.span.range();
        folds.extend(fold(lines.line(range.start), lines.line(range.end).saturating_sub(1), None));
        blocks.extend(block.entries.iter().filter_map(|entry| match entry {
            Entry::Block(inner) => Some(inner),
            Entry::Setting(_) | Entry::Let(_) | Entry::Vary(_) | Entry::Error(_) => None,
        }));
    }
    let comments = page.text.lines().map(|line| line.trim_start().starts_with('#'));
    let mut first = None;
    for (number, is_comment) in comments.chain([false]).enumerate() {
        match (first, is_comment) {
            (None, true) => first = Some(number),
            (Some(start), false) => {
                folds.extend(fold(start, number - 1, Some(lsp::FoldingRangeKind::Comment)));
                first = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    folds.sort_by_key(|fold| (fold.start_line, fold.end_line));
    Some(folds)
}

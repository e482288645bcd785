//! `pipe lsp`: the language server, on stdin and stdout, for as long as an editor wants it.

use clap::Args;

use super::{Outcomes, talk};
use crate::lsp::{Ended, serve};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe lsp                                    started by an editor; see docs/editors.md")]
pub(super) struct Arguments {
    /// Speak over stdin and stdout; the only way there is, named for editors that say so
    #[arg(long)]
    stdio: bool,
}

pub(super) fn run(_: &Arguments) -> Outcomes {
    match serve(std::io::stdin(), &mut std::io::stdout().lock()) {
        Ok(Ended::Orderly) => Outcomes::Done,
        // the protocol's own exit code for an editor that left without a word
        Ok(Ended::Abruptly) => Outcomes::Errors,
        Err(error) => {
            talk(&format!("pipe lsp: the editor cannot be answered: {error}"));
            Outcomes::Failed
        }
    }
}

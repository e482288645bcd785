//! `pipe completions` and `pipe man`: what shells and manuals want to know of the command line, made from its definition.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Outcomes, print, talk};
use crate::diag::render::visible;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe completions bash > ~/.local/share/bash-completion/completions/pipe
  pipe completions zsh > \"${fpath[1]}/_pipe\"
  pipe completions fish > ~/.config/fish/completions/pipe.fish
  pipe completions powershell >> $PROFILE")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pipe man | man -l -              read the manual
  pipe man --out ~/.local/share/man/man1")]
pub(super) struct Man {
    /// Write pipe.1 and a page for each command into this folder instead of printing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn completions(arguments: &Completions) -> Outcomes {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "pipe", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub(super) fn man(arguments: &Man) -> Outcomes {
    let mut command = Cli::command();
    command.build();
    let pages = pages(&command);
    let Some(out) = &arguments.out else {
        return print(&pages.into_iter().map(|(_, page)| page).collect::<Vec<_>>().join("\n"));
    };
    let written = std::fs::create_dir_all(out).and_then(|()| {
        pages.iter().try_for_each(|(name, page)| crate::store::write_whole(&out.join(name), page.as_bytes()))
    });
    match written {
        Ok(()) => {
            talk(&format!("{} pages in {}", pages.len(), visible(&out.display().to_string())));
            Outcomes::Done
        }
        Err(error) => {
            talk(&format!("pipe: {} cannot be written: {error}", visible(&out.display().to_string())));
            Outcomes::Failed
        }
    }
}

/// The page of the program, then one for each command: file name and text.
fn pages(program: &Command) -> Vec<(String, String)> {
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    let names = commands.map(|command| format!("pipe-{}", command.get_name()));
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
    let pages = std::iter::once(("pipe".to_owned(), program)).chain(names.zip(commands));
    pages.filter_map(|(name, command)| page(&name, command).map(|page| (format!("{name}.1"), page))).collect()
}

fn page(name: &str, command: &Command) -> Option<String> {
    let mut page = Vec::new();
    // writing to memory cannot fail
    clap_mangen::Man::new(command.clone()).title(name).render(&mut page).ok()?;
    Some(String::from_utf8_lossy(&page).into_owned())
}

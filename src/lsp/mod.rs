//! `pipe lsp`: what an editor asks about studies, answered from the same checks and the same catalog as the commands.
//!
//! ```text
//! bytes -> wire -> server -> desk (open documents) -> checker (another thread) -> problems -> editor
//!                         -> cursor + catalog + columns -> offers (completion, hover)
//!                         -> names (definition, references, rename), outline, print (formatting)
//! ```
//! Promises: every request is answered, known or not; a message that is none is answered and passed over; a panic is
//! answered as an error and the server goes on; nothing waits for a large table but what is said about that table.

mod assist;
mod checker;
mod columns;
mod cursor;
mod desk;
mod format;
mod grid;
mod names;
mod navigate;
mod offers;
mod outline;
mod places;
mod problems;
mod server;
mod wire;

use std::collections::VecDeque;
use std::io::{self, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, channel};

use gen_lsp_types::LspErrorCodes;

use self::server::Server;
use self::wire::{Message, Refusal};

/// How the conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As the protocol wants it: `shutdown`, then `exit`.
    Orderly,
    /// `exit` or the end of the input without `shutdown`.
    Abruptly,
}

/// Something that happens to the server.
enum Event {
    Said(Message),
    Checked(checker::Report),
    Closed,
}

/// Speaks the Language Server Protocol until the client says `exit` or closes the input.
///
/// # Errors
/// When the output cannot be written.
pub fn serve(input: impl Read + Send + 'static, output: &mut dyn Write) -> io::Result<Ended> {
    let (events, inbox) = channel();
    let reports = events.clone();
    let jobs = checker::start(move |report| {
        // a server that has ended needs no reports
        let _ = reports.send(Event::Checked(report));
    });
    std::thread::spawn(move || {
        let mut input = BufReader::new(input);
        while let Ok(Some(message)) = wire::read(&mut input) {
            if events.send(Event::Said(message)).is_err() {
                return;
            }
        }
        let _ = events.send(Event::Closed);
    });
    talk(&mut Server::new(jobs), &inbox, output)
}

fn talk(server: &mut Server, inbox: &Receiver<Event>, output: &mut dyn Write) -> io::Result<Ended> {
    let mut waiting: VecDeque<Event> = VecDeque::new();
    loop {
        if waiting.is_empty() {
            waiting.extend(inbox.recv().ok());
        }
        waiting.extend(inbox.try_iter());
        let Some(event) = waiting.pop_front() else { return Ok(Ended::Abruptly) };
        match event {
            Event::Closed => return Ok(Ended::Abruptly),
            Event::Checked(report) => server.checked(report, output)?,
            Event::Said(Message::Response) => {}
            Event::Said(Message::Malformed { id, code, why }) => {
                wire::answer(output, &id, Err(Refusal::new(code, why)))?;
            }
            Event::Said(Message::Notification { method, params }) => {
                if method == "exit" {
                    return Ok(if server.was_shut_down() { Ended::Orderly } else { Ended::Abruptly });
                }
                server.notified(&method, params, output)?;
            }
            Event::Said(Message::Request { id, method, params }) => {
                if cancelled(&waiting, &id) {
                    let why = Refusal::new(LspErrorCodes::RequestCancelled, "cancelled by the client");
                    wire::answer(output, &id, Err(why))?;
                } else {
                    server.requested(id, &method, params, output)?;
                }
            }
        }
    }
}

/// Does a message that came later call the request off?
fn cancelled(waiting: &VecDeque<Event>, id: &serde_json::Value) -> bool {
    waiting.iter().any(|event| match event {
        Event::Said(Message::Notification { method, params }) => {
            method == "$/cancelRequest" && params.get("id") == Some(id)
        }
        Event::Said(_) | Event::Checked(_) | Event::Closed => false,
    })
}

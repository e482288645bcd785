//! Bytes become messages and back: JSON-RPC 2.0 beneath `Content-Length` headers.
//!
//! Promises: whatever arrives, reading goes on at the next header; nothing is allocated because a header claims it.

use std::io::{self, BufRead, Read as _, Write};

use gen_lsp_types::ErrorCodes;
use serde::Serialize;
use serde_json::{Value, json};

/// Most bytes of one message. A study has at most 1 MiB; what an editor says about it is not much longer.
const LARGEST: u64 = 64 << 20;
/// Most bytes of a header line that are looked at together.
const LONGEST_LINE: u64 = 4096;

/// What a client said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// Wants an answer under its id.
    Request {
        /// A whole number or a text, given back as it came.
        id: Value,
        /// `textDocument/hover`
        method: String,
        /// `null` when absent.
        params: Value,
    },
    /// Wants none.
    Notification {
        /// `textDocument/didOpen`
        method: String,
        /// `null` when absent.
        params: Value,
    },
    /// Answers a request of ours. There are none that wait for one.
    Response,
    /// Was no message; what to answer, under which id (`null` if that is not known either).
    Malformed {
        /// Of the message, as far as it could be read.
        id: Value,
        /// Which kind of wrong.
        code: ErrorCodes,
        /// In words.
        why: String,
    },
}

/// Reads the next message; `None` at the end of the input.
///
/// # Errors
/// What the system says. Everything that a client can do wrong is a [`Message::Malformed`].
pub(super) fn read(input: &mut impl BufRead) -> io::Result<Option<Message>> {
    let Some(length) = content_length(input)? else { return Ok(None) };
    let mut body = input.take(length);
    if length > LARGEST {
        io::copy(&mut body, &mut io::sink())?;
        return Ok(Some(malformed(format!("a message of {length} bytes; at most {LARGEST} are read"))));
    }
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Ok(None);
    }
    Ok(Some(match serde_json::from_slice(&bytes) {
        Ok(value) => message(value),
        Err(error) => malformed(format!("no JSON: {error}")),
    }))
}

fn malformed(why: String) -> Message {
    Message::Malformed { id: Value::Null, code: ErrorCodes::ParseError, why }
}

/// Reads header lines up to the blank one; `None` at the end of the input.
///
/// What is no header is passed over. After a message of a wrong length its header may stand in the middle of a line.
fn content_length(input: &mut impl BufRead) -> io::Result<Option<u64>> {
    const NAME: &[u8] = b"content-length:";
    let mut length = None;
    loop {
        let mut line = Vec::new();
        if input.take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if let (b"\r\n" | b"\n", Some(length)) = (line.as_slice(), length) {
            return Ok(Some(length));
        }
        let lower = line.to_ascii_lowercase();
        if let Some(at) = lower.windows(NAME.len()).rposition(|part| part == NAME) {
            let value = lower.get(at + NAME.len()..).unwrap_or_default();
            length = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()).or(length);
        }
    }
}

/// A JSON value as a message.
fn message(value: Value) -> Message {
    let invalid = |id: &Value, why: &str| Message::Malformed {
        id: id.clone(),
        code: ErrorCodes::InvalidRequest,
        why: why.to_owned(),
    };
    let Value::Object(mut fields) = value else { return invalid(&Value::Null, "a message is a JSON object") };
    let id = fields.remove("id").unwrap_or(Value::Null);
    let has_id = id.is_string() || id.is_i64() || id.is_u64();
    let params = fields.remove("params").unwrap_or(Value::Null);
    match fields.remove("method") {
        Some(Value::String(method)) if has_id => Message::Request { id, method, params },
        Some(Value::String(method)) if id.is_null() => Message::Notification { method, params },
        Some(Value::String(_)) => invalid(&Value::Null, "`id` is a whole number or a text"),
        Some(_) => invalid(if has_id { &id } else { &Value::Null }, "`method` is a text"),
        None if fields.contains_key("result") || fields.contains_key("error") => Message::Response,
        None => invalid(if has_id { &id } else { &Value::Null }, "a message has a `method`"),
    }
}

/// Writes one message.
///
/// # Errors
/// What the system says.
fn write(output: &mut dyn Write, message: &Value) -> io::Result<()> {
    let text = message.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{text}", text.len())?;
    output.flush()
}

/// An answer: a result, or why there is none.
pub(super) type Answer = Result<Value, Refusal>;

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    /// Which kind of wrong, by the protocol's number.
    pub(super) code: i32,
    /// In words.
    pub(super) why: String,
}

impl Refusal {
    /// With a code and words.
    pub(super) fn new(code: impl Into<i32>, why: impl Into<String>) -> Self {
        Self { code: code.into(), why: why.into() }
    }
}

/// Answers a request.
///
/// # Errors
/// What the system says.
pub(super) fn answer(output: &mut dyn Write, id: &Value, answer: Answer) -> io::Result<()> {
    let message = match answer {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(Refusal { code, why }) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": why } })
        }
    };
    write(output, &message)
}

/// Tells the client something.
///
/// # Errors
/// What the system says.
pub(super) fn notify(output: &mut dyn Write, method: &str, params: impl Serialize) -> io::Result<()> {
    let params = serde_json::to_value(params)?;
    write(output, &json!({ "jsonrpc": "2.0", "method": method, "params": params }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn all(bytes: &[u8]) -> Vec<Message> {
        let mut input = io::BufReader::new(bytes);
        std::iter::from_fn(|| read(&mut input).unwrap()).collect()
    }

    fn framed(body: &str) -> String {
        format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }

    fn note(method: &str) -> Message {
        Message::Notification { method: method.into(), params: Value::Null }
    }

    const GOOD: &str = r#"{"jsonrpc":"2.0","method":"good"}"#;

    #[test]
    fn messages_are_requests_notifications_and_responses() {
        let text = framed(r#"{"id":1,"method":"a","params":{"x":2}}"#)
            + "Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n"
            + &framed(GOOD)
            + &framed(r#"{"id":"seven","result":null}"#);
        let wanted = [
            Message::Request { id: json!(1), method: "a".into(), params: json!({"x": 2}) },
            note("good"),
            Message::Response,
        ];
        assert_eq!(all(text.as_bytes()), wanted);
    }

    #[test]
    fn reading_goes_on_after_everything_that_is_wrong() {
        let huge = format!("Content-Length: 18446744073709551615\r\n\r\n{}", framed(GOOD));
        assert!(all(huge.as_bytes()).is_empty() || all(huge.as_bytes()).len() == 1, "the rest is its body");
        for wrong in [
            framed("{"),
            framed("[]"),
            framed("7"),
            framed(r#"{"id":{},"method":"x"}"#),
            framed(r#"{"id":1}"#),
            framed(r#"{"id":1,"method":3}"#),
            framed(&"[".repeat(10_000)),
            "Content-Length: 3\r\n\r\n{\"a\": 1}".to_owned(),
            "Content-Length: -3\r\n\r\n".to_owned(),
            "nonsense\n\r\n\n".to_owned(),
            format!("{}\n", "x".repeat(20_000)),
            "Content-Length: 5\r\n\r\n\u{e9}\u{e9}{".to_owned(),
        ] {
            let text = wrong.clone() + &framed(GOOD);
            let read = all(text.as_bytes());
            assert_eq!(read.last(), Some(&note("good")), "{wrong:.60}");
        }
    }

    #[test]
    fn an_input_that_ends_within_a_message_ends() {
        let text = framed(GOOD);
        for end in 0..text.len() {
            assert!(all(text.as_bytes().get(..end).unwrap()).is_empty());
        }
    }

    #[test]
    fn answers_carry_their_length_in_bytes() {
        let mut out = Vec::new();
        answer(&mut out, &json!("a"), Ok(json!("é"))).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(head, format!("Content-Length: {}", body.len()));
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), json!({"jsonrpc": "2.0", "id": "a", "result": "é"}));
    }
}

//! The part of Python's pickle language that `torch.save` writes for tensors, read as data.
//!
//! A pickle is a program, and its calls may be anything. Here nothing is called: a global is a name, and only the names
//! of [`KNOWN`] pass; a call of one of them makes a value that says so. Values lie in one list and refer to each other
//! by their index, so that a value that is used often costs no more, and a value that holds itself does no harm.

#![allow(clippy::wildcard_enum_match_arm, reason = "a value of any other kind is a mismatch, and is refused")]

use std::collections::BTreeMap;

use super::problem::WeightsError;

/// Names that a file of tensors has a use for.
const KNOWN: [&str; 17] = [
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "torch.BFloat16Storage",
    "torch.BoolStorage",
    "torch.ByteStorage",
    "torch.CharStorage",
    "torch.DoubleStorage",
    "torch.FloatStorage",
    "torch.HalfStorage",
    "torch.IntStorage",
    "torch.LongStorage",
    "torch.ShortStorage",
    "torch.device",
    "torch.float32",
    "torch.int64",
];
/// Values a pickle may make: a checkpoint with an optimizer has some ten thousand.
const MOST_VALUES: usize = 1 << 20;

/// Where a value lies.
pub(super) type Index = usize;

/// A value of a pickle.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `None`, and what nobody asks about.
    None,
    /// Whole numbers and truth values.
    Int(i64),
    /// `str`.
    Text(String),
    /// Tuples and lists.
    List(Vec<Index>),
    /// Dictionaries, in order.
    Dict(Vec<(Index, Index)>),
    /// One of [`KNOWN`].
    Global(&'static str),
    /// What lies outside of the pickle, by the tuple that names it.
    Persistent(Index),
    /// A call of a global with a tuple.
    Call(&'static str, Index),
}

/// Everything that a pickle makes.
#[derive(Debug)]
pub(super) struct Values {
    all: Vec<Value>,
    /// What the pickle is.
    pub(super) top: Index,
    /// Bytes it took.
    pub(super) length: usize,
}

impl Values {
    pub(super) fn get(&self, index: Index) -> &Value {
        self.all.get(index).unwrap_or(&Value::None)
    }

    /// The items of a tuple or list; none of anything else.
    pub(super) fn items(&self, index: Index) -> &[Index] {
        if let Value::List(items) = self.get(index) { items } else { &[] }
    }

    pub(super) fn text(&self, index: Index) -> Option<&str> {
        if let Value::Text(text) = self.get(index) { Some(text) } else { None }
    }

    pub(super) fn int(&self, index: Index) -> Option<i64> {
        if let Value::Int(number) = self.get(index) { Some(*number) } else { None }
    }

    /// A size or offset.
    pub(super) fn size(&self, index: Index) -> Option<usize> {
        self.int(index).and_then(|number| usize::try_from(number).ok())
    }

    pub(super) fn entries(&self, index: Index) -> Option<&[(Index, Index)]> {
        if let Value::Dict(entries) = self.get(index) { Some(entries) } else { None }
    }
}

/// Reads the pickle that `bytes` begins with.
///
/// # Errors
/// A global that is not of [`KNOWN`], named; an instruction that is not needed for tensors; a pickle cut short.
pub(super) fn read(bytes: &[u8]) -> Result<Values, WeightsError> {
    Machine { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new(), all: Vec::new() }.run()
}

fn unsound(reason: impl Into<String>) -> WeightsError {
    WeightsError::NotTorch { reason: reason.into() }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Index>,
    marks: Vec<usize>,
    memo: BTreeMap<u64, Index>,
    all: Vec<Value>,
}

type Done = Result<(), WeightsError>;

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<Values, WeightsError> {
        loop {
            let [code] = self.array()?;
            match code {
                b'.' => {
                    let top = self.pop()?;
                    return Ok(Values { all: self.all, top, length: self.at });
                }
                // PROTO, FRAME
                0x80 => self.skip(1)?,
                0x95 => self.skip(8)?,
                b'(' => self.marks.push(self.stack.len()), // MARK
                b'0' => {
                    self.pop()?; // POP
                }
                b'N' => self.push(Value::None)?,                                // NONE
                0x88 | 0x89 => self.push(Value::Int(i64::from(code == 0x88)))?, // NEWTRUE, NEWFALSE
                b'K' => self.number::<1>()?,                                    // BININT1
                b'M' => self.number::<2>()?,                                    // BININT2
                b'J' => {
                    let number = i32::from_le_bytes(self.array()?); // BININT
                    self.push(Value::Int(number.into()))?;
                }
                0x8a => self.long()?, // LONG1
                b'G' => {
                    self.take(8)?; // BINFLOAT
                    self.push(Value::None)?;
                }
                b'X' | b'T' => self.text::<4>()?, // BINUNICODE, BINSTRING
                0x8c | b'U' => self.text::<1>()?, // SHORT_BINUNICODE, SHORT_BINSTRING
                0x8d => self.text::<8>()?,        // BINUNICODE8
                b'B' => self.skip_bytes::<4>()?,  // BINBYTES
                b'C' => self.skip_bytes::<1>()?,  // SHORT_BINBYTES
                b']' | b')' => self.push(Value::List(Vec::new()))?, // EMPTY_LIST, EMPTY_TUPLE
                b'}' => self.push(Value::Dict(Vec::new()))?, // EMPTY_DICT
                b't' | b'l' => {
                    let items = self.since_mark()?; // TUPLE, LIST
                    self.push(Value::List(items))?;
                }
                0x85..=0x87 => {
                    let from = self.stack.len().checked_sub(usize::from(code - 0x84)); // TUPLE1 to TUPLE3
                    let from = from.ok_or_else(|| unsound("its stack runs empty"))?;
                    let items = self.stack.split_off(from);
                    self.push(Value::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?; // APPEND
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.since_mark()?; // APPENDS
                    self.append(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?); // SETITEM
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?; // SETITEMS
                    self.set(&items)?;
                }
                b'q' => self.remember::<1>()?, // BINPUT
                b'r' => self.remember::<4>()?, // LONG_BINPUT
                0x94 => {
                    let next = self.memo.len() as u64; // MEMOIZE
                    self.memo.insert(next, self.top()?);
                }
                b'h' => self.recall::<1>()?, // BINGET
                b'j' => self.recall::<4>()?, // LONG_BINGET
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?); // GLOBAL
                    self.global(&format!("{module}.{name}"))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?); // STACK_GLOBAL
                    let of = |index| match self.all.get(index) {
                        Some(Value::Text(text)) => text.as_str(),
                        _ => "?",
                    };
                    let name = format!("{}.{}", of(module), of(name));
                    self.global(&name)?;
                }
                b'Q' => {
                    let name = self.pop()?; // BINPERSID
                    self.push(Value::Persistent(name))?;
                }
                b'R' => self.call()?,  // REDUCE
                b'b' => self.build()?, // BUILD
                _ => return Err(unsound(format!("its instruction 0x{code:02x} makes no tensor"))),
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], WeightsError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| unsound("its pickle is cut short"))?;
        let taken = self.bytes.get(self.at..end).unwrap_or_default();
        self.at = end;
        Ok(taken)
    }

    fn skip(&mut self, count: usize) -> Done {
        self.take(count).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WeightsError> {
        let taken = self.take(N)?;
        taken.first_chunk::<N>().copied().ok_or_else(|| unsound("its pickle is cut short"))
    }

    /// `N` bytes as an unsigned number, little end first.
    fn unsigned<const N: usize>(&mut self) -> Result<u64, WeightsError> {
        Ok(self.array::<N>()?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn length<const N: usize>(&mut self) -> Result<usize, WeightsError> {
        let length = self.unsigned::<N>()?;
        usize::try_from(length).map_err(|_| unsound("its pickle is cut short"))
    }

    fn push(&mut self, value: Value) -> Done {
        if self.all.len() == MOST_VALUES {
            return Err(unsound(format!("its pickle makes more than {MOST_VALUES} values")));
        }
        self.stack.push(self.all.len());
        self.all.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Index, WeightsError> {
        self.stack.pop().ok_or_else(|| unsound("its stack runs empty"))
    }

    fn top(&self) -> Result<Index, WeightsError> {
        self.stack.last().copied().ok_or_else(|| unsound("its stack runs empty"))
    }

    fn since_mark(&mut self) -> Result<Vec<Index>, WeightsError> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            Some(_) | None => Err(unsound("its marks do not match")),
        }
    }

    fn number<const N: usize>(&mut self) -> Done {
        let number = self.unsigned::<N>()?;
        self.push(i64::try_from(number).map_or(Value::None, Value::Int))
    }

    /// A whole number of any length; one of more than eight bytes is nobody's size.
    fn long(&mut self) -> Done {
        let length = self.length::<1>()?;
        let bytes = self.take(length)?;
        let sign = if bytes.last().is_some_and(|last| *last >= 0x80) { -1 } else { 0 };
        let number = bytes.iter().rev().fold(sign, |number: i64, byte| number << 8 | i64::from(*byte));
        self.push(if length <= 8 { Value::Int(number) } else { Value::None })
    }

    fn text<const N: usize>(&mut self) -> Done {
        let length = self.length::<N>()?;
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.push(Value::Text(text))
    }

    fn skip_bytes<const N: usize>(&mut self) -> Done {
        let length = self.length::<N>()?;
        self.take(length)?;
        self.push(Value::None)
    }

    fn line(&mut self) -> Result<String, WeightsError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| unsound("its pickle is cut short"))?;
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(line)
    }

    fn remember<const N: usize>(&mut self) -> Done {
        let key = self.unsigned::<N>()?;
        self.memo.insert(key, self.top()?);
        Ok(())
    }

    fn recall<const N: usize>(&mut self) -> Done {
        let key = self.unsigned::<N>()?;
        let index = self.memo.get(&key).copied().ok_or_else(|| unsound("it recalls what it never kept"))?;
        self.stack.push(index);
        Ok(())
    }

    fn append(&mut self, items: Vec<Index>) -> Done {
        let list = self.top()?;
        match self.all.get_mut(list) {
            Some(Value::List(old)) => old.extend(items),
            _ => return Err(unsound("it appends to what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Index]) -> Done {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match self.all.get_mut(dict) {
            Some(Value::Dict(old)) if rest.is_empty() => old.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(unsound("it sets items of what is no dictionary")),
        }
        Ok(())
    }

    fn global(&mut self, name: &str) -> Done {
        match KNOWN.into_iter().find(|known| *known == name) {
            Some(known) => self.push(Value::Global(known)),
            None => Err(WeightsError::RunsCode { global: name.chars().take(120).collect() }),
        }
    }

    fn call(&mut self) -> Done {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Some(Value::Global(global)) = self.all.get(callee) else {
            return Err(unsound("it calls what is no function"));
        };
        let global = *global;
        let value = match global {
            "collections.OrderedDict" => Value::Dict(Vec::new()),
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_parameter" => Value::Call(global, arguments),
            "torch.Size" | "torch.device" => Value::None,
            _ => return Err(unsound(format!("it calls `{global}`"))),
        };
        self.push(value)
    }

    /// The attributes that a state dictionary carries (`_metadata`) say nothing of its tensors.
    fn build(&mut self) -> Done {
        self.pop()?;
        match self.all.get(self.top()?) {
            Some(Value::Dict(_)) => Ok(()),
            _ => Err(unsound("it sets attributes of what is no dictionary")),
        }
    }
}

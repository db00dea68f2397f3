//! A JSON value that knows the length of its text while single places of it change.

use std::io;

use greenroom_protocol::RawJson;
use json_patch::jsonptr::{Pointer, PointerBuf, Token};
use serde::Serialize;
use serde_json::Value;

/// A value together with the length of its text, measured once.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) value: Value,
    pub(super) len: usize,
}

impl Part {
    pub(super) fn new(value: Value) -> Self {
        let len = text_len(&value);
        Self { value, len }
    }
}

/// A place that the tree does not have, and why.
#[derive(Debug)]
pub(super) struct NoPlace(pub(super) String);

/// The value at its root, and the length of its text without white space.
#[derive(Debug)]
pub(super) struct Tree {
    root: Value,
    size: usize,
}

impl Tree {
    pub(super) fn new(root: Value) -> Self {
        let size = text_len(&root);
        Self { root, size }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn to_text(&self) -> RawJson {
        RawJson::from_value(&self.root).expect("a JSON value has string keys and finite numbers")
    }

    pub(super) fn get(&self, at: &Pointer) -> Option<&Value> {
        self.root.pointer(at.as_str())
    }

    /// Puts `part` where `at` points: an object's member is added or replaced, an array makes room for it, `-` is an
    /// array's end, and the root is replaced. Gives back what was replaced, and the place with `-` resolved.
    /// Where there is no such place, `part` comes back.
    pub(super) fn insert(&mut self, at: &Pointer, part: Part) -> Result<(PointerBuf, Option<Part>), (NoPlace, Part)> {
        let Some((above, last)) = at.split_back() else {
            return Ok((PointerBuf::new(), Some(self.swap_root(part))));
        };
        match self.root.pointer_mut(above.as_str()) {
            Some(Value::Object(members)) => {
                let comma = usize::from(!members.is_empty());
                let key = last.decoded();
                let new = part.len;
                if let Some(slot) = members.get_mut(key.as_ref()) {
                    let old = std::mem::replace(slot, part.value);
                    let old = Part::new(old);
                    self.size = self.size - old.len + new;
                    return Ok((at.to_buf(), Some(old)));
                }
                self.size += comma + text_len(&key) + 1 + new;
                members.insert(key.into_owned(), part.value);
                Ok((at.to_buf(), None))
            }
            Some(Value::Array(elements)) => {
                let Ok(Ok(index)) = last.to_index().map(|index| index.for_len_incl(elements.len())) else {
                    return Err((no_index(above, &last, elements.len(), true), part));
                };
                self.size += usize::from(!elements.is_empty()) + part.len;
                elements.insert(index, part.value);
                Ok((above.with_trailing_token(Token::from(index)), None))
            }
            Some(_) => Err((NoPlace(format!("there is neither an object nor an array at `{}`", shown(above))), part)),
            None => Err((nothing(above), part)),
        }
    }

    /// Takes out what is where `at` points; the root cannot be taken.
    pub(super) fn remove(&mut self, at: &Pointer) -> Result<Part, NoPlace> {
        let Some((above, last)) = at.split_back() else {
            return Err(NoPlace("the whole document can be replaced, not removed".into()));
        };
        match self.root.pointer_mut(above.as_str()) {
            Some(Value::Object(members)) => {
                let key = last.decoded();
                let part = Part::new(members.remove(key.as_ref()).ok_or_else(|| nothing(at))?);
                self.size -= text_len(&key) + 1 + part.len + usize::from(!members.is_empty());
                Ok(part)
            }
            Some(Value::Array(elements)) => match last.to_index().map(|index| index.for_len(elements.len())) {
                Ok(Ok(index)) => {
                    let part = Part::new(elements.remove(index));
                    self.size -= part.len + usize::from(!elements.is_empty());
                    Ok(part)
                }
                _ => Err(no_index(above, &last, elements.len(), false)),
            },
            _ => Err(nothing(at)),
        }
    }

    /// Exchanges what is where `at` points for `part`, which comes back where there is nothing.
    pub(super) fn replace(&mut self, at: &Pointer, part: Part) -> Result<Part, (NoPlace, Part)> {
        let Some(slot) = self.root.pointer_mut(at.as_str()) else {
            return Err((nothing(at), part));
        };
        let new = part.len;
        let old = Part::new(std::mem::replace(slot, part.value));
        self.size = self.size - old.len + new;
        Ok(old)
    }

    /// How many elements of an array move when something is inserted or removed at `at`.
    pub(super) fn shifted(&self, at: &Pointer) -> usize {
        let Some((above, last)) = at.split_back() else { return 0 };
        match self.get(above) {
            Some(Value::Array(elements)) => {
                last.to_index().map_or(0, |index| elements.len().saturating_sub(index.for_len_unchecked(elements.len())))
            }
            _ => 0,
        }
    }

    fn swap_root(&mut self, part: Part) -> Part {
        let old = Part { value: std::mem::replace(&mut self.root, part.value), len: self.size };
        self.size = part.len;
        old
    }
}

fn nothing(at: &Pointer) -> NoPlace {
    NoPlace(format!("there is nothing at `{}`", shown(at)))
}

fn no_index(above: &Pointer, token: &Token<'_>, len: usize, or_end: bool) -> NoPlace {
    let token: String = token.decoded().chars().take(40).collect();
    let end = if or_end { ", and `-` is its end" } else { "" };
    NoPlace(format!("the array at `{}` has {len} elements and no index `{token}`{end}", shown(above)))
}

/// A pointer as far as a message shows it.
pub(super) fn shown(at: &Pointer) -> String {
    const MOST: usize = 100;
    let mut text: String = at.as_str().chars().take(MOST).collect();
    if text.len() < at.len() {
        text.push('…');
    }
    text
}

/// How deep arrays and objects nest: 0 for a scalar.
pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The length of the JSON text of `value`.
pub(super) fn text_len<T: Serialize + ?Sized>(value: &T) -> usize {
    struct Count(usize);

    impl io::Write for Count {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0 += text.len();
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("a JSON value has string keys, and counting does not fail");
    count.0
}

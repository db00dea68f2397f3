//! Parses JSON text into a value with exact numbers (see `number.rs`).

use serde_json::{Map, Value};

use super::number;

/// Why a text cannot be a value in a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A number that is too large.
    #[error("the number `{0}` is out of range")]
    Number(String),
    /// The string at this byte has half a surrogate pair.
    #[error("the string at byte {0} is not valid Unicode")]
    String(usize),
    /// From this byte on, the text is not JSON.
    #[error("there is no valid JSON at byte {0}")]
    Syntax(usize),
}

/// Parses one value. The stack grows with its depth, which the caller has limited.
pub(super) fn parse(text: &str) -> Result<Value, Unreadable> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value()?;
    reader.space();
    if reader.at == text.len() { Ok(value) } else { Err(Unreadable::Syntax(reader.at)) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Value, Unreadable> {
        match self.next_byte() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => {
                let text = self.word();
                number::parse(text)
                    .map(Value::Number)
                    .ok_or_else(|| Unreadable::Number(text.chars().take(40).collect()))
            }
            _ => {
                let start = self.at;
                match self.word() {
                    "null" => Ok(Value::Null),
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    _ => Err(Unreadable::Syntax(start)),
                }
            }
        }
    }

    fn object(&mut self) -> Result<Value, Unreadable> {
        let mut members = Map::new();
        self.expect(b'{')?;
        if !self.takes(b'}') {
            loop {
                self.space();
                let key = self.string()?;
                self.expect(b':')?;
                members.insert(key, self.value()?);
                if self.takes(b'}') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        Ok(Value::Object(members))
    }

    fn array(&mut self) -> Result<Value, Unreadable> {
        let mut elements = Vec::new();
        self.expect(b'[')?;
        if !self.takes(b']') {
            loop {
                elements.push(self.value()?);
                if self.takes(b']') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        Ok(Value::Array(elements))
    }

    fn string(&mut self) -> Result<String, Unreadable> {
        let start = self.at;
        self.expect(b'"')?;
        let bytes = self.text.as_bytes();
        let mut plain = true;
        loop {
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    self.at += 2;
                }
                Some(_) => self.at += 1,
                None => return Err(Unreadable::Syntax(start)),
            }
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at).ok_or(Unreadable::Syntax(start))?;
        if plain {
            Ok(quoted[1..quoted.len() - 1].to_owned())
        } else {
            serde_json::from_str(quoted).map_err(|_| Unreadable::String(start))
        }
    }

    /// The text up to the end of a number or keyword.
    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let len = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
            .unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn space(&mut self) {
        while matches!(self.text.as_bytes().get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Skips white space and returns the next byte without consuming it.
    fn next_byte(&mut self) -> Option<u8> {
        self.space();
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let there = self.next_byte() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unreadable> {
        if self.takes(byte) { Ok(()) } else { Err(Unreadable::Syntax(self.at)) }
    }
}

//! A strict JSON parser that shares no code with the server's: a number beyond a double, half of a
//! surrogate pair and a duplicate key are errors.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// A value. Numbers are doubles, as in JavaScript.
#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

/// Ignores the last digit of numbers, because serde_json rounds some to a neighbour of the nearest
/// double.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => {
                a == b || ((a - b) / a).abs() < 1e-14 || (a - b).abs() < f64::MIN_POSITIVE
            }
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => a == b,
            _ => false,
        }
    }
}

/// Parses `text` as one value.
pub fn parse(text: &str) -> Option<Value> {
    let mut parser = Parser { rest: text.chars().peekable() };
    let value = parser.value()?;
    parser.space();
    parser.rest.next().is_none().then_some(value)
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Parser<'_> {
    fn space(&mut self) {
        while self.rest.next_if(|c| matches!(c, ' ' | '\t' | '\r' | '\n')).is_some() {}
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.space();
        self.rest.next_if_eq(&wanted).is_some()
    }

    fn value(&mut self) -> Option<Value> {
        self.space();
        match self.rest.peek()? {
            '{' => self.object(),
            '[' => self.list(),
            '"' => self.text().map(Value::Text),
            'n' => self.word("null", Value::Null),
            't' => self.word("true", Value::Bool(true)),
            'f' => self.word("false", Value::Bool(false)),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        word.chars().all(|c| self.rest.next_if_eq(&c).is_some()).then_some(value)
    }

    fn object(&mut self) -> Option<Value> {
        self.rest.next();
        let mut members = BTreeMap::new();
        if self.takes('}') {
            return Some(Value::Object(members));
        }
        loop {
            self.space();
            let key = self.text()?;
            if !self.takes(':') {
                return None;
            }
            let value = self.value()?;
            if members.insert(key, value).is_some() {
                return None;
            }
            if self.takes('}') {
                return Some(Value::Object(members));
            }
            if !self.takes(',') {
                return None;
            }
        }
    }

    fn list(&mut self) -> Option<Value> {
        self.rest.next();
        let mut items = Vec::new();
        if self.takes(']') {
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value()?);
            if self.takes(']') {
                return Some(Value::List(items));
            }
            if !self.takes(',') {
                return None;
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        self.rest.next_if_eq(&'"')?;
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                '\0'..'\u{20}' => return None,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.rest.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            c @ ('"' | '\\' | '/') => c,
            'u' => {
                let first = self.hex()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return char::from_u32(first);
                }
                self.rest.next_if_eq(&'\\')?;
                self.rest.next_if_eq(&'u')?;
                let second = self.hex()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                return char::from_u32(0x10000 + ((first - 0xd800) << 10) + second);
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |sum, _| Some(sum << 4 | self.rest.next()?.to_digit(16)?))
    }

    fn digits(&mut self, out: &mut String) -> Option<()> {
        let before = out.len();
        while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
            out.push(digit);
        }
        (out.len() > before).then_some(())
    }

    fn number(&mut self) -> Option<Value> {
        let mut text = String::new();
        text.extend(self.rest.next_if_eq(&'-'));
        if let Some(zero) = self.rest.next_if_eq(&'0') {
            text.push(zero);
        } else {
            self.digits(&mut text)?;
        }
        if let Some(dot) = self.rest.next_if_eq(&'.') {
            text.push(dot);
            self.digits(&mut text)?;
        }
        if let Some(e) = self.rest.next_if(|c| matches!(c, 'e' | 'E')) {
            text.push(e);
            text.extend(self.rest.next_if(|c| matches!(c, '+' | '-')));
            self.digits(&mut text)?;
        }
        text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Number)
    }
}

//! JSON text to MessagePack, for any valid text.
//!
//! A parser into Rust values would not do: JSON can spell what they cannot hold, and another
//! client's body must not make encoding fail. A number beyond the range of floats becomes the
//! nearest float; half a surrogate pair becomes U+FFFD.

use rmp::encode::{write_bool, write_f64, write_nil, write_sint, write_str, write_uint};

use crate::text::unescape;

/// Appends the MessagePack of `json`, which must be one valid JSON value.
pub fn from_json(json: &str, out: &mut Vec<u8>) {
    let mut packer = Packer { json, at: 0, out, open: Vec::new() };
    packer.run();
}

/// An array or map whose end is not reached.
struct Open {
    /// Where its one-byte header stands in the output.
    header: usize,
    /// Values so far; in a map, keys count too.
    items: usize,
    is_map: bool,
}

struct Packer<'a> {
    json: &'a str,
    at: usize,
    out: &'a mut Vec<u8>,
    /// A stack of our own: the text may nest deeper than the thread's stack bears.
    open: Vec<Open>,
}

const VEC: &str = "a Vec takes all bytes";

impl Packer<'_> {
    fn run(&mut self) {
        while let Some(&byte) = self.json.as_bytes().get(self.at) {
            match byte {
                b'{' | b'[' => {
                    self.count();
                    self.open.push(Open { header: self.out.len(), items: 0, is_map: byte == b'{' });
                    self.out.push(0);
                    self.at += 1;
                }
                b'}' | b']' => {
                    if let Some(open) = self.open.pop() {
                        self.close(&open);
                    }
                    self.at += 1;
                }
                b'"' => self.string(),
                b'-' | b'0'..=b'9' => self.number(),
                b'n' => {
                    self.count();
                    self.at += "null".len();
                    write_nil(self.out).expect(VEC);
                }
                b't' => {
                    self.count();
                    self.at += "true".len();
                    write_bool(self.out, true).expect(VEC);
                }
                b'f' => {
                    self.count();
                    self.at += "false".len();
                    write_bool(self.out, false).expect(VEC);
                }
                // White space, colons and commas.
                _ => self.at += 1,
            }
        }
    }

    fn count(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.items += 1;
        }
    }

    /// Writes the header, now that the length is known; a long one moves the content up.
    fn close(&mut self, open: &Open) {
        let len = if open.is_map { open.items / 2 } else { open.items };
        let (fix, wide16, wide32) =
            if open.is_map { (0x80, 0xde, 0xdf) } else { (0x90, 0xdc, 0xdd) };
        let header = open.header..open.header + 1;
        if len < 16 {
            self.out[open.header] = fix | len as u8;
        } else if let Ok(len) = u16::try_from(len) {
            let [a, b] = len.to_be_bytes();
            self.out.splice(header, [wide16, a, b]);
        } else {
            let len = u32::try_from(len).expect("a message has far fewer than 2^32 bytes");
            let [a, b, c, d] = len.to_be_bytes();
            self.out.splice(header, [wide32, a, b, c, d]);
        }
    }

    fn number(&mut self) {
        self.count();
        let rest = &self.json[self.at..];
        let len = rest
            .bytes()
            .take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        let text = &rest[..len];
        self.at += len;
        if let Ok(n) = text.parse::<u64>() {
            write_uint(self.out, n).expect(VEC);
        } else if let Ok(n) = text.parse::<i64>()
            && n != 0
        {
            write_sint(self.out, n).expect(VEC);
        } else {
            // `-0` gets here too: as an integer it would lose its sign.
            let float: f64 = text.parse().expect("Rust reads every JSON number as a float");
            write_f64(self.out, float.clamp(f64::MIN, f64::MAX)).expect(VEC);
        }
    }

    fn string(&mut self) {
        self.count();
        let start = self.at + 1;
        let bytes = self.json.as_bytes();
        let mut end = start;
        let mut plain = true;
        while let Some(&byte) = bytes.get(end) {
            match byte {
                b'"' => break,
                b'\\' => {
                    plain = false;
                    end += 2;
                }
                _ => end += 1,
            }
        }
        self.at = end + 1;
        let inside = &self.json[start..end];
        if plain {
            write_str(self.out, inside).expect(VEC);
        } else {
            write_str(self.out, &unescape(inside)).expect(VEC);
        }
    }
}

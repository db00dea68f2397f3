//! MessagePack to JSON text.
//!
//! Hostile input is bounded by its own size: nothing is allocated from a length it claims, nesting
//! has a limit, and a byte of input becomes at most about seven of text.

use rmp::Marker;

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPack {
    /// The input ends within a value.
    #[error("the message ends too early")]
    Short,
    /// There is more after the value.
    #[error("{0} bytes follow the message: a frame holds exactly one")]
    Trailing(usize),
    /// The arrays and maps nest too deep.
    #[error("a message nests at most {0} levels deep")]
    TooDeep(usize),
    /// A type that JSON lacks.
    #[error(
        "MessagePack's `{0}` has no counterpart in JSON: send nil, booleans, numbers, strings, arrays or maps"
    )]
    Type(&'static str),
    /// A float that JSON cannot write.
    #[error("NaN and infinity are no JSON numbers")]
    NotFinite,
    /// A map's key that is no string.
    #[error("the keys of maps are strings")]
    Key,
    /// A string with other bytes.
    #[error("a string is not UTF-8")]
    Utf8,
}

impl BadPack {
    /// A stable word for programs, where the message is whole.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooDeep(_) => "too_deep",
            Self::NotFinite => "number_out_of_range",
            Self::Utf8 => "invalid_string",
            Self::Short | Self::Trailing(_) | Self::Type(_) | Self::Key => "not_json",
        }
    }
}

/// Reads one value, and nothing after it, that nests at most `max_depth` deep.
pub fn to_json(bytes: &[u8], max_depth: usize) -> Result<String, BadPack> {
    let mut unpacker =
        Unpacker { rest: bytes, out: Vec::with_capacity(bytes.len() + bytes.len() / 4), max_depth };
    unpacker.value(0)?;
    match unpacker.rest.len() {
        0 => {
            Ok(String::from_utf8(unpacker.out)
                .expect("only checked strings and ASCII were written"))
        }
        more => Err(BadPack::Trailing(more)),
    }
}

struct Unpacker<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
    max_depth: usize,
}

impl<'a> Unpacker<'a> {
    /// Recurses at most `max_depth` times.
    fn value(&mut self, depth: usize) -> Result<(), BadPack> {
        match self.marker()? {
            Marker::Null => self.out.extend_from_slice(b"null"),
            Marker::True => self.out.extend_from_slice(b"true"),
            Marker::False => self.out.extend_from_slice(b"false"),
            Marker::FixPos(n) => self.write(&n),
            Marker::FixNeg(n) => self.write(&n),
            Marker::U8 => self.integer(u8::from_be_bytes)?,
            Marker::U16 => self.integer(u16::from_be_bytes)?,
            Marker::U32 => self.integer(u32::from_be_bytes)?,
            Marker::U64 => self.integer(u64::from_be_bytes)?,
            Marker::I8 => self.integer(i8::from_be_bytes)?,
            Marker::I16 => self.integer(i16::from_be_bytes)?,
            Marker::I32 => self.integer(i32::from_be_bytes)?,
            Marker::I64 => self.integer(i64::from_be_bytes)?,
            Marker::F32 => {
                let float = f32::from_be_bytes(self.array()?);
                self.float(float.into())?;
            }
            Marker::F64 => {
                let float = f64::from_be_bytes(self.array()?);
                self.float(float)?;
            }
            marker @ (Marker::FixArray(_) | Marker::Array16 | Marker::Array32) => {
                let len = self.len(marker)?;
                self.items(len, depth)?;
            }
            marker @ (Marker::FixMap(_) | Marker::Map16 | Marker::Map32) => {
                let len = self.len(marker)?;
                self.members(len, depth)?;
            }
            marker => {
                let text = self.string(marker)?;
                self.write(text);
            }
        }
        Ok(())
    }

    fn items(&mut self, len: u32, depth: usize) -> Result<(), BadPack> {
        let depth = self.deeper(depth)?;
        self.out.push(b'[');
        for i in 0..len {
            if i > 0 {
                self.out.push(b',');
            }
            self.value(depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn members(&mut self, len: u32, depth: usize) -> Result<(), BadPack> {
        let depth = self.deeper(depth)?;
        self.out.push(b'{');
        for i in 0..len {
            if i > 0 {
                self.out.push(b',');
            }
            let marker = self.marker()?;
            if !matches!(marker, Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32) {
                return Err(BadPack::Key);
            }
            let key = self.string(marker)?;
            self.write(key);
            self.out.push(b':');
            self.value(depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Result<usize, BadPack> {
        if depth < self.max_depth { Ok(depth + 1) } else { Err(BadPack::TooDeep(self.max_depth)) }
    }

    fn string(&mut self, marker: Marker) -> Result<&'a str, BadPack> {
        let len = self.len(marker)?;
        let (bytes, rest) = self.rest.split_at_checked(len as usize).ok_or(BadPack::Short)?;
        self.rest = rest;
        std::str::from_utf8(bytes).map_err(|_| BadPack::Utf8)
    }

    /// How many bytes, items or members follow; refuses what has no counterpart in JSON.
    fn len(&mut self, marker: Marker) -> Result<u32, BadPack> {
        match marker {
            Marker::FixStr(len) | Marker::FixArray(len) | Marker::FixMap(len) => Ok(len.into()),
            Marker::Str8 => Ok(u8::from_be_bytes(self.array()?).into()),
            Marker::Str16 | Marker::Array16 | Marker::Map16 => {
                Ok(u16::from_be_bytes(self.array()?).into())
            }
            Marker::Str32 | Marker::Array32 | Marker::Map32 => {
                Ok(u32::from_be_bytes(self.array()?))
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => Err(BadPack::Type("bin")),
            Marker::Reserved => Err(BadPack::Type("0xc1")),
            _ => Err(BadPack::Type("ext")),
        }
    }

    fn integer<const N: usize, T: serde::Serialize>(
        &mut self,
        read: fn([u8; N]) -> T,
    ) -> Result<(), BadPack> {
        let value = read(self.array()?);
        self.write(&value);
        Ok(())
    }

    fn float(&mut self, float: f64) -> Result<(), BadPack> {
        if !float.is_finite() {
            return Err(BadPack::NotFinite);
        }
        self.write(&float);
        Ok(())
    }

    fn write<T: serde::Serialize + ?Sized>(&mut self, scalar: &T) {
        serde_json::to_writer(&mut self.out, scalar)
            .expect("finite numbers and strings are JSON, and a Vec takes all bytes");
    }

    fn marker(&mut self) -> Result<Marker, BadPack> {
        Ok(Marker::from_u8(u8::from_be_bytes(self.array()?)))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadPack> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(BadPack::Short)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

//! Frames: what one message on the wire between two nodes looks like.
//!
//! ```text
//! magic u8 | proto u8 | kind u8 | from u64 | to u64 | epoch u32 | heard u32
//!          | seq u64 | ack u64 | credit u32 | items
//! item: varint (length << 2 | part) | kind u8 | body
//! ```
//!
//! Numbers are little-endian; the varint is LEB128 in its shortest form. `part` says whether a
//! piece is a whole item (0) or the first (1), a middle (2) or the last (3) part of one that goes
//! on over several frames; all parts of an item have its kind.
//!
//! | kind | `epoch` | `heard` | `seq` | `ack` | `credit` | items |
//! |---|---|---|---|---|---|---|
//! | data (0) | ≥ 1 | ≥ 1 | ≥ 1 with items, 0 without | yes | yes | any |
//! | hello (1) | ≥ 1 | 0 | 0 | 0 | yes | none |
//! | welcome (2) | ≥ 1 | ≥ 1 | 0 | 0 | yes | none |
//! | nack (3) | ≥ 1 | ≥ 1 | 0 | yes | yes | none |
//! | bye (4) | ≥ 1 | ≥ 1 | 0 | 0 | 0 | none |
//!
//! The decoder is strict: whatever differs from this is an error, so that a mistake shows where it
//! is made. It allocates nothing, and pieces are slices of the message. Kinds of items are not its
//! business; their reader skips those that it does not know.

use bytes::{BufMut, Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// A node's name: a random number that each process draws when it starts, so a restarted node is
/// another node.
pub type NodeId = u64;

/// First byte of every message between nodes.
pub const MAGIC: u8 = 0xd7;
/// The newest version of the format that this program speaks, and the one it writes.
pub const PROTO: u8 = 1;
/// Bytes before the items.
pub const HEADER: usize = 47;
/// Bytes of the largest frame that is accepted. NATS delivers messages of up to 1 MiB.
pub const MAX_FRAME: usize = 1_048_576 - 1;
/// Bytes of the largest body of an item, over all its parts.
pub const MAX_ITEM: usize = 16 * 1_048_576;
/// Bytes that a piece has besides its body, at most.
pub const PIECE_OVERHEAD: usize = 6;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Items, an acknowledgement, or both.
    Data = 0,
    /// "I have no pair with you: this is my epoch."
    Hello = 1,
    /// "I have your hello: this is my epoch for it."
    Welcome = 2,
    /// "A frame is missing: go back to the one after `ack`."
    Nack = 3,
    /// "I am not in this pair, and never will be again."
    Bye = 4,
}

impl Kind {
    fn read(kind: u8) -> Option<Self> {
        [Self::Data, Self::Hello, Self::Welcome, Self::Nack, Self::Bye]
            .get(usize::from(kind))
            .copied()
    }
}

/// Which part of an item a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole = 0,
    /// The beginning; more follows.
    First = 1,
    /// More follows.
    Middle = 2,
    /// The end.
    Last = 3,
}

impl Part {
    const ALL: [Self; 4] = [Self::Whole, Self::First, Self::Middle, Self::Last];
}

/// What one node sends another: its kind, and a body that is opaque here, of up to [`MAX_ITEM`]
/// bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub kind: u8,
    pub body: Bytes,
}

/// An item, or the part of one, that is in one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub part: Part,
    pub kind: u8,
    pub body: Bytes,
}

/// The fields of a frame before its items. The module's head says what each kind of frame has in
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub from: NodeId,
    pub to: NodeId,
    /// The sender's epoch.
    pub epoch: u32,
    /// The receiver's epoch, as far as the sender knows it.
    pub heard: u32,
    /// The frame's number within its epoch, from 1; 0 if it has no items.
    pub seq: u64,
    /// All frames up to this one have been taken.
    pub ack: u64,
    /// How far the bytes of the receiver's numbered frames may go in this epoch, modulo 2³².
    pub credit: u32,
}

/// A frame that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub header: Header,
    pieces: Bytes,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {0} bytes: it needs at least {HEADER}")]
    Short(usize),
    #[error("a frame of {0} bytes: at most {MAX_FRAME} are allowed")]
    Long(usize),
    #[error("not a message between nodes: it begins with `{0:#04x}` instead of `{MAGIC:#04x}`")]
    Magic(u8),
    #[error("version `{0}` of the format between nodes: this node speaks 1 to {1}")]
    Proto(u8, u8),
    #[error("unknown kind of frame `{0}`")]
    Kind(u8),
    #[error("`{0}` of a {1:?} frame has a value that it cannot have")]
    Field(&'static str, Kind),
    #[error("a {0:?} frame with items")]
    Items(Kind),
    #[error("the item at byte {0} is cut off or has a malformed length")]
    Item(usize),
}

impl Frame {
    /// Reads one message, of which the pieces are slices.
    pub fn decode(message: Bytes) -> Result<Self, FrameError> {
        Self::decode_up_to(PROTO, message)
    }

    /// The same on a node that speaks another version.
    pub fn decode_up_to(newest: u8, message: Bytes) -> Result<Self, FrameError> {
        let header = Header::decode(&message, newest)?;
        let mut at = HEADER;
        while at < message.len() {
            let (_, _, body) = piece(&message, at).ok_or(FrameError::Item(at))?;
            at = body.end;
        }
        let mut pieces = message;
        bytes::Buf::advance(&mut pieces, HEADER);
        Ok(Self { header, pieces })
    }

    /// The bytes of the whole message.
    pub fn len(&self) -> usize {
        HEADER + self.pieces.len()
    }

    /// Whether it has no items.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Its items and parts of items, in order.
    pub fn pieces(&self) -> Pieces {
        Pieces { rest: self.pieces.clone() }
    }
}

impl Header {
    /// Reads the fields, and checks those that tell where the items are allowed.
    fn decode(message: &[u8], newest: u8) -> Result<Self, FrameError> {
        let fields = preamble(message, newest)?;
        let kind = Kind::read(message[2]).ok_or(FrameError::Kind(message[2]))?;
        let Some((fields, items)) = fields.split_at_checked(HEADER - 3) else {
            return Err(FrameError::Short(message.len()));
        };
        let mut fields = Fields(fields);
        let header = Self {
            kind,
            from: fields.u64(),
            to: fields.u64(),
            epoch: fields.u32(),
            heard: fields.u32(),
            seq: fields.u64(),
            ack: fields.u64(),
            credit: fields.u32(),
        };
        header.check(!items.is_empty())?;
        Ok(header)
    }

    fn check(&self, items: bool) -> Result<(), FrameError> {
        let kind = self.kind;
        if items && kind != Kind::Data {
            return Err(FrameError::Items(kind));
        }
        let acks = matches!(kind, Kind::Data | Kind::Nack);
        let wrong = if self.epoch == 0 {
            "epoch"
        } else if (self.heard == 0) != (kind == Kind::Hello) {
            "heard"
        } else if (self.seq > 0) != items {
            "seq"
        } else if self.ack > 0 && !acks {
            "ack"
        } else if self.credit > 0 && kind == Kind::Bye {
            "credit"
        } else {
            return Ok(());
        };
        Err(FrameError::Field(wrong, kind))
    }

    /// The message of a frame without items.
    pub fn encode(&self) -> Bytes {
        Writer::new(HEADER).finish(self)
    }
}

/// Checks what every message between nodes begins with, and returns what comes after it: 3 bytes,
/// the last of which is the kind. `newest` is the newest version of the format that is understood.
pub(super) fn preamble(message: &[u8], newest: u8) -> Result<&[u8], FrameError> {
    if message.len() > MAX_FRAME {
        return Err(FrameError::Long(message.len()));
    }
    match message {
        [magic, ..] if *magic != MAGIC => Err(FrameError::Magic(*magic)),
        [_, proto, ..] if *proto == 0 || *proto > newest => Err(FrameError::Proto(*proto, newest)),
        [_, _, _, rest @ ..] => Ok(rest),
        _ => Err(FrameError::Short(message.len())),
    }
}

/// A message, a frame or a beat, in this version of the format. So far versions differ in nothing but
/// their number: a version that changes more must be written by its own encoder.
pub fn in_version(version: u8, message: Bytes) -> Bytes {
    if message.get(1) == Some(&version) {
        return message;
    }
    let mut bytes = message.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    if let Some(byte) = bytes.get_mut(1) {
        *byte = version;
    }
    bytes.freeze()
}

/// Reads numbers from fields whose length has been checked; what is missing is 0.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let Some((bytes, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *bytes
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.bytes())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
}

/// The piece that begins at `at`: which part of an item, its kind, and where its body is.
fn piece(message: &[u8], at: usize) -> Option<(Part, u8, std::ops::Range<usize>)> {
    let mut number = 0u32;
    let mut next = at;
    for shift in (0..).step_by(7).take(PIECE_OVERHEAD - 1) {
        let byte = *message.get(next)?;
        next += 1;
        let bits = u32::from(byte & 0x7f);
        // Bits that do not fit would be dropped.
        if (bits << shift) >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            // The shortest form ends with a digit, unless it is a single zero.
            if byte == 0 && shift > 0 {
                return None;
            }
            let part = Part::ALL[(number & 3) as usize];
            let kind = *message.get(next)?;
            let body = next + 1..(next + 1).checked_add(usize::try_from(number >> 2).ok()?)?;
            return (body.end <= message.len()).then_some((part, kind, body));
        }
    }
    None
}

/// Iterator over the pieces of a frame.
#[derive(Debug, Clone)]
pub struct Pieces {
    rest: Bytes,
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        // Checked when the frame was decoded.
        let (part, kind, body) = piece(&self.rest, 0)?;
        let mut taken = self.rest.split_to(body.end);
        Some(Piece { part, kind, body: taken.split_off(body.start) })
    }
}

/// Writes one frame: first the items, then the header in front of them.
#[derive(Debug)]
pub struct Writer(BytesMut);

impl Writer {
    /// Begins a frame; `capacity` is how many bytes it is likely to have.
    pub fn new(capacity: usize) -> Self {
        let mut bytes = BytesMut::with_capacity(capacity.max(HEADER));
        bytes.put_bytes(0, HEADER);
        Self(bytes)
    }

    /// Bytes so far, with the header.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no item has been added yet.
    pub fn is_empty(&self) -> bool {
        self.len() == HEADER
    }

    /// Adds an item, or a part of one: at most [`PIECE_OVERHEAD`] bytes and its body.
    ///
    /// # Panics
    ///
    /// If the body has more than [`MAX_ITEM`] bytes.
    pub fn push(&mut self, part: Part, kind: u8, body: &[u8]) {
        assert!(body.len() <= MAX_ITEM, "an item of {} bytes", body.len());
        let length = u32::try_from(body.len()).expect("16 MiB fit");
        let mut number = length << 2 | part as u32;
        while number >= 0x80 {
            self.0.put_u8(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.put_u8(number as u8);
        self.0.put_u8(kind);
        self.0.put_slice(body);
    }

    /// The finished message.
    pub fn finish(mut self, header: &Header) -> Bytes {
        debug_assert_eq!(header.check(!self.is_empty()), Ok(()), "{header:?}");
        let mut fields = &mut self.0[..HEADER];
        fields.put_slice(&[MAGIC, PROTO, header.kind as u8]);
        fields.put_u64_le(header.from);
        fields.put_u64_le(header.to);
        fields.put_u32_le(header.epoch);
        fields.put_u32_le(header.heard);
        fields.put_u64_le(header.seq);
        fields.put_u64_le(header.ack);
        fields.put_u32_le(header.credit);
        self.0.freeze()
    }
}

//! Requests that cannot become JSON: which part is to blame, and what to answer to.

use rmp::Marker;

use super::unpack::{BadPack, to_json};
use crate::codec::Malformed;
use crate::codec::envelope::id_of;
use crate::limits::MAX_DEPTH;
use crate::{ErrorCode, RequestId, WireError};

/// Says what is wrong with `bytes`, which could not be transcoded because of `fault`.
pub fn explain(bytes: &[u8], fault: &BadPack) -> Malformed {
    let mut outline = Outline::default();
    outline.read(bytes);
    let id = outline.id();
    let mut rest = bytes;
    if value(&mut rest).is_none() || !rest.is_empty() {
        // It is not one value of MessagePack; what was read before that may say what to answer to.
        return Malformed { id, ..Malformed::unparsable(fault.to_string()) };
    }
    let error = if outline.params.is_some_and(|params| !is_json(params)) && !outline.elsewhere {
        WireError::new(ErrorCode::InvalidParams, format!("params: {fault}")).reason(fault.reason())
    } else {
        WireError::new(ErrorCode::InvalidRequest, fault.to_string())
    };
    Malformed { id, error }
}

/// Whether a member of a request, or its name, has a counterpart in JSON.
fn is_json(value: &[u8]) -> bool {
    to_json(value, MAX_DEPTH - 1).is_ok()
}

/// The members of the outermost map, each as it is.
#[derive(Default)]
struct Outline<'a> {
    id: Option<&'a [u8]>,
    params: Option<&'a [u8]>,
    /// The name or the value of another member is no JSON.
    elsewhere: bool,
    /// `id` or `params` came twice.
    twice: bool,
}

impl<'a> Outline<'a> {
    /// Reads a map as far as the bytes allow.
    fn read(&mut self, bytes: &'a [u8]) -> Option<()> {
        let (marker, mut rest) = bytes.split_first()?;
        let members = match Marker::from_u8(*marker) {
            Marker::FixMap(len) => u32::from(len),
            Marker::Map16 => u16::from_be_bytes(take(&mut rest)?).into(),
            Marker::Map32 => u32::from_be_bytes(take(&mut rest)?),
            _ => return None,
        };
        for _ in 0..members {
            let key = value(&mut rest)?;
            let value = value(&mut rest)?;
            let name = to_json(key, 0);
            let slot = match name.as_deref() {
                Ok(r#""id""#) => &mut self.id,
                Ok(r#""params""#) => &mut self.params,
                _ => {
                    self.elsewhere = self.elsewhere || !is_json(key) || !is_json(value);
                    continue;
                }
            };
            self.twice |= slot.replace(value).is_some();
        }
        Some(())
    }

    fn id(&self) -> Option<RequestId> {
        let text = to_json(self.id?, 0).ok()?;
        if self.twice { None } else { id_of(&text) }
    }
}

/// Takes one value off the front; none where it is not whole. There is no recursion, and nothing is
/// built.
fn value<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let start = *rest;
    let mut open: u64 = 1;
    while open > 0 {
        open -= 1;
        let [marker] = take(rest)?;
        let bytes: u64 = match Marker::from_u8(marker) {
            Marker::Null | Marker::True | Marker::False | Marker::FixPos(_) | Marker::FixNeg(_) => {
                0
            }
            Marker::Reserved => return None,
            Marker::U8 | Marker::I8 => 1,
            Marker::U16 | Marker::I16 => 2,
            Marker::U32 | Marker::I32 | Marker::F32 => 4,
            Marker::U64 | Marker::I64 | Marker::F64 => 8,
            Marker::FixStr(len) => len.into(),
            Marker::Str8 | Marker::Bin8 => u8::from_be_bytes(take(rest)?).into(),
            Marker::Str16 | Marker::Bin16 => u16::from_be_bytes(take(rest)?).into(),
            Marker::Str32 | Marker::Bin32 => u32::from_be_bytes(take(rest)?).into(),
            // The type comes before the data.
            Marker::FixExt1 => 2,
            Marker::FixExt2 => 3,
            Marker::FixExt4 => 5,
            Marker::FixExt8 => 9,
            Marker::FixExt16 => 17,
            Marker::Ext8 => 1 + u64::from(u8::from_be_bytes(take(rest)?)),
            Marker::Ext16 => 1 + u64::from(u16::from_be_bytes(take(rest)?)),
            Marker::Ext32 => 1 + u64::from(u32::from_be_bytes(take(rest)?)),
            container => {
                open += match container {
                    Marker::FixArray(len) => len.into(),
                    Marker::FixMap(len) => 2 * u64::from(len),
                    Marker::Array16 => u16::from_be_bytes(take(rest)?).into(),
                    Marker::Array32 => u32::from_be_bytes(take(rest)?).into(),
                    Marker::Map16 => 2 * u64::from(u16::from_be_bytes(take(rest)?)),
                    _ => 2 * u64::from(u32::from_be_bytes(take(rest)?)),
                };
                0
            }
        };
        *rest = rest.get(usize::try_from(bytes).ok()?..)?;
    }
    Some(&start[..start.len() - rest.len()])
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*bytes)
}

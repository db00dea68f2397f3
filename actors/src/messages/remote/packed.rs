//! A head as JSON, and the bytes behind it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The size of the head's length.
const LENGTH: usize = 4;

/// An item that another node should not have sent.
#[derive(Debug, thiserror::Error)]
pub enum BadItem {
    /// It ends too early.
    #[error("an item of {found} bytes ends before its {wanted} bytes of {what}")]
    Short { what: &'static str, found: usize, wanted: usize },
    /// Its head is not what the kind of item has.
    #[error("an item's head cannot be read: {0}")]
    Head(#[source] serde_json::Error),
}

/// The bytes behind a head, which are taken in the order in which they were put there.
pub(super) struct Blobs(Bytes);

impl Blobs {
    pub(super) fn take(&mut self, length: u32) -> Result<Bytes, BadItem> {
        let wanted = length as usize;
        if self.0.len() < wanted {
            return Err(BadItem::Short { what: "data", found: self.0.len(), wanted });
        }
        Ok(self.0.split_to(wanted))
    }

    pub(super) fn take_if(&mut self, length: Option<u32>) -> Result<Option<Bytes>, BadItem> {
        length.map(|length| self.take(length)).transpose()
    }
}

/// Collects what goes behind a head.
#[derive(Default)]
pub(super) struct Collected(Vec<Bytes>);

impl Collected {
    /// Adds bytes and returns their length, for the head.
    pub(super) fn add(&mut self, bytes: Bytes) -> u32 {
        let length = bytes.len();
        self.0.push(bytes);
        u32::try_from(length).unwrap_or(u32::MAX)
    }

    pub(super) fn add_if(&mut self, bytes: Option<Bytes>) -> Option<u32> {
        bytes.map(|bytes| self.add(bytes))
    }
}

/// An item's body.
pub(super) fn pack(head: &impl Serialize, behind: &Collected) -> Bytes {
    let data = behind.0.iter().map(Bytes::len).sum::<usize>();
    let mut out = BytesMut::with_capacity(LENGTH + 256 + data).writer();
    out.get_mut().put_u32_le(0);
    serde_json::to_writer(&mut out, head).expect("heads are strings, numbers and JSON");
    let mut out = out.into_inner();
    // An item is far smaller than 4 GiB.
    let head = (out.len() - LENGTH) as u32;
    out[..LENGTH].copy_from_slice(&head.to_le_bytes());
    for bytes in &behind.0 {
        out.put_slice(bytes);
    }
    out.freeze()
}

/// The head of an item's body, and what is behind it.
pub(super) fn unpack<T: DeserializeOwned>(item: &Bytes) -> Result<(T, Blobs), BadItem> {
    let mut rest = item.clone();
    let short = |what, found, wanted| BadItem::Short { what, found, wanted };
    if rest.len() < LENGTH {
        return Err(short("length", rest.len(), LENGTH));
    }
    let wanted = rest.get_u32_le() as usize;
    if rest.len() < wanted {
        return Err(short("head", rest.len(), wanted));
    }
    let head = rest.split_to(wanted);
    let head = serde_json::from_slice(&head).map_err(BadItem::Head)?;
    Ok((head, Blobs(rest)))
}

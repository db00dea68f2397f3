//! The wire that carries messages between nodes, as a trait. NATS, direct connections or a
//! simulation can stand behind it; nothing above it knows which.
//!
//! A wire promises little: a message may be lost, late or repeated. What it must not do is wait, or
//! change a message. Links and beats are made for that.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use super::frame::NodeId;

pub mod switchboard;
#[cfg(test)]
mod tests;

/// Messages that wait in a subscription, at most. Those beyond it are dropped.
pub const SUBSCRIPTION_CAPACITY: usize = 256;

/// The messages of one subject, in the order in which they arrived. It ends with the wire.
pub type Messages = BoxStream<'static, Bytes>;

/// Why a message was not sent, or a subscription not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// There is no connection; it is being made again.
    #[error("the wire is not connected")]
    Disconnected,
    /// Too much waits to be written.
    #[error("the wire does not take more at the moment")]
    Full,
    /// The message has more than [`MAX_FRAME`](super::frame::MAX_FRAME) bytes.
    #[error("a message of {0} bytes is too long for the wire")]
    Long(usize),
}

/// The state of a node's connection to the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WireState {
    /// Whether messages can be sent.
    pub is_connected: bool,
    /// How often the connection was made again after it was lost. When this grows, messages in both
    /// directions may be gone: tell the links.
    pub reconnects: u64,
}

/// A way to publish messages to all subscribers of a subject, which may be this node itself.
/// Messages to one subject arrive in the order in which this node published them, unless the wire
/// is in trouble.
#[async_trait]
pub trait Wire: Send + Sync + 'static {
    /// Sends a message. Never waits; `Ok` does not mean that it arrives.
    ///
    /// # Errors
    ///
    /// If it is known already that the message does not arrive.
    fn publish(&self, subject: &str, message: Bytes) -> Result<(), Unsent>;

    /// The messages of a subject from now on; at most [`SUBSCRIPTION_CAPACITY`] wait to be read.
    /// The subscription outlives reconnects.
    ///
    /// # Errors
    ///
    /// If the subscription could not be made. Try again later.
    async fn subscribe(&self, subject: &str) -> Result<Messages, Unsent>;

    /// The state of the connection, and its changes.
    fn state(&self) -> watch::Receiver<WireState>;
}

/// The subjects of one cluster. Clusters with different names may share a wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    cluster: String,
}

/// A name that a cluster cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid cluster name: use 1 to 32 ASCII letters, digits, `-` and `_`")]
pub struct BadClusterName(pub String);

impl Subjects {
    /// The subjects of the cluster with this name: 1 to 32 ASCII letters, digits, `-` and `_`, so
    /// that it is one token of a subject, without wildcards.
    ///
    /// # Errors
    ///
    /// If the name has other characters, none, or too many.
    pub fn new(cluster: &str) -> Result<Self, BadClusterName> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=32).contains(&cluster.len()) && cluster.bytes().all(is_fine) {
            Ok(Self { cluster: cluster.into() })
        } else {
            Err(BadClusterName(cluster.into()))
        }
    }

    /// Where a node gets its frames: `gr.<cluster>.n.<id in 16 hexadecimal digits>`.
    pub fn node(&self, id: NodeId) -> String {
        format!("gr.{}.n.{id:016x}", self.cluster)
    }

    /// Where all nodes get beats and notices: `gr.<cluster>.all`.
    pub fn all(&self) -> String {
        format!("gr.{}.all", self.cluster)
    }
}

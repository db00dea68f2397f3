//! Peers that send at the same time, until all are told to stop.

use anyhow::{Context, Result};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Peer, Plan};

/// They stop for good when this is dropped.
#[derive(Default)]
pub struct Senders {
    stop: watch::Sender<bool>,
    tasks: JoinSet<Sent>,
}

/// What became of one of them.
pub struct Sent {
    pub index: usize,
    /// Ops that were acknowledged, for each of the payload's entities.
    pub acked: Vec<u64>,
    /// The peer, unless its connection failed.
    pub peer: Option<Peer>,
    /// The plan, as far as it came.
    pub plan: Plan,
}

impl Senders {
    /// Lets one more send as planned.
    pub fn start(&mut self, index: usize, peer: Peer, mut plan: Plan) {
        let mut stopped = self.stop.subscribe();
        self.tasks.spawn(async move {
            let (acked, peer) = peer.drive(&mut plan, &mut stopped).await;
            Sent { index, acked, peer, plan }
        });
    }

    /// Stops all of them, and waits for the last answers.
    pub async fn stop(mut self) -> Result<Vec<Sent>> {
        self.stop.send_replace(true);
        let mut all = Vec::with_capacity(self.tasks.len());
        while let Some(sent) = self.tasks.join_next().await {
            all.push(sent.context("a sender failed")?);
        }
        Ok(all)
    }
}

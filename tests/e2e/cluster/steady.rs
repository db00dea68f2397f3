//! A client that keeps sending while something happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::client::Client;
use crate::server::{LOOKS_EVERY, within};

/// Sends one numbered op after the other. Each must be accepted at the first attempt.
pub struct Steady {
    accepted: Arc<AtomicU64>,
    stops: Arc<AtomicBool>,
    task: JoinHandle<Client>,
}

impl Steady {
    /// Begins with op 1.
    pub fn start(mut client: Client, room: &str) -> Self {
        let (accepted, stops) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped, room) = (Arc::clone(&accepted), Arc::clone(&stops), room.to_owned());
        let task = tokio::spawn(async move {
            let mut pace = interval(LOOKS_EVERY);
            for n in 1.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                client.send(&room, n, "post", json!({})).await;
                count.store(n, Ordering::Relaxed);
                pace.tick().await;
            }
            client
        });
        Self { accepted, stops, task }
    }

    /// Waits until this many more have been accepted.
    pub async fn goes_on(&self, more: u64) {
        let wanted = self.accepted.load(Ordering::Relaxed) + more;
        let mut looks = interval(LOOKS_EVERY);
        within("more accepted ops", async {
            while self.accepted.load(Ordering::Relaxed) < wanted && !self.task.is_finished() {
                looks.tick().await;
            }
        })
        .await;
    }

    /// Stops; returns the client and the number of its ops, all of them accepted.
    pub async fn stop(self) -> (Client, u64) {
        self.stops.store(true, Ordering::Relaxed);
        let client = within("its last op", self.task).await.expect("each op is accepted");
        (client, self.accepted.load(Ordering::Relaxed))
    }
}

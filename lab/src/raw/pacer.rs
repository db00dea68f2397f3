//! Those who publish: an open loop over all senders.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::dialect::Dialect;
use super::ear::body;
use super::line::Account;
use super::tally::Tally;

/// How soon a socket that was full is tried again.
const FULL_FOR: Duration = Duration::from_millis(1);

/// One connection that publishes in one room.
pub struct Sender {
    /// Its socket.
    pub stream: Arc<TcpStream>,
    /// Its room.
    pub room: String,
    /// What it is owed, where the server answers.
    pub account: Option<Arc<Account>>,
    /// Its last op's number.
    pub n: u64,
    /// When those messages were meant to be sent that wait for an earlier one's answer.
    pub waiting: VecDeque<u64>,
    /// Frames that the socket did not take yet.
    pub out: Vec<u8>,
}

/// All senders; they take turns, evenly spread over time.
pub struct Pacer {
    /// The senders.
    pub senders: Vec<Sender>,
    /// Whose clock it goes by.
    pub tally: Arc<Tally>,
    /// Told when answers came.
    pub freed: Arc<Notify>,
    /// What is spoken.
    pub dialect: Dialect,
    /// Size of a body in bytes.
    pub bytes: usize,
    /// Unanswered ops of each sender.
    pub in_flight: usize,
}

impl Pacer {
    /// Publishes `rate` messages a second in all, from `start_us` to `end_us`, then what is still
    /// held back for up to `patience`; returns whether all went out.
    pub async fn publish(
        &mut self,
        rate: f64,
        start_us: u64,
        end_us: u64,
        patience: Duration,
    ) -> bool {
        let every = 1e6 / rate;
        let due = |k: u64| start_us + (k as f64 * every) as u64;
        let mut k = 0;
        loop {
            let now = self.tally.now_us();
            while due(k) <= now && due(k) < end_us {
                let index = (k % self.senders.len() as u64) as usize;
                self.senders[index].waiting.push_back(due(k));
                k += 1;
            }
            let held_back = self.pump();
            // What waits for an answer on a connection that is lost, waits in vain.
            let in_vain = self.tally.gone() > 0 || now > end_us + patience.as_micros() as u64;
            if due(k) >= end_us && (!held_back || in_vain) {
                return !held_back;
            }
            let next = if due(k) < end_us { due(k) } else { u64::MAX };
            let idle = Duration::from_micros(next.saturating_sub(self.tally.now_us()));
            let wait = idle.min(if held_back { FULL_FOR } else { patience });
            // An answer makes room before the time is over.
            if self.dialect.acknowledges() {
                let _ = timeout(wait, self.freed.notified()).await;
            } else {
                sleep(wait).await;
            }
        }
    }

    /// Sends what may be sent; tells whether anything is left.
    fn pump(&mut self) -> bool {
        let mut left = false;
        for sender in &mut self.senders {
            while !sender.waiting.is_empty()
                && sender
                    .account
                    .as_ref()
                    .is_none_or(|account| account.in_flight() < self.in_flight)
            {
                let Some(us) = sender.waiting.pop_front() else { break };
                sender.n += 1;
                if let Some(account) = &sender.account {
                    account.sent(sender.n, us);
                }
                self.dialect.publish(
                    &sender.room,
                    &body(us, self.bytes),
                    sender.n,
                    &mut sender.out,
                );
            }
            sender.flush();
            left |= !sender.out.is_empty() || !sender.waiting.is_empty();
        }
        left
    }
}

impl Sender {
    fn flush(&mut self) {
        if self.out.is_empty() {
            return;
        }
        match self.stream.try_write(&self.out) {
            Ok(written) => drop(self.out.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Whoever listens to this connection has noticed, and counts it.
            Err(_) => self.out.clear(),
        }
    }
}

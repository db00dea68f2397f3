//! What is looked for on every connection once a second: who is silent, who takes nothing, whose
//! token ends.

use bytes::Bytes;
use greenroom_protocol::close::CloseCode;
use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::notify::{Goodbye, GoodbyeReason};

use super::SessionEnv;
use crate::clock::{Millis, Now};
use crate::relay::Seat;

/// Makes a ping, which carries the number of a probe if it is one.
pub type Pinger = fn(Option<u32>) -> Bytes;

/// How long things may take, in ms.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Silence after which a client is pinged.
    pub ping_interval: u64,
    /// Silence after which it is gone.
    pub idle_timeout: u64,
    /// How long its socket may take too little.
    pub write_timeout: u64,
    /// How many bytes are enough, if as many wait.
    pub write_min_bytes: usize,
}

impl SessionEnv {
    /// Looks at every session of the thread, and at those that were lost. To be called once a
    /// second. `ping` makes the transport's frame.
    pub fn sweep(&self, now: Now, deadlines: Deadlines, ping: Pinger) {
        let mut relay = self.relay.borrow_mut();
        relay
            .seats()
            .filter(|seat| seat.outbox.closing().is_none())
            .for_each(|seat| self.look(seat, now, deadlines, ping));
        relay.sweep(now.mono);
    }

    fn look(&self, seat: &Seat, now: Now, deadlines: Deadlines, ping: Pinger) {
        seat.next_second(&self.encoder);
        let Now { wall, mono } = now;
        if mono >= seat.connect_by.get() {
            return seat.outbox.close(CloseCode::ConnectTimeout);
        }
        if wall >= seat.expires.get() {
            return seat.outbox.close(CloseCode::TokenExpired);
        }
        let waiting = seat.outbox.bytes() + seat.unwritten.get() > 0;
        if seat.behind(mono, waiting, deadlines.write_min_bytes, deadlines.write_timeout)
            >= deadlines.write_timeout
        {
            return seat.outbox.close(CloseCode::SlowConsumer);
        }
        if waiting && seat.outbox.unanswered_ms() >= deadlines.write_timeout {
            // It does not read slowly: its system is not there any more.
            return seat.outbox.close(CloseCode::SlowConsumer);
        }
        if !seat.is_read() {
            // Its pongs may wait with whatever else it has sent.
            seat.busy.set(seat.busy.get().max(mono));
        }
        // A ping is answered when what was sent before it has been read.
        if mono.since(seat.heard.get().max(seat.busy.get())) >= deadlines.idle_timeout {
            return seat.outbox.close(CloseCode::PingTimeout);
        }
        if mono.since(seat.heard.get().max(seat.pinged.get())) >= deadlines.ping_interval {
            seat.pinged.set(mono);
            seat.outbox.push(ping(None));
        }
        if let Some(probe) = seat.take_probe() {
            seat.outbox.push(ping(Some(probe)));
        }
        self.warn_of_expiry(seat, wall);
    }

    /// Once for each token.
    fn warn_of_expiry(&self, seat: &Seat, wall: Millis) {
        if wall >= seat.warn_at.get() {
            seat.warn_at.set(Millis::MAX);
            let closes_in_ms = seat.expires.get().saturating_sub(wall);
            let params = Goodbye {
                reason: GoodbyeReason::TokenExpiring,
                closes_in_ms,
                reconnect_after_ms: None,
            };
            seat.outbox.push(self.encoder.encode(
                seat.codec,
                &Message::Notification { method: Method::Goodbye, params: &params },
            ));
        }
    }
}

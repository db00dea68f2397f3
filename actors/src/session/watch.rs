//! Checks every connection once a second: silent clients, sockets that take nothing, tokens that
//! expire. `relay/seat/liveness.rs` decides what to do, and this module does it.

use bytes::Bytes;
use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::notify::{Goodbye, GoodbyeReason};

use super::SessionEnv;
use crate::clock::{Millis, Now};
use crate::relay::{Seat, Verdict};

pub use crate::relay::Deadlines;

/// Makes a ping frame; with a number, it is that probe.
pub type Pinger = fn(Option<u32>) -> Bytes;

impl SessionEnv {
    /// Checks every session of the thread, and the parked ones. To be called once a second.
    pub fn sweep(&self, now: Now, deadlines: Deadlines, ping: Pinger) {
        let mut relay = self.relay.borrow_mut();
        for seat in relay.seats().filter(|seat| seat.outbox.closing().is_none()) {
            self.look(seat, now, deadlines, ping);
        }
        relay.sweep(now.mono);
    }

    fn look(&self, seat: &Seat, now: Now, deadlines: Deadlines, ping: Pinger) {
        seat.next_second(&self.encoder);
        let due = match seat.liveness.look(&seat.outbox, seat.is_read(), now, deadlines) {
            Verdict::Close(code) => return seat.outbox.close(code),
            Verdict::Keep(due) => due,
        };
        if due.ping {
            seat.outbox.push(ping(None));
        }
        if let Some(probe) = due.probe {
            seat.outbox.push(ping(Some(probe)));
        }
        if let Some(closes_in_ms) = due.expiry {
            self.warn_of_expiry(seat, closes_in_ms);
        }
    }

    fn warn_of_expiry(&self, seat: &Seat, closes_in_ms: Millis) {
        let params = Goodbye {
            reason: GoodbyeReason::TokenExpiring,
            closes_in_ms,
            reconnect_after_ms: None,
        };
        let warning = Message::Notification { method: Method::Goodbye, params: &params };
        seat.outbox.push(self.encoder.encode(seat.codec, &warning));
    }
}

//! Looks at every connection of a thread once a second: one timer for all of them.

use std::rc::Rc;
use std::time::Duration;

use greenroom_actors::clock::{self, Millis};
use greenroom_actors::relay::Seat;
use greenroom_actors::session::SessionEnv;
use greenroom_protocol::close::CloseCode;
use greenroom_protocol::codec::{Message, Method};
use greenroom_protocol::notify::{Goodbye, GoodbyeReason};

use super::frame::PING;
use crate::config::Config;

/// What is looked for, in ms.
#[derive(Debug, Clone, Copy)]
struct Deadlines {
    ping_interval: u64,
    idle_timeout: u64,
    write_timeout: u64,
    expiry_warning: u64,
}

/// Sweeps until the thread ends.
pub async fn sweep_every_second(env: Rc<SessionEnv>, config: Rc<Config>) {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let deadlines = Deadlines {
        ping_interval: ms(config.socket.ping_interval),
        idle_timeout: ms(config.socket.idle_timeout),
        write_timeout: ms(config.socket.write_timeout),
        expiry_warning: ms(config.auth.expiry_warning),
    };
    let outbox_bytes = greenroom_actors::metrics::DeliveryMetrics::new().outbox_bytes;
    let mut told = 0.0;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        let now = clock::now();
        let mut relay = env.relay.borrow_mut();
        relay.seats().for_each(|seat| sweep(&env, seat, now, deadlines));
        relay.sweep(now);
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 bytes")]
        let bytes = relay.counts().outbox_bytes as f64;
        // One gauge for all threads: each adds what has changed on its own.
        outbox_bytes.increment(bytes - told);
        told = bytes;
    }
}

fn sweep(env: &SessionEnv, seat: &Seat, now: Millis, deadlines: Deadlines) {
    if seat.outbox.closing().is_some() {
        return;
    }
    seat.next_second(&env.encoder);
    let since = |then: Millis| now.saturating_sub(then);
    let waiting = seat.outbox.bytes() + seat.unwritten.get() > 0;
    if now >= seat.connect_by.get() {
        seat.outbox.close(CloseCode::ConnectTimeout);
    } else if now >= seat.expires.get() {
        seat.outbox.close(CloseCode::TokenExpired);
    } else if waiting && seat.stuck_for(now) >= deadlines.write_timeout {
        seat.outbox.close(CloseCode::SlowConsumer);
    } else if !waiting && since(seat.heard.get()) >= deadlines.idle_timeout {
        seat.outbox.close(CloseCode::PingTimeout);
    } else {
        if !waiting && since(seat.heard.get().max(seat.pinged.get())) >= deadlines.ping_interval {
            seat.pinged.set(now);
            seat.outbox.push(PING);
        }
        warn_of_expiry(env, seat, now, deadlines.expiry_warning);
    }
}

fn warn_of_expiry(env: &SessionEnv, seat: &Seat, now: Millis, warning: u64) {
    let left = seat.expires.get().saturating_sub(now);
    if left <= warning && !seat.warned.replace(true) {
        let params = Goodbye { reason: GoodbyeReason::TokenExpiring, closes_in_ms: left, reconnect_after_ms: None };
        seat.outbox.push(env.encoder.encode(seat.codec, &Message::Notification { method: Method::Goodbye, params: &params }));
    }
}

//! The one timer for all connections of a thread.

use std::rc::Rc;
use std::time::Duration;

use greenroom_actors::clock;
use greenroom_actors::metrics::DeliveryMetrics;
use greenroom_actors::session::{Deadlines, SessionEnv};

use super::frame::ping;
use crate::config::Config;

/// Sweeps until the thread ends.
pub async fn sweep_every_second(env: Rc<SessionEnv>, config: Rc<Config>) {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let deadlines = Deadlines {
        ping_interval: ms(config.socket.ping_interval),
        idle_timeout: ms(config.socket.idle_timeout),
        write_timeout: ms(config.socket.write_timeout),
        write_min_bytes: config.socket.write_min_bytes,
    };
    let outbox_bytes = DeliveryMetrics::new().outbox_bytes;
    let mut told = 0.0;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        env.sweep(clock::now(), deadlines, ping);
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 bytes")]
        let bytes = env.relay.borrow().outboxes().used() as f64;
        // All threads share the gauge, and each adds its own changes.
        outbox_bytes.increment(bytes - told);
        told = bytes;
    }
}

//! Connections that are no WebSockets yet, or never will be: how long they may last, whatever they
//! do.
//!
//! actix-http limits the time for the first request's head. It does not limit a body, a second
//! head, or an answer that nobody reads, so a client could hold a connection open by any of them.
//! How many there may be at once is the workers' own limit ([`per_worker`]): a connection counts
//! there until its upgrade, and then in the gate of `ws`.

use std::time::Duration;

use actix_http::error::DispatchError;
use actix_service::{Service, ServiceFactory, apply_fn_factory};
use metrics::Gauge;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::metrics::CONNECTIONS_PENDING;

/// Ends what `http` makes of a socket after `lifetime`. A WebSocket has been handed over by then,
/// and is not concerned.
pub fn bounded<F>(
    http: F,
    lifetime: Duration,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
where
    F: ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>,
{
    let pending = CONNECTIONS_PENDING.gauge_with([]);
    apply_fn_factory(http, move |socket: TcpStream, http: &F::Service| {
        let counted = Counted::new(&pending);
        let served = timeout(lifetime, http.call(socket));
        async move {
            let _counted = counted;
            // Too late for an answer: it would be one more thing that nobody reads.
            served.await.unwrap_or(Ok(()))
        }
    })
}

/// What each of `workers` may hold so that all of them hold about `max_pending`, and each one at
/// least.
pub fn per_worker(max_pending: usize, workers: usize) -> usize {
    max_pending.div_ceil(workers)
}

/// Counts in the gauge until it is dropped.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1);
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

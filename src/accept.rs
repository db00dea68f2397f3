//! Limits the lifetime of connections that are not WebSockets yet, or never will be, whatever they
//! do.
//!
//! actix-http limits the time for the head of the first request. It does not limit a body, a second
//! head, or a response that nobody reads, so a client could hold a connection open with any of
//! these. The number of such connections is limited by each worker ([`per_worker`]): a connection
//! counts there until its upgrade, and from then on in the gate of `ws`.

use std::time::Duration;

use actix_http::error::DispatchError;
use actix_service::{Service, ServiceFactory, apply_fn_factory};
use metrics::Gauge;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::metrics::CONNECTIONS_PENDING;

/// Ends whatever `http` does with a socket after `lifetime`. A WebSocket has been handed over by
/// then and is not affected.
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
            // Do not answer: the response would be one more thing that nobody reads.
            served.await.unwrap_or(Ok(()))
        }
    })
}

/// How many pending connections each of `workers` may hold so that together they hold about
/// `max_pending`, but at least one each.
pub fn per_worker(max_pending: usize, workers: usize) -> usize {
    max_pending.div_ceil(workers)
}

/// Counts in the gauge until dropped.
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

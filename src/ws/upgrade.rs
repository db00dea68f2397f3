//! Takes a connection over from actix-http after the handshake.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use actix_codec::{AsyncRead, AsyncWrite, Framed};
use actix_http::body::BodySize;
use actix_http::{Request, StatusCode, h1};
use bytes::Bytes;
use futures_util::SinkExt;
use greenroom_actors::clock;
use greenroom_actors::limits::Keyed;
use greenroom_actors::notices::NOTICES;
use greenroom_actors::session::{Session, SessionEnv};
use greenroom_protocol::close::CloseCode;
use tokio::net::TcpStream;

use super::guard::FrameLimits;
use super::handshake::{self, Accepted, Refused};
use super::pump::Pump;
use crate::address::{TrustedProxies, limit_key};
use crate::metrics::ConnectionMetrics;
use crate::origin::OriginPolicy;

/// Limits on connections, over all threads.
#[derive(Debug, Clone, Copy)]
pub struct GateLimits {
    pub max_connections: usize,
    /// Open connections from one address; `None` means no limit.
    pub max_per_address: Option<NonZeroUsize>,
    pub frames: FrameLimits,
}

/// Admits connections. Shared by all threads.
pub struct Gate {
    limits: GateLimits,
    origins: OriginPolicy,
    proxies: TrustedProxies,
    rate: Keyed<IpAddr>,
    open: AtomicUsize,
    by_address: dashmap::DashMap<IpAddr, usize>,
    shut: AtomicBool,
    metrics: ConnectionMetrics,
}

/// Counts a connection as open until dropped.
struct Admission {
    gate: Arc<Gate>,
    address: IpAddr,
    /// Whether the gauge counts it. Refused connections must not move the gauge.
    shown: bool,
}

impl Gate {
    pub fn new(
        limits: GateLimits,
        origins: OriginPolicy,
        proxies: TrustedProxies,
        rate: Keyed<IpAddr>,
    ) -> Arc<Self> {
        let open = AtomicUsize::new(0);
        let by_address = dashmap::DashMap::new();
        let shut = AtomicBool::new(false);
        Arc::new(Self {
            limits,
            origins,
            proxies,
            rate,
            open,
            by_address,
            shut,
            metrics: ConnectionMetrics::new(),
        })
    }

    /// Refuses all further connections.
    pub fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    /// The number of open connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The client's address in the form that limits count.
    fn address(&self, request: &Request) -> IpAddr {
        let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        // A header that is not text must not be ignored, or the entries left of it would be
        // trusted.
        let forwarded: Vec<_> = request
            .head()
            .headers()
            .get_all("x-forwarded-for")
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        limit_key(self.proxies.client(peer, forwarded.iter().map(AsRef::as_ref)))
    }

    fn check(
        self: &Arc<Self>,
        request: &Request,
        address: IpAddr,
    ) -> Result<(Accepted, Admission), Refused> {
        let accepted = handshake::check(request.head(), &self.origins)?;
        let busy =
            |reason, message: &str| Refused::new(reason, StatusCode::SERVICE_UNAVAILABLE, message);
        if self.shut.load(Ordering::Relaxed) {
            return Err(busy("shutting_down", "the server stops; reconnect"));
        }
        if self.rate.check(&address, 1, clock::mono()).is_err() {
            greenroom_actors::metrics::record_rate_limited("address");
            let message = "too many connections from this address in a short time; wait a second";
            return Err(Refused::new("rate", StatusCode::TOO_MANY_REQUESTS, message));
        }
        self.admit(address).map(|admission| (accepted, admission))
    }

    fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admission, Refused> {
        // From here on, dropping the admission undoes both counts.
        *self.by_address.entry(address).or_insert(0) += 1;
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let mut admission = Admission { gate: Arc::clone(self), address, shown: false };
        if before >= self.limits.max_connections {
            return Err(Refused::new(
                "limit",
                StatusCode::SERVICE_UNAVAILABLE,
                "the server has reached its limit of connections; try again later",
            ));
        }
        let mine = self.by_address.get(&address).map_or(0, |count| *count);
        if self.limits.max_per_address.is_some_and(|most| mine > most.get()) {
            let message = "this address has as many connections as it may; close one first";
            return Err(Refused::new("address", StatusCode::TOO_MANY_REQUESTS, message));
        }
        admission.shown = true;
        self.metrics.open.increment(1);
        Ok(admission)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.gate.open.fetch_sub(1, Ordering::Relaxed);
        if self.shown {
            self.gate.metrics.open.decrement(1);
        }
        if let Some(mut count) = self.gate.by_address.get_mut(&self.address) {
            *count -= 1;
        }
        self.gate.by_address.remove_if(&self.address, |_, count| *count == 0);
    }
}

/// Answers the handshake and, if it is valid, starts the connection's task on this thread.
pub async fn upgrade(
    gate: Arc<Gate>,
    env: Rc<SessionEnv>,
    request: Request,
    mut framed: Framed<TcpStream, h1::Codec>,
) -> io::Result<()> {
    let address = gate.address(&request);
    let (accepted, admission) = match gate.check(&request, address) {
        Ok(accepted) => accepted,
        Err(refused) => {
            refused.note(Some(address));
            return refuse(&mut framed, &refused).await;
        }
    };
    framed.send(h1::Message::Item((accepted.response, BodySize::None))).await?;
    let parts = framed.into_parts();
    // A copy, because keeping the buffer itself, even empty, would cost each connection 8 KiB.
    let first = Bytes::copy_from_slice(&parts.read_buf);
    let session = Session::begin(Rc::clone(&env), accepted.codec, admission.address, clock::mono());
    let seat = Rc::clone(session.seat());
    let pump = Pump::new(parts.io, session, env, first, gate.limits.frames);
    actix_rt::spawn(async move {
        let code = pump.await;
        admission.gate.metrics.closed(code.as_str());
        note_close(code, admission.address, seat.membership.owner().map(|owner| &*owner.user));
    });
    Ok(())
}

/// Logs a connection that was closed because of its client's behaviour, unless there were too many.
fn note_close(code: CloseCode, address: IpAddr, user: Option<&str>) {
    let reason = match code {
        CloseCode::Unauthorized
        | CloseCode::RateLimited
        | CloseCode::ConnectTimeout
        | CloseCode::ProtocolError
        | CloseCode::UnsupportedData
        | CloseCode::InvalidUtf8
        | CloseCode::TooBig => code.as_str(),
        _ => return,
    };
    if let Some(left_out) = NOTICES.admit(reason, clock::mono()) {
        tracing::info!(reason, %address, user, left_out, "a connection is closed");
    }
}

async fn refuse<T: AsyncRead + AsyncWrite + Unpin>(
    framed: &mut Framed<T, h1::Codec>,
    refused: &Refused,
) -> io::Result<()> {
    let (response, body) = refused.response();
    let size = BodySize::Sized(body.len() as u64);
    framed.send(h1::Message::Item((response, size))).await?;
    framed.send(h1::Message::Chunk(Some(body.into()))).await?;
    framed.send(h1::Message::Chunk(None)).await
}

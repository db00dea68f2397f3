//! The operators' listener: `/metrics`, `/live` and `/ready`, and `/cluster` for nodes of one. It is separate from the clients' so
//! that it can be kept private.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Server, ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use actix_web::http::uri::Authority;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpResponse, HttpServer, Responder, web};
use tokio::sync::watch;

use crate::metrics::{Exporter, READY};
use crate::origin::{Reach, is_loopback_name};

mod cluster;

pub use cluster::Operated;

/// The content type of Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether this node should receive traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// It should not, for this reason.
    NotReady(Cow<'static, str>),
}

impl Readiness {
    /// Not ready, for `reason`.
    pub fn not_ready(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::NotReady(reason.into())
    }
}

/// Sets the readiness that the listener reports and that `greenroom_ready` records.
#[derive(Debug, Clone)]
pub struct ReadinessHandle(watch::Sender<Readiness>);

impl ReadinessHandle {
    /// Starts with `first`; the receiver is for [`serve`].
    pub fn new(first: Readiness) -> (Self, watch::Receiver<Readiness>) {
        let (sender, receiver) = watch::channel(first.clone());
        let handle = Self(sender);
        handle.set(first);
        (handle, receiver)
    }

    /// Sets the current readiness.
    pub fn set(&self, readiness: Readiness) {
        READY.gauge_with([]).set(if readiness == Readiness::Ready { 1.0 } else { 0.0 });
        self.0.send_replace(readiness);
    }
}

pub struct Admin {
    /// The address it listens on, with the actual port if port 0 was asked for.
    pub address: SocketAddr,
    /// Finishes once the listener is stopped; must be awaited or spawned.
    pub server: Server,
    /// Stops the listener.
    pub handle: ServerHandle,
}

/// Listens on `address`, with one thread of its own. Signals are left to the caller.
///
/// # Errors
/// If it cannot listen there.
pub fn serve(
    address: SocketAddr,
    exporter: Exporter,
    readiness: watch::Receiver<Readiness>,
    operated: Operated,
) -> io::Result<Admin> {
    let reach = Reach::of(address.ip());
    let server = HttpServer::new(move || {
        App::new()
            .wrap(from_fn(move |request, next| known_by_its_name(reach, request, next)))
            .app_data(web::Data::new(exporter.clone()))
            .app_data(web::Data::new(readiness.clone()))
            .app_data(web::Data::new(operated.clone()))
            .configure(cluster::routes)
            .route("/metrics", web::get().to(metrics))
            .route("/live", web::get().to(live))
            .route("/ready", web::get().to(ready))
    })
    .workers(1)
    .backlog(64)
    .max_connections(64)
    .client_request_timeout(Duration::from_secs(5))
    .disable_signals()
    .shutdown_timeout(1)
    .bind(address)?;
    let address = server.addrs().first().copied().unwrap_or(address);
    let server = server.run();
    Ok(Admin { address, handle: server.handle(), server })
}

/// Refuses requests to a loopback address under any other name. Somebody else's DNS may point such
/// a name here, and a web page under that name could then read the answers.
async fn known_by_its_name(
    reach: Reach,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let host = request.headers().get(HOST).map(|host| host.to_str().unwrap_or(""));
    let names = [host, request.uri().authority().map(Authority::as_str)];
    if reach == Reach::Loopback && names.into_iter().flatten().any(|name| !is_loopback_name(name)) {
        let message = "this listener answers only to loopback names such as `localhost`; set `metrics.listen` to a private address of this machine\n";
        return Ok(request.into_response(
            HttpResponse::Forbidden().content_type("text/plain; charset=utf-8").body(message),
        ));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

async fn metrics(exporter: web::Data<Exporter>) -> impl Responder {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, METRICS_TYPE)).body(exporter.render())
}

/// The answer itself is the message: the process is alive.
async fn live() -> impl Responder {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(serde_json::json!({"status": "live"}))
}

async fn ready(readiness: web::Data<watch::Receiver<Readiness>>) -> impl Responder {
    let now = readiness.borrow().clone();
    let (mut response, body) = match now {
        Readiness::Ready => (HttpResponse::Ok(), serde_json::json!({"status": "ready"})),
        Readiness::NotReady(reason) => (
            HttpResponse::ServiceUnavailable(),
            serde_json::json!({"status": "not_ready", "reason": reason}),
        ),
    };
    response.insert_header((CACHE_CONTROL, "no-store")).json(body)
}

#[cfg(test)]
mod tests;

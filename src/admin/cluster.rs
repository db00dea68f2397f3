//! What operators see of a cluster, and what they may order this node to do.
//!
//! Orders are taken from this machine only, and never from a web page: with `kubectl exec`, or by
//! `greenroom cluster` next to the server.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ORIGIN};
use actix_web::{HttpRequest, HttpResponse, web};
use greenroom_protocol::EntityId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::cluster::{Handle, Request, What};

/// The most bytes of an order.
const MAX_ORDER: usize = 16 * 1024;

/// The node, once it runs; it stays empty on a server without a cluster.
pub type Operated = Arc<OnceLock<Handle>>;

/// Adds the routes below `/cluster`.
pub fn routes(routes: &mut web::ServiceConfig) {
    routes
        .app_data(web::PayloadConfig::new(MAX_ORDER))
        .route("/cluster", web::get().to(status))
        .route("/cluster/owner/{entity:.+}", web::get().to(owner))
        .route("/cluster/{order}", web::post().to(order));
}

/// `{"slots": 16, "to": "node-b"}` or `{"entity": "room:lobby", "to": "node-b"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    /// How many slots.
    slots: Option<usize>,
    /// Instead: an entity, whose slot is moved.
    entity: Option<EntityId>,
    /// The name or the id of a node.
    to: String,
}

impl Move {
    fn request(self) -> Result<Request, serde_json::Error> {
        let what = match (self.slots, self.entity) {
            (Some(slots), None) => What::Slots(slots),
            (None, Some(entity)) => What::SlotOf(entity),
            _ => return Err(serde::de::Error::custom("write either `slots` or `entity`")),
        };
        Ok(Request::Move { what, to: self.to })
    }
}

/// `{"entity": "room:lobby", "node": "node-b"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    entity: EntityId,
    /// The name or the id of a node.
    node: String,
}

/// `{"entity": "room:lobby"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unpin {
    entity: EntityId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn status(operated: web::Data<Operated>) -> HttpResponse {
    let Some(node) = operated.get() else { return no_node() };
    match node.status().await {
        Ok(status) => HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(status),
        Err(why) => refused(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

async fn owner(operated: web::Data<Operated>, entity: web::Path<String>) -> HttpResponse {
    let Some(node) = operated.get() else { return no_node() };
    let entity = match EntityId::parse(&entity) {
        Ok(entity) => entity,
        Err(error) => {
            let why = format!("`{entity}` is not an entity: {error}");
            return refused(StatusCode::BAD_REQUEST, &why);
        }
    };
    match node.owner(entity).await {
        Ok(Some(peer)) => HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(json!({"node": peer.id, "name": peer.name})),
        Ok(None) => refused(
            StatusCode::NOT_FOUND,
            "nobody owns it at the moment; `/cluster` shows whether its slot is in quarantine",
        ),
        Err(why) => refused(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

async fn order(
    operated: web::Data<Operated>,
    request: HttpRequest,
    name: web::Path<String>,
    body: web::Bytes,
) -> HttpResponse {
    let listener = request.app_config().local_addr().ip();
    let near = request.peer_addr().is_some_and(|peer| is_near(peer.ip(), listener));
    if !near || request.headers().contains_key(ORIGIN) {
        return refused(
            StatusCode::FORBIDDEN,
            "orders are taken from this machine only, and not from a web page; run `greenroom cluster` next to the server",
        );
    }
    let Some(node) = operated.get() else { return no_node() };
    let order = match read(&name, &body) {
        Ok(Some(order)) => order,
        Ok(None) => {
            let why = format!(
                "there is no order `{name}`; write `cordon`, `uncordon`, `drain`, `move`, `pin` or `unpin`"
            );
            return refused(StatusCode::NOT_FOUND, &why);
        }
        Err(error) => {
            let why = format!("the body of `{name}` cannot be read: {error}");
            return refused(StatusCode::BAD_REQUEST, &why);
        }
    };
    match node.request(order).await {
        Ok(()) => HttpResponse::Accepted().json(json!({"accepted": name.as_str()})),
        Err(why) => refused(StatusCode::CONFLICT, &why),
    }
}

/// Whether a peer is on this machine: it comes over loopback, or from the very address on which the
/// listener is.
fn is_near(peer: IpAddr, listener: IpAddr) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback() || peer == listener.to_canonical()
}

/// The order with this name; `None` if there is none.
fn read(name: &str, body: &[u8]) -> Result<Option<Request>, serde_json::Error> {
    fn of<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
        serde_json::from_slice(if body.is_empty() { b"{}" } else { body })
    }
    Ok(Some(match name {
        "cordon" => of::<Nothing>(body).map(|_| Request::Cordon)?,
        "uncordon" => of::<Nothing>(body).map(|_| Request::Uncordon)?,
        "drain" => of::<Nothing>(body).map(|_| Request::Drain)?,
        "pin" => of::<Pin>(body).map(|Pin { entity, node }| Request::Pin { entity, node })?,
        "unpin" => of::<Unpin>(body).map(|Unpin { entity }| Request::Unpin(entity))?,
        "move" => of::<Move>(body).and_then(Move::request)?,
        _ => return Ok(None),
    }))
}

fn no_node() -> HttpResponse {
    let why = "this server is not a node of a cluster, or not yet; see the section `[cluster]` of the configuration";
    refused(StatusCode::NOT_FOUND, why)
}

fn refused(status: StatusCode, why: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({"error": why}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_come_from_this_machine() {
        let table = [
            ("127.0.0.1", "127.0.0.1", true),
            ("::ffff:127.0.0.1", "0.0.0.0", true),
            ("10.0.0.7", "10.0.0.7", true),
            ("::ffff:10.0.0.7", "10.0.0.7", true),
            ("10.0.0.8", "10.0.0.7", false),
            ("10.0.0.7", "0.0.0.0", false),
        ];
        for (peer, listener, near) in table {
            let [from, to] = [peer, listener].map(|address| address.parse().unwrap());
            assert_eq!(is_near(from, to), near, "{peer} at {listener}");
        }
    }

    #[test]
    fn orders_are_read_strictly() {
        assert!(matches!(read("drain", b""), Ok(Some(Request::Drain))));
        assert!(matches!(read("drain", b"{}"), Ok(Some(Request::Drain))));
        assert!(matches!(
            read("move", br#"{"slots": 3, "to": "b"}"#),
            Ok(Some(Request::Move { what: What::Slots(3), .. }))
        ));
        assert!(matches!(
            read("move", br#"{"entity": "room:a", "to": "b"}"#),
            Ok(Some(Request::Move { what: What::SlotOf(_), .. }))
        ));
        assert!(matches!(
            read("pin", br#"{"entity": "room:a", "node": "b"}"#),
            Ok(Some(Request::Pin { .. }))
        ));
        assert!(matches!(read("unpin", br#"{"entity": "room:a"}"#), Ok(Some(Request::Unpin(_)))));
        assert!(matches!(read("explode", b""), Ok(None)));
        for (name, body) in [
            ("drain", &br#"{"now": true}"#[..]),
            ("move", b""),
            ("move", br#"{"slots": -1, "to": "b"}"#),
            ("move", br#"{"entity": "Room", "to": "b"}"#),
            ("move", br#"{"entity": "room:a", "slots": 1, "to": "b"}"#),
            ("pin", br#"{"entity": "room:a"}"#),
            ("unpin", br#"{"entity": "room:a", "node": "b"}"#),
            ("cordon", b"\xff"),
        ] {
            assert!(read(name, body).is_err(), "{name}");
        }
    }
}

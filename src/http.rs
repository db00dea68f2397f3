//! Serves the demo page, the SDK and the guides, which are embedded in the binary.

use actix_web::http::header::HeaderValue;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, Route, guard, web};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::static_files::{StaticDir, content_type};
use crate::ws;

/// Pages may load only what this server sends, and connect only to it or to WebSockets.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files of the directory `client/` that are served.
#[derive(RustEmbed)]
#[folder = "client/"]
#[include = "greenroom.js"]
#[include = "src/*.js"]
#[include = "src/*/*.js"]
#[include = "demo/*"]
struct Files;

/// The guides, which the demo page links to.
#[derive(RustEmbed)]
#[folder = "docs/"]
#[include = "guides/*.md"]
struct Guides;

/// `/demo/…`, `/client/…`, and at `/` the demo page, or a developer's own directory.
pub fn routes(config: &mut web::ServiceConfig, page: Option<StaticDir>) {
    config
        .app_data(web::Data::new(page))
        .service(
            web::resource("/{any:.*}")
                .guard(guard::fn_guard(wants_upgrade))
                .to(|| async { upgrade_with_body() }),
        )
        .route("/demo/{path:.*}", read().to(demo))
        .route("/client/{path:.*}", read().to(sdk))
        .route(ws::PATH, read().to(|| async { upgrade_required() }))
        .route("/ws/", read().to(|| async { upgrade_required() }))
        .default_service(web::to(rest));
}

/// GET, and HEAD, for which actix-http leaves out the body.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// The response to somebody who opens the socket's address in a browser. Requests with the header
/// `Upgrade` do not get here.
fn upgrade_required() -> HttpResponse {
    HttpResponse::build(StatusCode::UPGRADE_REQUIRED)
        .insert_header((UPGRADE, "websocket"))
        .content_type("text/plain; charset=utf-8")
        .body(
            "this is the address for WebSocket connections; docs/protocol.md describes them. If this was meant to be one, \
             the header `Upgrade: websocket` is missing: proxies must forward `Upgrade` and `Connection`\n",
        )
}

/// An upgrade request gets here only if it has a chunked body; all others are taken over earlier.
fn wants_upgrade(context: &guard::GuardContext<'_>) -> bool {
    let upgrade = context.head().headers().get(UPGRADE);
    upgrade.is_some_and(|to| to.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

fn upgrade_with_body() -> HttpResponse {
    let refused = ws::Refused::new("handshake", StatusCode::BAD_REQUEST, ws::NO_BODY);
    refused.note(None);
    HttpResponse::build(refused.status)
        .force_close()
        .content_type("text/plain; charset=utf-8")
        .body(format!("{}\n", refused.message))
}

/// Requests without a route of their own.
async fn rest(request: HttpRequest, own: web::Data<Option<StaticDir>>) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_found();
    }
    if let Some(own) = own.get_ref()
        && let Some(response) = own.serve(&request).await
    {
        return response;
    }
    match request.path() {
        "/" if own.is_none() => file(&request, "demo/index.html"),
        "/favicon.ico" => file(&request, "demo/icon.svg"),
        path if path.starts_with("/guides/") => {
            embedded(&request, &path[1..], Guides::get(&path[1..]))
        }
        _ => not_found(),
    }
}

fn not_found() -> HttpResponse {
    HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("not found\n")
}

async fn demo(request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    file(&request, &format!("demo/{path}"))
}

/// Pages of other hosts may import the SDK. Whether they may connect is another question.
async fn sdk(request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    let mut response = file(&request, &path);
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

fn file(request: &HttpRequest, path: &str) -> HttpResponse {
    embedded(request, path, Files::get(path))
}

fn embedded(request: &HttpRequest, path: &str, found: Option<EmbeddedFile>) -> HttpResponse {
    let Some(found) = found else { return not_found() };
    let tag = format!(
        "\"{}\"",
        found.metadata.sha256_hash()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
    let known = request
        .headers()
        .get(IF_NONE_MATCH)
        .is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((CONTENT_TYPE, content_type(path)))
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY));
    if known { response.finish() } else { response.body(found.data.into_owned()) }
}

//! `stock-actix`: what the ecosystem's own chat example does. Each WebSocket is an actor of
//! `actix-web-actors`; one actor knows all rooms, and sends each of their members a copy of every
//! message with `do_send`.
//!
//! It listens on `127.0.0.1:$PORT` and speaks what `epoll-writer` speaks: `s ROOM` subscribes and
//! is answered `ok`; `p ROOM BODY` sends `BODY` to everybody who is subscribed to `ROOM`.

// Greenroom's own code must not do this; what it costs to do it is what is measured here.
#![allow(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::env;

use actix::prelude::*;
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, web};
use actix_web_actors::ws;

/// A message on its way to one session.
#[derive(Message)]
#[rtype(result = "()")]
struct Deliver(String);

/// A session wants a room's messages.
#[derive(Message)]
#[rtype(result = "()")]
struct Subscribe {
    id: usize,
    room: String,
    session: Recipient<Deliver>,
}

/// A session is over.
#[derive(Message)]
#[rtype(result = "()")]
struct Leave(usize);

/// A message for a room.
#[derive(Message)]
#[rtype(result = "()")]
struct Publish {
    room: String,
    body: String,
}

/// Knows who is in which room.
#[derive(Default)]
struct ChatServer {
    rooms: HashMap<String, HashMap<usize, Recipient<Deliver>>>,
}

impl Actor for ChatServer {
    type Context = Context<Self>;
}

impl Handler<Subscribe> for ChatServer {
    type Result = ();

    fn handle(&mut self, message: Subscribe, _: &mut Self::Context) {
        message.session.do_send(Deliver("ok".into()));
        self.rooms.entry(message.room).or_default().insert(message.id, message.session);
    }
}

impl Handler<Leave> for ChatServer {
    type Result = ();

    fn handle(&mut self, Leave(id): Leave, _: &mut Self::Context) {
        self.rooms.values_mut().for_each(|members| {
            members.remove(&id);
        });
    }
}

impl Handler<Publish> for ChatServer {
    type Result = ();

    fn handle(&mut self, message: Publish, _: &mut Self::Context) {
        for session in self.rooms.get(&message.room).into_iter().flat_map(HashMap::values) {
            session.do_send(Deliver(message.body.clone()));
        }
    }
}

/// One WebSocket.
struct Session {
    id: usize,
    server: Addr<ChatServer>,
}

impl Actor for Session {
    type Context = ws::WebsocketContext<Self>;

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        self.server.do_send(Leave(self.id));
        Running::Stop
    }
}

impl Handler<Deliver> for Session {
    type Result = ();

    fn handle(&mut self, Deliver(text): Deliver, context: &mut Self::Context) {
        context.text(text);
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Session {
    fn handle(
        &mut self,
        message: Result<ws::Message, ws::ProtocolError>,
        context: &mut Self::Context,
    ) {
        match message {
            Ok(ws::Message::Text(text)) => match text.split_once(' ') {
                Some(("s", room)) => {
                    self.server.do_send(Subscribe {
                        id: self.id,
                        room: room.to_owned(),
                        session: context.address().recipient(),
                    });
                }
                Some(("p", rest)) => {
                    if let Some((room, body)) = rest.split_once(' ') {
                        self.server
                            .do_send(Publish { room: room.to_owned(), body: body.to_owned() });
                    }
                }
                _ => {}
            },
            Ok(ws::Message::Ping(payload)) => context.pong(&payload),
            Ok(ws::Message::Close(_)) | Err(_) => context.stop(),
            Ok(_) => {}
        }
    }
}

async fn connect(
    request: HttpRequest,
    stream: web::Payload,
    server: web::Data<Addr<ChatServer>>,
) -> Result<HttpResponse, Error> {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let session = Session { id: NEXT.fetch_add(1, Relaxed), server: server.get_ref().clone() };
    ws::start(session, &request, stream)
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let port = env::var("PORT")
        .ok()
        .and_then(|port| port.parse::<u16>().ok())
        .ok_or(std::io::ErrorKind::InvalidInput)?;
    let server = ChatServer::default().start();
    HttpServer::new(move || {
        App::new().app_data(web::Data::new(server.clone())).route("/", web::get().to(connect))
    })
    .backlog(4096)
    .bind(("127.0.0.1", port))?
    .run()
    .await
}

//! `epoll-writer`: the limit. One thread, one epoll, and for each message one frame that is built
//! once and written to every subscriber's socket. No sessions, no permissions, no order between
//! rooms, no history.
//!
//! It listens on `127.0.0.1:$PORT` and speaks text frames: `s ROOM` subscribes and is answered
//! `ok`; `p ROOM BODY` sends `BODY` to everybody who is subscribed to `ROOM`. With `--share`, what
//! has gathered for a room by the time that everything readable was read goes out in one write for
//! each socket.

use std::env;
use std::net::TcpListener;

use anyhow::{Context, Result};

mod conn;
mod frames;
mod handshake;
mod hub;

fn main() -> Result<()> {
    let share = env::args().skip(1).any(|arg| arg == "--share");
    let port: u16 =
        env::var("PORT").context("`PORT` is not set")?.parse().context("`PORT` is no port")?;
    let listener = TcpListener::bind(("127.0.0.1", port))
        .with_context(|| format!("port {port} cannot be listened on"))?;
    hub::Hub::new(listener, share)?.run()
}

//! The connection between a server and what it needs, its database or NATS, which can be held, cut,
//! slowed down, or made to lose answers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The state of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Everything passes.
    Open,
    /// Nothing passes; everything waits.
    Held,
    /// Requests wait, and answers pass.
    RequestsHeld,
    /// Answers wait, and requests pass.
    AnswersHeld,
    /// Everything passes, but only so much at a time, and this much later.
    Slow(Duration),
    /// Requests pass, but answers are lost.
    Mute,
    /// Existing and new connections break.
    Gone,
}

/// A proxy in front of a database, or of NATS.
pub struct Wire {
    /// The address to connect to instead.
    pub address: SocketAddr,
    state: watch::Sender<State>,
    /// How often it was cut.
    cuts: watch::Sender<u64>,
}

impl Wire {
    /// An open wire to the server at this address.
    pub async fn to(far: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("it has an address");
        let (state, seen) = watch::channel(State::Open);
        let (cuts, cut) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, far, seen.clone(), cut.clone()));
            }
        });
        Self { address, state, cuts }
    }

    /// Changes the state for all connections.
    pub fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    /// Breaks all current connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn carry(
    near: TcpStream,
    far: SocketAddr,
    state: watch::Receiver<State>,
    mut cut: watch::Receiver<u64>,
) {
    let mut gone = state.clone();
    cut.mark_unchanged();
    let pass = async {
        let Ok(far) = TcpStream::connect(far).await else { return };
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        tokio::select! {
            () = pump(near_read, far_write, state.clone(), Carries::Requests) => {}
            () = pump(far_read, near_write, state, Carries::Answers) => {}
        }
    };
    // When one of these ends, both sockets are dropped.
    tokio::select! {
        () = pass => {}
        _ = gone.wait_for(|state| *state == State::Gone) => {}
        _ = cut.changed() => {}
    }
}

/// The direction of a pump.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Requests,
    Answers,
}

impl Carries {
    fn passes(self, state: State) -> bool {
        match state {
            State::Held => false,
            State::RequestsHeld => self != Self::Requests,
            State::AnswersHeld => self != Self::Answers,
            State::Open | State::Slow(_) | State::Mute | State::Gone => true,
        }
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    carries: Carries,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let Ok(now) = state.wait_for(|state| carries.passes(*state)).await.map(|state| *state)
        else {
            return;
        };
        match now {
            State::Mute if carries == Carries::Answers => continue,
            State::Slow(late) => tokio::time::sleep(late).await,
            _ => {}
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

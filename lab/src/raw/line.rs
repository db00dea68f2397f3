//! One connection: how it comes in, and the task that listens to it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::dialect::Dialect;
use super::ear::{Ear, Heard};
use super::tally::{Lane, Tally};
use greenroom_loadtest::client::frame;
use greenroom_loadtest::client::socket::{read_once, upgrade};

/// How long a server may take to let a connection in.
const COMES_IN_WITHIN: Duration = Duration::from_secs(30);
/// A sender's ops in flight are at most so many.
pub const MOST_IN_FLIGHT: usize = 1024;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What one read brought; all connections of a thread share it.
#[derive(Default)]
struct Scratch {
    deliveries: Vec<u64>,
    acks: Vec<u64>,
}

/// What a sender is owed: when each op in flight was meant to be sent, by its number.
pub struct Account {
    stamps: Box<[AtomicU64]>,
    in_flight: AtomicUsize,
    /// Told whenever ops were answered.
    freed: Arc<Notify>,
}

impl Account {
    /// Nothing is in flight.
    pub fn new(freed: Arc<Notify>) -> Self {
        Self {
            stamps: (0..MOST_IN_FLIGHT).map(|_| AtomicU64::new(0)).collect(),
            in_flight: AtomicUsize::new(0),
            freed,
        }
    }

    /// How many ops wait for their answers.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Op `n`, meant for `us`, goes out.
    pub fn sent(&self, n: u64, us: u64) {
        self.stamps[n as usize % MOST_IN_FLIGHT].store(us, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
    }

    fn answered(&self, n: u64) -> u64 {
        self.in_flight.fetch_sub(1, Relaxed);
        self.stamps[n as usize % MOST_IN_FLIGHT].load(Relaxed)
    }
}

/// A connection that has come in.
pub struct Line {
    /// Its socket.
    pub stream: Arc<TcpStream>,
    dialect: Dialect,
    /// What was read behind the last step's answer, or a frame that is not complete yet.
    rest: Vec<u8>,
}

impl Line {
    /// Comes in as the dialect wants it.
    pub async fn open(
        address: SocketAddr,
        dialect: Dialect,
        room: Option<&str>,
        token: Option<&str>,
    ) -> Result<Self> {
        timeout(COMES_IN_WITHIN, Self::come_in(address, dialect, room, token))
            .await
            .context("the server did not let it in in time")?
    }

    async fn come_in(
        address: SocketAddr,
        dialect: Dialect,
        room: Option<&str>,
        token: Option<&str>,
    ) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await.context("there is no TCP connection")?;
        stream.set_nodelay(true)?;
        let mut rest = upgrade(&mut stream, &address.to_string(), dialect.path(), None).await?;
        for step in dialect.steps(room, token)? {
            stream.write_all(&step.send).await?;
            await_text(&mut stream, &mut rest, step.until).await?;
        }
        Ok(Self { stream: Arc::new(stream), dialect, rest })
    }

    /// Listens until the connection ends.
    pub async fn listen(self, tally: Arc<Tally>, account: Option<Arc<Account>>) {
        let (stream, mut rest, mut ear) = (self.stream, self.rest, Ear::new(self.dialect));
        rest.shrink_to_fit();
        while stream.readable().await.is_ok() {
            if !SCRATCH.with_borrow_mut(|scratch| {
                scratch.read(&stream, &mut rest, &mut ear, &tally, account.as_deref())
            }) {
                break;
            }
        }
        tally.lost();
    }
}

impl Scratch {
    /// Reads once and counts; false when the connection has ended.
    fn read(
        &mut self,
        stream: &TcpStream,
        rest: &mut Vec<u8>,
        ear: &mut Ear,
        tally: &Tally,
        account: Option<&Account>,
    ) -> bool {
        let Self { deliveries, acks } = self;
        deliveries.clear();
        acks.clear();
        let mut replied = true;
        let read = read_once(stream, rest, &mut |payload| {
            ear.hear(payload, &mut |heard| match heard {
                Heard::Delivery(stamp) => deliveries.push(stamp),
                Heard::Ack(n) => acks.extend(account.map(|account| account.answered(n))),
                Heard::Reply(reply) => replied &= stream.try_write(&reply).is_ok(),
                Heard::Complaint(text) => tally.complaint(&text),
            });
        });
        if !self.deliveries.is_empty() {
            tally.arrived(Lane::Delivery, &self.deliveries);
        }
        if let Some(account) = account.filter(|_| !self.acks.is_empty()) {
            tally.arrived(Lane::Ack, &self.acks);
            account.freed.notify_one();
        }
        replied && read.is_ok()
    }
}

/// Reads frames until one holds `wanted`, and drops those before it.
async fn await_text(stream: &mut TcpStream, rest: &mut Vec<u8>, wanted: &str) -> Result<()> {
    loop {
        while let Some(frame) = frame::first(rest) {
            let text = String::from_utf8_lossy(frame.payload);
            if text.contains("\"error\":") || text.contains("-ERR") || frame.opcode == frame::CLOSE
            {
                bail!("the server answers `{text}`");
            }
            let found = text.contains(wanted);
            let length = frame.length;
            drop(text);
            rest.drain(..length);
            if found {
                return Ok(());
            }
        }
        more(stream, rest).await?;
    }
}

async fn more(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Result<()> {
    if stream.read_buf(rest).await? == 0 {
        bail!("the server closed the connection");
    }
    Ok(())
}

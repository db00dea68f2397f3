//! Ways through this process: from a node to a server that it needs, which can be cut, and from
//! clients to any node that is ready.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How often nodes are asked whether they are ready, and how long the answer may take. It is what
/// an orchestrator's probe does, only faster.
const PROBE_EVERY: Duration = Duration::from_millis(200);
const PROBE_WITHIN: Duration = Duration::from_secs(1);

/// The directions in which a way carries nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    pub there: bool,
    pub back: bool,
}

/// A port that forwards connections. While it is cut, what is sent waits, and arrives late.
pub struct Way {
    address: SocketAddr,
    cut: watch::Sender<Cut>,
    // Dropped with the way, and all its connections with it.
    _carrying: JoinSet<()>,
}

impl Way {
    /// Forwards each connection to where `pick` says.
    pub async fn open(
        pick: impl Fn() -> Option<SocketAddr> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("there is no free port")?;
        let address = listener.local_addr()?;
        let (cut, cuts) = watch::channel(Cut::default());
        let mut carrying = JoinSet::new();
        carrying.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((near, _)) = listener.accept() => {
                        if let Some(far) = pick() {
                            connections.spawn(carry(near, far, cuts.clone()));
                        }
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, cut, _carrying: carrying })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn cut(&self, cut: Cut) {
        self.cut.send_replace(cut);
    }
}

/// Forwards one connection until both ends have closed it, or one is lost.
async fn carry(near: TcpStream, far: SocketAddr, mut cuts: watch::Receiver<Cut>) -> io::Result<()> {
    // Neither a SYN nor its answer may be missing.
    is_open(&mut cuts, |cut| !cut.there && !cut.back).await;
    let far = TcpStream::connect(far).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::try_join!(
        pass(near_in, far_out, cuts.clone(), |cut| !cut.there),
        pass(far_in, near_out, cuts, |cut| !cut.back),
    )?;
    Ok(())
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut cuts: watch::Receiver<Cut>,
    open: fn(&Cut) -> bool,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await;
        is_open(&mut cuts, open).await;
        match read? {
            0 => return to.shutdown().await,
            count => to.write_all(&bytes[..count]).await?,
        }
    }
}

async fn is_open(cuts: &mut watch::Receiver<Cut>, open: impl Fn(&Cut) -> bool) {
    // The way has the sender; without it nothing is carried any more.
    let _ = cuts.wait_for(|cut| open(cut)).await;
}

/// The nodes that clients are led to.
#[derive(Clone, Default)]
pub struct Doors(Arc<Mutex<Vec<Door>>>);

#[derive(Debug, Clone, Copy)]
struct Door {
    clients: SocketAddr,
    admin: SocketAddr,
    ready: bool,
}

impl Doors {
    fn doors(&self) -> MutexGuard<'_, Vec<Door>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node that is ready, with the addresses for clients and operators.
    pub fn add(&self, (clients, admin): (SocketAddr, SocketAddr)) {
        self.doors().push(Door { clients, admin, ready: true });
    }

    /// The node with this address for clients has ended.
    pub fn remove(&self, clients: SocketAddr) {
        self.doors().retain(|door| door.clients != clients);
    }

    /// One of the nodes that are ready, at random; any node if none is.
    pub fn pick(&self) -> Option<SocketAddr> {
        let doors = self.doors();
        let ready: Vec<_> = doors.iter().filter(|door| door.ready).collect();
        fastrand::choice(ready).or(fastrand::choice(doors.iter())).map(|door| door.clients)
    }

    /// Asks every node whether it is ready; returns whether all are.
    pub async fn probe(&self) -> bool {
        let asked = self.doors().clone();
        let ready = join_all(asked.iter().map(|door| is_ready(door.admin))).await;
        for (asked, ready) in asked.iter().zip(&ready) {
            if let Some(door) = self.doors().iter_mut().find(|d| d.clients == asked.clients) {
                door.ready = *ready;
            }
        }
        ready.into_iter().all(|ready| ready)
    }

    /// Does so until all are ready.
    pub async fn all_ready(&self) {
        while !self.probe().await {
            sleep(PROBE_EVERY).await;
        }
    }

    /// Does so for ever.
    pub async fn watch(&self) {
        loop {
            self.probe().await;
            sleep(PROBE_EVERY).await;
        }
    }
}

/// Whether the node with this address for operators says that it is ready.
async fn is_ready(admin: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        Ok::<_, io::Error>(status.ends_with(b" 200"))
    };
    matches!(timeout(PROBE_WITHIN, ask).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn what_is_sent_while_a_way_is_cut_arrives_late() {
        let far = echo().await;
        let way = Way::open(move || Some(far)).await.expect("a free port");
        let mut stream = TcpStream::connect(way.address()).await.expect("it listens");
        let mut byte = [0];
        for cut in [
            Cut { there: true, back: false },
            Cut { there: false, back: true },
            Cut { there: true, back: true },
        ] {
            stream.write_all(b"a").await.expect("it is open");
            stream.read_exact(&mut byte).await.expect("it comes back");
            way.cut(cut);
            stream.write_all(b"b").await.expect("it is only cut");
            let late = timeout(Duration::from_millis(50), stream.read_exact(&mut byte)).await;
            assert!(late.is_err(), "{cut:?} carried something");
            way.cut(Cut::default());
            stream.read_exact(&mut byte).await.expect("it comes late");
            assert_eq!(byte, *b"b");
        }
        drop(way);
        assert_eq!(stream.read(&mut byte).await.unwrap_or(0), 0, "the way is gone");
    }

    #[tokio::test]
    async fn clients_are_led_to_nodes_that_are_ready() {
        let doors = Doors::default();
        assert_eq!(doors.pick(), None);
        // Neither answers as a node does.
        let (first, second) = (echo().await, echo().await);
        doors.add((first, first));
        doors.add((second, second));
        assert!(!doors.probe().await);
        assert!(doors.pick().is_some(), "where none is ready, any will do");
        doors.doors()[1].ready = true;
        assert!((0..50).all(|_| doors.pick() == Some(second)));
        doors.remove(second);
        assert_eq!(doors.pick(), Some(first));
    }
}

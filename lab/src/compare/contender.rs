//! Who is compared, and how each is started.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::raw::Dialect;
use crate::raw::stage::Host;
use greenroom_loadtest::client::Tokens;
use greenroom_loadtest::server::{self, Server, ServerArgs, Setup};

/// How long a peer may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);

/// Where the peers' programs are.
#[derive(Debug, Clone, clap::Args, Serialize)]
pub struct Programs {
    /// The directory with `epoll-writer` and `stock-actix`
    #[arg(long, value_name = "DIR", default_value = "lab/baseline/target/release")]
    pub baseline: PathBuf,
    /// The directory with the peers' small servers and their `node_modules`
    #[arg(long, value_name = "DIR", default_value = "lab/peers")]
    pub peers: PathBuf,
    /// Node
    #[arg(long, value_name = "PATH", default_value = "node")]
    pub node: PathBuf,
    /// A Python that has the packages of the peers' `requirements.txt`
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
    /// NATS
    #[arg(long, value_name = "PATH", default_value = "nats-server")]
    pub nats: PathBuf,
}

/// How it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A program of the baseline's directory, with these arguments.
    Baseline(&'static str, &'static [&'static str]),
    /// A script of the peers' directory, in Node.
    Node(&'static str),
    /// The same in Python.
    Python(&'static str),
    /// NATS, with a configuration of the peers' directory.
    Nats(&'static str),
    /// Greenroom itself.
    Greenroom,
}

/// One of those that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contender {
    /// Its name in tables.
    pub name: &'static str,
    /// What it speaks.
    pub dialect: Dialect,
    kind: Kind,
}

/// All of them. Greenroom comes twice: signals are what the others' messages are; posts are kept
/// and acknowledged after they are on disk.
pub const ALL: &[Contender] = &[
    Contender {
        name: "epoll-writer",
        dialect: Dialect::Text,
        kind: Kind::Baseline("epoll-writer", &[]),
    },
    Contender {
        name: "epoll-writer-share",
        dialect: Dialect::Text,
        kind: Kind::Baseline("epoll-writer", &["--share"]),
    },
    Contender {
        name: "stock-actix",
        dialect: Dialect::Text,
        kind: Kind::Baseline("stock-actix", &[]),
    },
    Contender { name: "uwebsockets", dialect: Dialect::Text, kind: Kind::Python("uwebsockets.py") },
    Contender { name: "ws", dialect: Dialect::Text, kind: Kind::Node("ws.js") },
    Contender { name: "socket.io", dialect: Dialect::SocketIo, kind: Kind::Node("socket.io.js") },
    Contender { name: "nats", dialect: Dialect::Nats, kind: Kind::Nats("nats.conf") },
    Contender { name: "greenroom", dialect: Dialect::Signals, kind: Kind::Greenroom },
    Contender { name: "greenroom-durable", dialect: Dialect::Posts, kind: Kind::Greenroom },
];

/// One that runs; it ends when this is dropped.
pub struct Running {
    /// How to reach it.
    pub host: Host,
    process: Process,
}

/// A peer's process.
struct Peer(Child);

enum Process {
    Peer(Peer),
    Greenroom(Server, Box<Setup>),
}

impl Contender {
    /// Starts it, on the server's cores, and waits until it listens.
    pub fn start(&self, programs: &Programs, server: &ServerArgs) -> Result<Running> {
        let host = |address, pid| Host {
            address,
            dialect: self.dialect,
            pid: Some(pid),
            tokens: Tokens::Anonymous,
        };
        if self.kind == Kind::Greenroom {
            let setup = Setup::new(server)?;
            let server = Server::start(&setup)?;
            return Ok(Running {
                host: host(server.address(), server.pid()),
                process: Process::Greenroom(server, Box::new(setup)),
            });
        }
        let address = server::free_address()?;
        let child = self
            .command(programs, server, address)?
            .spawn()
            .with_context(|| format!("`{}` cannot be started", self.name))?;
        let mut running =
            Running { host: host(address, child.id()), process: Process::Peer(Peer(child)) };
        running.await_listener(self.name)?;
        Ok(running)
    }

    fn command(
        &self,
        programs: &Programs,
        server: &ServerArgs,
        address: SocketAddr,
    ) -> Result<Command> {
        let script = |name: &str| absolute(&programs.peers.join(name));
        let (program, args) = match self.kind {
            Kind::Baseline(name, args) => {
                (absolute(&programs.baseline.join(name))?, args.iter().map(Into::into).collect())
            }
            Kind::Node(name) => (programs.node.clone(), vec![script(name)?]),
            Kind::Python(name) => (programs.python.clone(), vec![script(name)?]),
            Kind::Nats(name) => (programs.nats.clone(), vec!["-c".into(), script(name)?]),
            Kind::Greenroom => bail!("Greenroom is started with its own configuration"),
        };
        let mut command = match &server.server_cpus {
            Some(cpus) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cpus]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(args).env("PORT", address.port().to_string()).env("NODE_ENV", "production");
        // What they say while they run would mix with the report.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command)
    }
}

impl Running {
    fn await_listener(&mut self, name: &str) -> Result<()> {
        let began = Instant::now();
        while TcpStream::connect(self.host.address).is_err() {
            if let Process::Peer(peer) = &mut self.process
                && let Some(status) = peer.0.try_wait()?
            {
                bail!(
                    "`{name}` ended before it listened: {status}; see the peers' directory for how to start it by hand"
                );
            }
            if began.elapsed() > LISTENS_WITHIN {
                bail!("`{name}` did not listen within {} s", LISTENS_WITHIN.as_secs());
            }
            server::wait_a_little();
        }
        Ok(())
    }

    /// Ends it. Peers are killed: they keep nothing.
    pub fn stop(self) -> Result<()> {
        match self.process {
            Process::Greenroom(server, setup) => {
                server.stop()?;
                drop(setup);
            }
            Process::Peer(peer) => drop(peer),
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // One that ended by itself needs no killing, and that was noticed by its lost connections.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is started with `taskset`, or from another directory, needs its full path.
fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| {
        format!(
            "`{}` is not there; `make bench-peers` builds and installs what is compared",
            path.display()
        )
    })
}

/// Those that are named, in their order; all of them where nothing is.
pub fn choose(only: &[String]) -> Result<Vec<Contender>> {
    let names: Vec<_> = ALL.iter().map(|contender| contender.name).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("there is no contender `{unknown}`; there are {}", names.join(", "));
    }
    Ok(ALL
        .iter()
        .filter(|contender| only.is_empty() || only.iter().any(|name| name == contender.name))
        .copied()
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choosing() {
        let names = |only: &[&str]| -> Result<Vec<_>> {
            let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
            Ok(choose(&only)?.iter().map(|contender| contender.name).collect())
        };
        assert_eq!(names(&["ws", "epoll-writer"]).expect("both exist"), ["epoll-writer", "ws"]);
        assert_eq!(names(&[]).expect("nothing is unknown").len(), ALL.len());
        assert!(names(&["nobody"]).is_err());
    }
}

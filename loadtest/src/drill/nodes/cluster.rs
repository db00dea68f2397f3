//! The processes of a drill over several nodes: a database, a NATS server, and the nodes, each with
//! ways of its own to both.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use super::balance;
use super::fault::{Applied, Fault, any_cut, between};
use super::way::{Cut, Doors, Way};
use crate::drill::clock::SteppedClock;
use crate::drill::restarts::blocking;
use crate::server::{Place, Server, Setup, free_address, signal};

/// The namespace and the database in it.
pub const DATABASE: &str = "greenroom";
const USER: &str = "root";
const PASSWORD: &str = "secret";
/// These two.
pub const BASIC_AUTH: &str = "Basic cm9vdDpzZWNyZXQ=";

/// How long a database or a NATS server may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take after a fault until all nodes are ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take until each node owns its share of the slots. A new one gets it ten seconds
/// after the last change.
const BALANCED_WITHIN: Duration = Duration::from_secs(60);
/// How often nodes are asked.
const LOOKS_EVERY: Duration = Duration::from_millis(200);
/// How long a NATS server that is to stop lets its clients go elsewhere, before it is restarted.
const LAME_FOR: Duration = Duration::from_millis(1500);

/// A program that all nodes need, always at the same address.
pub struct Helper {
    program: PathBuf,
    arguments: Vec<String>,
    address: SocketAddr,
    log: Log,
    child: Option<Child>,
}

/// Where programs write what they have to say.
#[derive(Clone, Default)]
pub struct Log(pub Option<PathBuf>);

impl Log {
    fn file(&self, name: &str) -> Result<Stdio> {
        let Some(dir) = &self.0 else { return Ok(Stdio::null()) };
        let path = dir.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&path);
        Ok(file.with_context(|| format!("`{}` cannot be written", path.display()))?.into())
    }
}

impl Helper {
    async fn start(
        program: &Path,
        arguments: Vec<String>,
        at: SocketAddr,
        log: Log,
    ) -> Result<Self> {
        let program = program.to_owned();
        let mut helper = Self { program, arguments, address: at, log, child: None };
        helper.run().await?;
        Ok(helper)
    }

    /// Starts it and waits until it listens.
    async fn run(&mut self) -> Result<()> {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(self.log.file(&name)?).stderr(self.log.file(&name)?);
        let program = self.program.display();
        let child = command.spawn().with_context(|| format!("`{program}` cannot be started"))?;
        let child = self.child.insert(child);
        let began = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("`{program}` has ended: {status}");
            }
            if began.elapsed() > LISTENS_WITHIN {
                bail!("`{program}` did not listen within {} s", LISTENS_WITHIN.as_secs());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn pid(&self) -> Result<u32> {
        self.child.as_ref().and_then(Child::id).context("the process has ended")
    }

    /// Kills it, and starts it again after `away`.
    async fn restart(&mut self, away: Duration) -> Result<()> {
        let mut child = self.child.take().context("the process has ended")?;
        child.kill().await.context("the process cannot be killed")?;
        sleep(away).await;
        self.run().await
    }
}

/// One node of the cluster.
struct Node {
    server: Server,
    place: Place,
    /// To NATS and to the database, if they can be cut.
    ways: Option<[Way; 2]>,
    /// Its wall clock, if that can be set.
    clock: Option<SteppedClock>,
}

pub struct Cluster {
    setup: Arc<Setup>,
    nodes: Vec<Node>,
    database: Helper,
    nats: Helper,
    extras: Extras,
    /// The nodes that were started so far.
    started: u32,
    /// The processes whose clocks were not the machine's.
    preloaded: Vec<u32>,
    pub doors: Doors,
    pub failures: Vec<String>,
}

/// What a cluster has besides its processes.
#[derive(Clone, Default)]
pub struct Extras {
    /// Nodes have clocks that can be set.
    pub clocks: bool,
    /// What nodes need can be cut off from them: it goes through this process.
    pub ways: bool,
    pub log: Log,
}

/// Where one node is.
#[derive(Debug, Clone, Copy)]
pub struct Spot {
    pub pid: u32,
    /// For clients, and for operators.
    pub addresses: (SocketAddr, SocketAddr),
}

impl Cluster {
    /// Starts a database, a NATS server and `count` nodes.
    pub async fn start(
        setup: Setup,
        count: u16,
        extras: Extras,
        [nats, database]: [&Path; 2],
    ) -> Result<Self> {
        let log = &extras.log;
        let file = setup.dir().join("nats.conf");
        let (at, dir) = (free_address()?, setup.dir().join("database"));
        let arguments = format!(
            "start --no-banner --user {USER} --pass {PASSWORD} --bind {at} surrealkv://{}?sync=every",
            dir.display()
        );
        let arguments = arguments.split(' ').map(str::to_owned).collect();
        let database = Helper::start(database, arguments, at, log.clone()).await?;
        let at = free_address()?;
        let lines = format!(
            "listen: \"{at}\"\nping_interval: \"1s\"\nping_max: 2\nwrite_deadline: \"2s\"\n\
             lame_duck_grace_period: \"1s\"\nlame_duck_duration: \"30s\"\n"
        );
        std::fs::write(&file, lines).context("the configuration of NATS cannot be written")?;
        let arguments = vec!["--config".into(), file.to_string_lossy().into_owned()];
        let nats = Helper::start(nats, arguments, at, log.clone()).await?;
        let mut cluster = Self {
            setup: Arc::new(setup),
            nodes: Vec::new(),
            database,
            nats,
            extras,
            started: 0,
            preloaded: Vec::new(),
            doors: Doors::default(),
            failures: Vec::new(),
        };
        for _ in 0..count {
            cluster.add(None).await?;
        }
        cluster.all_ready().await?;
        Ok(cluster)
    }

    /// Where the database listens.
    pub fn database(&self) -> SocketAddr {
        self.database.address
    }

    /// The nodes, in the order in which they were started.
    pub fn spots(&self) -> Vec<Spot> {
        let spot = |node: &Node| Spot { pid: node.server.pid(), addresses: node.place.addresses() };
        self.nodes.iter().map(spot).collect()
    }

    /// The processes of NATS and of the database.
    pub fn helpers(&self) -> Result<[u32; 2]> {
        Ok([self.nats.pid()?, self.database.pid()?])
    }

    /// Starts one more node; all its clocks run at `rate`, if there is one.
    pub async fn add(&mut self, rate: Option<&'static str>) -> Result<()> {
        self.started += 1;
        let name = format!("node-{}", self.started);
        let (nats, store) = (self.nats.address, self.database.address);
        let mut ways = None;
        let (mut to_nats, mut to_store) = (nats, store);
        if self.extras.ways {
            let both = [nats, store].map(|far| Way::open(move || Some(far)));
            let [first, second] = both;
            let both = [first.await?, second.await?];
            [to_nats, to_store] = [both[0].address(), both[1].address()];
            ways = Some(both);
        }
        let mut environment = vec![
            format!("GREENROOM_STORE__URL=ws://{to_store}"),
            format!("GREENROOM_STORE__USERNAME={USER}"),
            format!("GREENROOM_STORE__PASSWORD={PASSWORD}"),
            format!("GREENROOM_CLUSTER__NAME={DATABASE}"),
            format!("GREENROOM_CLUSTER__NODE={name}"),
            format!("GREENROOM_CLUSTER__NATS__URL=nats://{to_nats}"),
        ];
        let mut clock = None;
        if self.extras.clocks {
            let new = SteppedClock::new()?;
            environment.extend(match rate {
                Some(rate) => new.at_rate(rate),
                None => new.steps_wall_time(),
            });
            clock = rate.is_none().then_some(new);
        }
        let place = Place::free()?;
        let (setup, stderr) = (Arc::clone(&self.setup), self.extras.log.file(&name)?);
        let server = blocking(move || {
            Server::start_with(&setup, place, |command: &mut Command| {
                command.envs(environment.iter().filter_map(|pair| pair.split_once('=')));
                command.stderr(stderr);
            })
        });
        let server = server.await.with_context(|| name)?;
        if self.extras.clocks {
            self.preloaded.push(server.pid());
        }
        self.doors.add(place.addresses());
        self.nodes.push(Node { server, place, ways, clock });
        Ok(())
    }

    /// Kills a node, and does not replace it.
    pub async fn kill(&mut self, index: usize) {
        self.end(index, Server::kill).await;
    }

    /// Takes a node out; `end` ends its process. A bad end is only recorded.
    async fn end(&mut self, index: usize, end: impl FnOnce(Server) -> Result<()> + Send + 'static) {
        let node = self.nodes.remove(index);
        let ended = blocking(move || end(node.server)).await;
        self.failures.extend(ended.err().map(|error| format!("a node: {error:#}")));
        self.doors.remove(node.place.addresses().0);
    }

    /// Applies a fault; returns once it is over.
    pub async fn apply(&mut self, fault: Fault) -> Result<Applied> {
        let applied = |away, how: String| Applied { away, how };
        let here = |how| applied(Duration::ZERO, how);
        let index = fastrand::usize(..self.nodes.len());
        let began = Instant::now();
        Ok(match fault {
            Fault::Kill => {
                self.end(index, Server::kill).await;
                sleep(between(0, 2000)).await;
                self.add(None).await?;
                here("killed".into())
            }
            Fault::Stop => {
                let pid = self.nodes[index].server.pid();
                signal(pid, "-STOP")?;
                let time = between(500, 10_000);
                sleep(time).await;
                signal(pid, "-CONT")?;
                here(format!("{time:?}"))
            }
            Fault::CutNats | Fault::CutStore => {
                let [to_nats, to_store] =
                    self.nodes[index].ways.as_ref().context("nothing can be cut off")?;
                let way = if fault == Fault::CutNats { to_nats } else { to_store };
                let ((cut, direction), time) = (any_cut(), between(1000, 6000));
                way.cut(cut);
                sleep(time).await;
                way.cut(Cut::default());
                here(format!("{direction}, {time:?}"))
            }
            Fault::Nats => {
                let lame = fastrand::bool();
                if lame {
                    signal(self.nats.pid()?, "-USR2")?;
                    sleep(LAME_FOR).await;
                }
                self.nats.restart(between(0, 2000)).await?;
                let how = if lame { "lame duck" } else { "killed" };
                applied(began.elapsed(), how.into())
            }
            Fault::Database => {
                self.database.restart(between(0, 3000)).await?;
                applied(began.elapsed(), "killed".into())
            }
            Fault::Rolling => {
                for _ in 0..self.nodes.len() {
                    self.add(None).await?;
                    self.end(0, Server::stop).await;
                }
                here("all replaced".into())
            }
            Fault::Skew => match &mut self.nodes[index].clock {
                Some(clock) if fastrand::bool() => {
                    clock.step_once()?;
                    here("wall clock".into())
                }
                _ => {
                    self.add(Some("x1.01")).await?;
                    self.end(index, Server::stop).await;
                    here("replaced by a fast one".into())
                }
            },
        })
    }

    /// Waits until all nodes are ready. One that has ended by itself is a failure, and is replaced.
    pub async fn all_ready(&mut self) -> Result<()> {
        for index in (0..self.nodes.len()).rev() {
            if let Some(status) = self.nodes[index].server.ended()? {
                self.failures.push(format!("a node has ended by itself: {status}"));
                self.end(index, |_| Ok(())).await;
                self.add(None).await?;
            }
        }
        let ready = timeout(READY_WITHIN, self.doors.all_ready()).await;
        ready.map_err(|_| anyhow!("not all nodes were ready within {} s", READY_WITHIN.as_secs()))
    }

    /// Waits until each node owns its share, so that a fault meets a node that owns something.
    pub async fn balanced(&self) -> Result<()> {
        let nodes: Vec<_> = self.nodes.iter().map(|node| node.place.addresses().1).collect();
        let began = Instant::now();
        while let Err(missing) = balance::check(nodes.clone()).await {
            if began.elapsed() > BALANCED_WITHIN {
                let limit = BALANCED_WITHIN.as_secs();
                return Err(missing.context(format!("the slots were not shared out in {limit} s")));
            }
            sleep(LOOKS_EVERY).await;
        }
        Ok(())
    }

    /// Asks all nodes to stop, one after the other.
    pub async fn stop(&mut self) {
        while !self.nodes.is_empty() {
            self.end(0, Server::stop).await;
        }
        self.preloaded.iter().for_each(|pid| SteppedClock::forget(*pid));
    }
}

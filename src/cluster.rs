//! A node of a cluster: runs the core's [`Node`] on a thread of its own, over NATS and the database.
//!
//! ```text
//!  workers ── queue ──▶ ┌────────┐ ── frames, beats ──▶ NATS
//!  workers ◀── parts ── │ runner │ ── polls, joins ───▶ database (a connection of its own)
//!  shards ◀─── slots ── └────────┘ ── terms, changes ─▶ committer ──▶ database
//! ```
//!
//! The runner never waits for any of them: what takes time runs in a task and reports back through a
//! queue. So it always hears the others and its beats are on time.

use std::sync::Arc;

use greenroom_actors::cluster::lease::Validity;
use greenroom_actors::cluster::map::{Common, NodeId, Peer, Term, Versions};
use greenroom_actors::cluster::membership::Ended;
use greenroom_actors::cluster::registry::Registry;
use greenroom_actors::frames::Encoder;
use greenroom_actors::journal::{Journal, Standing};
use greenroom_actors::limits::Accounts;
use greenroom_actors::messages::{Directory, Exchange, RelayHandle, ToExchange};
use greenroom_actors::node::{Node, Setup, Status};
use greenroom_protocol::EntityId;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::{ClusterConfig, Config, StoreConfig};
use crate::failure::Failure;
use crate::release;
use crate::store::{self, SurrealStore};
use crate::ws;

mod carry;
mod controls;
mod deliveries;
mod orders;
mod questions;
mod report;
mod runner;
mod view;

use questions::Question;
pub use questions::{Request, What};
use runner::{Outside, PATIENCE, Runner};
pub use view::View;

/// Questions and orders that wait for the runner.
const QUESTIONS: usize = 16;

/// A node that is not running yet.
pub struct Cluster {
    config: ClusterConfig,
    settings: greenroom_actors::node::Settings,
    id: NodeId,
    validity: Arc<Validity>,
    exchange: Exchange,
    queue: mpsc::Receiver<ToExchange>,
    standing: (watch::Sender<Standing>, watch::Receiver<Standing>),
}

/// What the node needs of the rest of the server.
pub struct Parts {
    /// To append to the journal.
    pub journal: Journal,
    /// The shards.
    pub directory: Directory,
    /// The relay of each worker, then the canary's.
    pub relays: Vec<RelayHandle>,
    /// Who pays for requests.
    pub accounts: Arc<Accounts>,
}

/// A node that runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    questions: mpsc::Sender<Question>,
    view: watch::Receiver<View>,
}

impl Cluster {
    /// A node that this process has not been before.
    pub fn new(config: &Config, cluster: &ClusterConfig) -> Self {
        let settings = cluster.settings(config.socket.presence_grace);
        let (exchange, queue) = Exchange::channel(cluster.queue);
        Self {
            config: cluster.clone(),
            settings,
            id: NodeId(fastrand::u64(1..)),
            validity: Arc::new(Validity::new(settings.membership.lease)),
            exchange,
            queue,
            standing: watch::channel(Standing::default()),
        }
    }

    /// The node's id, which is also that of its sessions.
    pub const fn id(&self) -> NodeId {
        self.id
    }

    /// Until when the node may serve what it owns.
    pub fn validity(&self) -> Arc<Validity> {
        Arc::clone(&self.validity)
    }

    /// The way to other nodes.
    pub fn exchange(&self) -> Exchange {
        self.exchange.clone()
    }

    /// Where the committer shows what its transactions find.
    pub fn standing(&self) -> watch::Sender<Standing> {
        self.standing.0.clone()
    }

    fn peer(&self) -> Peer {
        let release = release::current();
        Peer {
            number: 0,
            id: self.id,
            term: Term(0),
            name: self.config.node_name(),
            state: greenroom_actors::cluster::map::PeerState::Up,
            proto: Versions { min: 1, max: u32::from(release.proto) },
            schema: store::schema_of(&release),
            version: release.version.into(),
            weight: self.config.weight,
            joined: greenroom_actors::clock::wall(),
            common: Common {
                cluster: self.config.name.clone(),
                lease: self.settings.membership.lease.length,
            },
        }
    }

    /// Connects to NATS and starts the node on a thread of its own. It joins in the background.
    ///
    /// # Errors
    /// If NATS or the database cannot be reached, or the thread not be started.
    pub async fn start(self, store: &StoreConfig, parts: Parts) -> Result<Handle, Failure> {
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let (show, view) = watch::channel(View::default());
        let me = self.peer();
        tracing::info!(node = %me.id, name = %me.name, cluster = %self.config.name, "joining the cluster");
        let node = Node::new(
            Setup {
                me,
                settings: self.settings,
                validity: self.validity,
                encoder: Encoder::new(ws::frame),
                accounts: parts.accounts,
                exchange: self.exchange,
                rng: fastrand::Rng::new(),
            },
            greenroom_actors::clock::mono(),
        );
        let outside = Outside {
            id: self.id,
            config: self.config,
            poll_timeout: self.settings.membership.poll_timeout,
            queue: self.queue,
            standing: self.standing.1,
            questions: asked,
            view: show,
            journal: parts.journal,
            directory: parts.directory,
            relays: parts.relays,
            registry: registry(store).await?,
        };
        Runner::start(node, outside).await?;
        Ok(Handle { questions, view })
    }
}

impl Handle {
    /// What the node knows of the cluster, and its changes.
    pub fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// How the node sees itself and the others.
    ///
    /// # Errors
    /// If it has ended.
    pub async fn status(&self) -> Result<Status, String> {
        self.ask(Question::Status).await
    }

    /// Which node owns an entity, as far as this one knows; `None` if nobody does at the moment.
    ///
    /// # Errors
    /// If it has ended.
    pub async fn owner(&self, entity: EntityId) -> Result<Option<Peer>, String> {
        self.ask(|reply| Question::Owner(entity, reply)).await
    }

    /// Asks the node for something, which it begins to do.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn request(&self, request: Request) -> Result<(), String> {
        self.ask(|reply| Question::Request(request, reply)).await?
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        let ended = || "the node has ended".to_owned();
        self.questions.send(question(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }

    /// Hands all slots of this node over to the others, and waits until it has none.
    pub async fn give_up_slots(&self) {
        if let Err(why) = self.request(Request::Stop).await {
            return tracing::warn!(%why, "the node cannot drain");
        }
        let mut view = self.view.clone();
        // An error means that it has ended.
        let _ended = view.wait_for(|view| view.ended.is_some() || view.owns_nothing).await;
    }

    /// Leaves the cluster, and waits until it is done.
    pub async fn leave(&self) {
        if self.view.borrow().ended.is_some() {
            return;
        }
        match self.request(Request::Leave).await {
            Ok(()) => {
                let why = self.ended().await;
                tracing::info!(%why, "stopped as a node of the cluster");
            }
            Err(why) => tracing::warn!(%why, "the node cannot leave the cluster"),
        }
    }

    /// Resolves when the node is not in the cluster any more, with the reason.
    pub async fn ended(&self) -> Ended {
        let mut view = self.view.clone();
        match view.wait_for(|view| view.ended.is_some()).await.map(|view| view.ended.clone()) {
            Ok(Some(ended)) => ended,
            _ => std::future::pending().await,
        }
    }
}

/// Opens a second connection to the database, for polls, so that no page stands before them.
///
/// # Errors
/// If the database cannot be reached.
async fn registry(config: &StoreConfig) -> Result<Arc<dyn Registry>, Failure> {
    let store = SurrealStore::open_patiently(config, PATIENCE)
        .await
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    Ok(Arc::new(store.registry()))
}

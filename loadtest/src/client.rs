//! One connection to a Greenroom server.

use std::ops::{Deref, DerefMut};

use greenroom_protocol::params::{Connect, Enter, Subscribe};
use greenroom_protocol::results::{Connected, Subscribed};
use greenroom_protocol::{Call, EntityId};
use tokio::time::timeout;

pub mod failure;
pub mod frame;
pub mod socket;
pub mod target;
pub mod wire;

pub use failure::Failure;
pub use target::{Target, Tokens};
pub use wire::Wire;

/// A connection that has been through `connect`.
pub struct Conn {
    wire: Wire,
    /// What `connect` answered, without its subscriptions.
    pub hello: Connected,
}

/// Who connects. Only where tokens are minted does the user count.
#[derive(Debug, Clone, Default)]
pub struct Who {
    /// The user that a minted token names.
    pub user: String,
    /// The client id of an installation that presents it each time that it comes back.
    pub client: Option<String>,
    pub session: Option<String>,
    /// Where it is to be present; the outcomes are in the answer.
    pub enters: Vec<Enter>,
    /// What a minted token lets it read, if that is not everything.
    pub reads: Option<Vec<EntityId>>,
    /// Which one of many it is: so many that one address of this machine has not enough ports.
    pub number: usize,
}

impl Conn {
    /// Opens a connection and subscribes within `connect`. Returns what each subscription answered,
    /// in the order asked for.
    ///
    /// # Errors
    /// Any step that failed, a refused subscription among them; not that a session to resume is
    /// unknown, which [`hello`](Self::hello) tells.
    pub async fn open(
        target: &Target,
        who: Who,
        subscriptions: Vec<Subscribe>,
    ) -> Result<(Self, Vec<Subscribed>), Failure> {
        let (conn, outcomes) = Self::open_with(target, who, subscriptions, |_| {}).await?;
        Ok((conn, outcomes.into_iter().collect::<Result<_, _>>()?))
    }

    /// The same; what `behind` queues is sent in one write with `connect`, and its answers are left
    /// to the caller, as are refused subscriptions.
    pub async fn open_with(
        target: &Target,
        who: Who,
        subscriptions: Vec<Subscribe>,
        behind: impl FnOnce(&mut Wire),
    ) -> Result<(Self, Vec<Result<Subscribed, Failure>>), Failure> {
        let opening = Self::establish(target, who, subscriptions, behind);
        timeout(target.connect_within, opening).await.map_err(|_| Failure::Timeout("connect"))?
    }

    async fn establish(
        target: &Target,
        Who { user, client, session, enters, reads, number }: Who,
        subscriptions: Vec<Subscribe>,
        behind: impl FnOnce(&mut Wire),
    ) -> Result<(Self, Vec<Result<Subscribed, Failure>>), Failure> {
        let token = target.token(&user, reads.as_deref())?;
        let version = Some(concat!("greenroom-loadtest/", env!("CARGO_PKG_VERSION")).to_owned());
        let mut wire = Wire::open(target, number).await?;
        let presence = enters;
        let connect = Connect { token, client, session, subscriptions, presence, version };
        let asked = wire.feed(&Call::Connect(connect));
        behind(&mut wire);
        // What came behind may be answered first, such as a repeat whose outcome is known.
        let mut early = Vec::new();
        let mut hello: Connected = wire.answer(asked, |message| early.push(message)).await?;
        wire.put_back(early);
        let outcomes = std::mem::take(&mut hello.subscriptions).into_iter();
        let subscribed = outcomes.map(|outcome| match (outcome.result, outcome.error) {
            (Some(result), None) => Ok(result),
            (_, Some(error)) => Err(Failure::Refused(error)),
            (None, None) => Err(Failure::NotUnderstood("a subscription has no outcome".into())),
        });
        let subscribed = subscribed.collect();
        Ok((Self { wire, hello }, subscribed))
    }
}

impl Deref for Conn {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        &self.wire
    }
}

impl DerefMut for Conn {
    fn deref_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

impl From<&str> for Who {
    fn from(user: &str) -> Self {
        Self { user: user.to_owned(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests;

//! Filling: as many posts as the server acknowledges, spread evenly over rooms.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::raw::Dialect;
use crate::raw::line::{Account, Line};
use crate::raw::stage::Host;
use crate::raw::tally::Tally;
use greenroom_loadtest::client::socket::send;

/// Connections that post.
const SENDERS: u64 = 16;
/// Unanswered posts of each. Together they are fewer than one entity's mailbox holds, and fewer
/// than may wait for a cold start.
const IN_FLIGHT: usize = 32;
/// How long the server may answer none of them.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// What is to be there.
#[derive(Debug, Clone, Copy)]
pub struct Fill<'a> {
    /// The run that the rooms are named by, as the stages name theirs.
    pub run: &'a str,
    /// How many rooms. They take turns, so that each event of many rooms has a row of its own in
    /// the journal.
    pub rooms: u64,
    /// How many events in all of them together.
    pub events: u64,
    /// Size of a body.
    pub bytes: usize,
}

/// One connection that posts.
struct Pourer {
    stream: Arc<TcpStream>,
    account: Arc<Account>,
    /// Told when answers came.
    freed: Arc<Notify>,
    /// Its last post's number.
    n: u64,
    /// Frames that are not sent yet.
    out: Vec<u8>,
}

impl Fill<'_> {
    /// Posts until everything is acknowledged.
    pub async fn pour(&self, host: &Host) -> Result<()> {
        let tally = Arc::new(Tally::new());
        let (mut listeners, mut pourers) = (JoinSet::new(), Vec::new());
        for _ in 0..SENDERS {
            let line = Line::open(host.address, Dialect::Posts, None, None).await?;
            let freed = Arc::new(Notify::new());
            let account = Arc::new(Account::new(freed.clone()));
            pourers.push(Pourer {
                stream: line.stream.clone(),
                account: account.clone(),
                freed,
                n: 0,
                out: Vec::new(),
            });
            listeners.spawn(line.listen(tally.clone(), Some(account)));
        }
        let poured = try_join_all(
            pourers.iter_mut().zip(0..).map(|(pourer, first)| pourer.pour(self, first)),
        )
        .await;
        listeners.shutdown().await;
        let complaints = tally.complaints();
        ensure!(complaints.is_empty(), "the server refuses posts: {complaints:?}");
        poured.map(drop)
    }

    /// Text by chance: the database shall not find it easy to compress.
    fn body(&self) -> String {
        let text: String =
            (0..self.bytes.saturating_sub(8)).map(|_| fastrand::alphanumeric()).collect();
        format!("{{\"x\":\"{text}\"}}")
    }
}

impl Pourer {
    /// From the `first` event on, one and then as many further on as there are senders.
    async fn pour(&mut self, fill: &Fill<'_>, first: u64) -> Result<()> {
        for index in (first..fill.events).step_by(SENDERS as usize) {
            while self.account.in_flight() >= IN_FLIGHT {
                self.flush().await?;
                self.answers().await?;
            }
            self.n += 1;
            self.account.sent(self.n, 0);
            let room = Dialect::Posts.room(fill.run, (index % fill.rooms) as usize);
            Dialect::Posts.publish(&room, &fill.body(), self.n, &mut self.out);
        }
        self.flush().await?;
        while self.account.in_flight() > 0 {
            self.answers().await?;
        }
        Ok(())
    }

    async fn answers(&self) -> Result<()> {
        timeout(ANSWERS_WITHIN, self.freed.notified())
            .await
            .context("the server does not answer posts")
    }

    async fn flush(&mut self) -> Result<()> {
        send(&self.stream, &mut self.out).await.context("a connection that posts was lost")
    }
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::results::HistoryPage;
    use greenroom_protocol::{Call, CodecKind, EntityId, Seq, limits, params};

    use super::*;
    use greenroom_loadtest::client::{Conn, Target, Tokens};
    use greenroom_loadtest::fake::{Fake, Fault};

    const FILL: Fill<'_> = Fill { run: "test", rooms: 3, events: 1_000, bytes: 100 };

    fn host(fake: &Fake) -> Host {
        Host {
            address: fake.address(),
            dialect: Dialect::Posts,
            pid: None,
            tokens: Tokens::Anonymous,
        }
    }

    #[tokio::test]
    async fn every_room_gets_its_share() {
        let fake = Fake::start(Fault::None).await;
        FILL.pour(&host(&fake)).await.expect("nothing is refused");
        let target = Target::new(&fake.url(), CodecKind::Json, Tokens::Anonymous)
            .await
            .expect("it is a URL");
        let (mut conn, _) =
            Conn::open(&target, "reader".into(), Vec::new()).await.expect("it is let in");
        for (room, share) in [(0, 334), (1, 333), (2, 333)] {
            let entity: EntityId =
                Dialect::Posts.room("test", room).parse().expect("it is an entity id");
            let call = Call::History(params::History {
                entity: entity.clone(),
                before: None,
                after: Some(Seq::ZERO),
                limit: Some(limits::MAX_HISTORY),
            });
            let page: HistoryPage = conn.ask(&call).await.expect("there is a history");
            assert_eq!((page.events.len(), page.more), (share, false), "{entity}");
            assert!(page.events.iter().all(|event| event.body.as_str().len() == 100), "{entity}");
        }
    }

    #[tokio::test]
    async fn refused_posts_are_an_error() {
        let fake = Fake::start(Fault::RefuseOnce(100)).await;
        let error = FILL.pour(&host(&fake)).await.expect_err("one post is not there");
        assert!(error.to_string().contains("refuses"), "{error:#}");
    }
}

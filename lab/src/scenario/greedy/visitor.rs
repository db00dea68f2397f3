//! The greedy user's connections that come and go: as soon as one is served the next is opened, and
//! where the server asks to wait it waits as long as it is told, no longer.

use std::sync::Arc;

use greenroom_loadtest::client::{Failure, Target, Wire};
use greenroom_protocol::Call;
use greenroom_protocol::params::Connect;
use greenroom_protocol::results::Connected;
use tokio::sync::watch;
use tokio::time::sleep;

use super::appetite::{Table, Visit};
use super::glutton::Counts;

/// Comes again and again, one connection after the other, until it is stopped.
pub async fn visit(
    target: Arc<Target>,
    user: &'static str,
    table: Arc<Table>,
    visit: Visit,
    counts: Arc<Counts>,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let visits = async {
        loop {
            match once(&target, user, &table, visit).await {
                Ok(()) => counts.answered(),
                Err(failure) => {
                    let Some(wait) = failure.retry_after() else { return Err(failure) };
                    counts.refused();
                    sleep(wait).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        _ = stopped.changed() => Ok(()),
        failed = visits => failed,
    }
}

async fn once(target: &Target, user: &str, table: &Table, visit: Visit) -> Result<(), Failure> {
    let mut wire = Wire::open(target, 0).await?;
    if let Visit::Connect(connect) = visit {
        let token = target.tokens.token(user);
        let token = token.map_err(|error| Failure::NotUnderstood(error.to_string()))?;
        let connected: Connected =
            wire.ask(&Call::Connect(Connect { token, ..connect(table) })).await?;
        let refused = connected.subscriptions.into_iter().find_map(|outcome| outcome.error);
        if let Some(error) = refused {
            return Err(Failure::Refused(error));
        }
    }
    Ok(())
}

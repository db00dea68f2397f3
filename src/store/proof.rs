//! Runs the contracts that nodes rely on against a server: those of the store and of the registry,
//! each in a namespace of its own that is removed afterwards. For databases that we cannot test.

use std::any::Any;

use greenroom_actors::cluster::map::NodeId;
use greenroom_actors::cluster::registry;
use greenroom_actors::store::{Store, conformance};

use super::{LeaseKey, SurrealStore};
use crate::config::{StoreConfig, StoreUrl};

/// Checks that a server does what nodes of a cluster rely on.
///
/// # Errors
/// What it does not do, or why that could not be found out.
pub async fn prove(config: &StoreConfig) -> Result<(), String> {
    if !matches!(config.target(), Ok(StoreUrl::Server(_))) {
        return Err(
            "nodes of a cluster share a SurrealDB server; set `store.url` to \"ws://HOST:PORT\""
                .into(),
        );
    }
    let run = fastrand::u32(..);
    let own = |what: &str| StoreConfig {
        namespace: format!("{}-check-{what}-{run:08x}", config.namespace),
        ..config.clone()
    };
    in_its_own(own("store"), async |store| conformance::run(&store).await).await?;
    in_its_own(own("registry"), async |store| {
        let open = |node: NodeId| -> Box<dyn Store> {
            Box::new(store.another().with_lease(LeaseKey::Node { id: node.0, lane: 0 }))
        };
        registry::conformance::run(&store.registry(), &open).await;
    })
    .await
}

/// Runs a suite in the namespace of `config`, and removes that.
async fn in_its_own(
    config: StoreConfig,
    suite: impl AsyncFnOnce(SurrealStore),
) -> Result<(), String> {
    let store = SurrealStore::open(&config).await.map_err(|error| error.to_string())?;
    let link = std::sync::Arc::clone(&store.link);
    let passed = caught(suite(store)).await;
    let removed = match link.current() {
        Some(connection) => {
            let script = format!("REMOVE NAMESPACE `{}`", config.namespace);
            connection.script(script, config.timeout).await.map_err(|error| error.to_string())
        }
        None => Err("the connection was lost".into()),
    };
    link.close().await;
    passed?;
    removed.map_err(|error| {
        format!("the namespace `{}` could not be removed, so please do: {error}", config.namespace)
    })
}

/// What a suite panicked with.
async fn caught(suite: impl Future<Output = ()>) -> Result<(), String> {
    use futures_util::FutureExt;

    std::panic::AssertUnwindSafe(suite).catch_unwind().await.map_err(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_broken_is_named() {
        let broken = caught(async { panic!("two takers: {}", "both did") }).await;
        assert_eq!(broken, Err("two takers: both did".into()));
        assert_eq!(caught(async {}).await, Ok(()));
        let embedded = prove(&StoreConfig::default()).await.unwrap_err();
        assert!(embedded.starts_with("nodes of a cluster share"), "{embedded}");
    }
}

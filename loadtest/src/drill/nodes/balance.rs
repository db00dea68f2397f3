//! Whether each node owns its share of the slots, as the nodes themselves say.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// All slots there are.
const SLOTS: usize = 1024;
/// How long a node's answer may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// What of `GET /cluster` counts here.
#[derive(Debug, Deserialize)]
struct Status {
    name: String,
    slots: Slots,
    members: Vec<Member>,
}

#[derive(Debug, Deserialize)]
struct Slots {
    open: usize,
}

#[derive(Debug, Deserialize)]
struct Member {
    name: String,
    weight: u16,
    slots: usize,
}

/// Asks the nodes at these addresses for operators.
///
/// # Errors
/// Says what is missing until each serves its share and sees exactly the others as members.
pub async fn check(nodes: Vec<SocketAddr>) -> Result<()> {
    let ask = move || {
        let config = ureq::Agent::config_builder().timeout_global(Some(ANSWERS_WITHIN)).build();
        let agent = ureq::Agent::new_with_config(config);
        for node in &nodes {
            let text =
                agent.get(format!("http://{node}/cluster")).call()?.body_mut().read_to_string()?;
            judge(&serde_json::from_str(&text)?, nodes.len())?;
        }
        Ok(())
    };
    tokio::task::spawn_blocking(ask).await.context("the task that asks the nodes failed")?
}

fn judge(Status { name, slots, members }: &Status, count: usize) -> Result<()> {
    if members.len() != count {
        bail!("`{name}` sees {} of {count} nodes", members.len());
    }
    let share = |member: &Member| {
        let weights: usize = members.iter().map(|member| usize::from(member.weight)).sum();
        SLOTS * usize::from(member.weight) / weights.max(1)
    };
    for member in members {
        if member.slots < share(member) {
            bail!("`{name}` sees {} slots of {} at `{}`", member.slots, share(member), member.name);
        }
        if member.name == *name && slots.open < member.slots {
            bail!("`{name}` serves {} of its {} slots", slots.open, member.slots);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_must_serve_its_share() {
        type Members<'a> = &'a [(&'a str, u16, usize)];
        let table: [(usize, usize, Members<'_>, &str); 6] = [
            (2, 512, &[("a", 100, 512), ("b", 100, 512)], ""),
            (2, 1024, &[("a", 100, 1024), ("b", 0, 0)], ""),
            (2, 500, &[("a", 100, 512), ("b", 100, 512)], "`a` serves 500 of its 512 slots"),
            (2, 1024, &[("a", 100, 1024), ("b", 100, 0)], "`a` sees 0 slots of 512 at `b`"),
            (2, 1024, &[("a", 100, 1024)], "`a` sees 1 of 2 nodes"),
            (1, 512, &[("a", 100, 512), ("b", 100, 512)], "`a` sees 2 of 1 nodes"),
        ];
        for (count, open, members, want) in table {
            let members: Vec<_> = members
                .iter()
                .map(|(name, weight, slots)| Member {
                    name: (*name).into(),
                    weight: *weight,
                    slots: *slots,
                })
                .collect();
            let status = Status { name: "a".into(), slots: Slots { open }, members };
            let found = judge(&status, count).err().map(|error| error.to_string());
            assert_eq!(found.unwrap_or_default(), want);
        }
    }
}

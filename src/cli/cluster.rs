//! `greenroom cluster`: looks at a cluster, and orders the node on this machine.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{ConfigArgs, Failure};

/// How long the node may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which node, and what about it.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// The configuration, whose `metrics.listen` says where the node on this machine listens.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: ClusterCommand,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show this node and the members as it sees them
    Status {
        /// Print everything, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Receive no more slots
    Cordon,
    /// Receive slots again, also after a drain
    Uncordon,
    /// Give up all slots; the node stays and serves its connections, until it is uncordoned
    Drain,
    /// Hand slots of this node over to another one
    Move {
        /// How many slots, or an entity whose slot is moved, such as room:lobby
        what: String,
        /// The name or the id of the other node
        to: String,
    },
    /// Keep the slot of an entity at a node, whenever a node of that name is up
    Pin {
        /// An entity, such as room:lobby
        entity: String,
        /// The name of the node
        node: String,
    },
    /// End the pin of an entity
    Unpin {
        /// The entity
        entity: String,
    },
}

impl ClusterCommand {
    /// The path and the body of its request; no body for one that only looks.
    fn request(&self) -> (&'static str, Option<Value>) {
        match self {
            Self::Status { .. } => ("/cluster", None),
            Self::Cordon => ("/cluster/cordon", Some(json!({}))),
            Self::Uncordon => ("/cluster/uncordon", Some(json!({}))),
            Self::Drain => ("/cluster/drain", Some(json!({}))),
            Self::Pin { entity, node } => {
                ("/cluster/pin", Some(json!({"entity": entity, "node": node})))
            }
            Self::Unpin { entity } => ("/cluster/unpin", Some(json!({"entity": entity}))),
            Self::Move { what, to } => match what.parse::<u16>() {
                Ok(slots) => ("/cluster/move", Some(json!({"slots": slots, "to": to}))),
                Err(_) => ("/cluster/move", Some(json!({"entity": what, "to": to}))),
            },
        }
    }
}

/// Asks the node, and prints what it says.
///
/// # Errors
/// If the node cannot be reached, or refuses.
pub fn run(args: &ClusterArgs, out: &mut impl Write) -> Result<(), Failure> {
    let loaded = args.config.load()?;
    let address = loaded.config.metrics.listen.ok_or_else(|| {
        Failure::Config("`metrics.listen` is \"\": the node has no listener for operators".into())
    })?;
    let (path, body) = args.command.request();
    let answer = ask(address, path, body)?;
    let text = match &args.command {
        ClusterCommand::Status { json: false } => table(&answer),
        ClusterCommand::Status { json: true } => format!("{answer:#}\n"),
        _ => "accepted; `greenroom cluster status` shows what comes of it\n".into(),
    };
    out.write_all(text.as_bytes())
        .map_err(|error| Failure::Runtime(format!("cannot print: {error}")))
}

/// The address on this machine of what listens on `address`.
fn near(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn ask(address: SocketAddr, path: &str, body: Option<Value>) -> Result<Value, Failure> {
    let url = format!("http://{}{path}", near(address));
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build();
    let agent = ureq::Agent::from(config);
    let answer = match body {
        None => agent.get(&url).call(),
        Some(body) => agent.post(&url).send(body.to_string()),
    };
    let unreachable = |error: ureq::Error| {
        Failure::Runtime(format!(
            "cannot reach the node at `{url}`: {error}; does it run on this machine, with this `metrics.listen`?"
        ))
    };
    let mut answer = answer.map_err(unreachable)?;
    let is_fine = answer.status().is_success();
    let text = answer.body_mut().read_to_string().map_err(unreachable)?;
    let value = serde_json::from_str::<Value>(&text).map_err(|error| {
        Failure::Runtime(format!("`{url}` is not a node of Greenroom: {error}"))
    })?;
    if is_fine {
        return Ok(value);
    }
    Err(Failure::Runtime(value["error"].as_str().unwrap_or(&text).to_owned()))
}

/// The status for people.
fn table(status: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    };
    let mut out = format!(
        "node {} ({}): {}, map {}, lease valid for {} ms\n",
        text(&status["name"]),
        text(&status["id"]),
        text(&status["phase"]),
        status["map"],
        status["lease_ms"],
    );
    let mut rows = vec![
        ["member", "id", "state", "slots", "weight", "version", "silent ms", "link"]
            .map(str::to_owned),
    ];
    for member in status["members"].as_array().into_iter().flatten() {
        rows.push(
            [
                &member["name"],
                &member["id"],
                &member["state"],
                &member["slots"],
                &member["weight"],
                &member["version"],
                &member["silent_ms"],
                &member["link"]["state"],
            ]
            .map(text),
        );
    }
    let quarantined: Vec<_> = status["quarantined"].as_array().into_iter().flatten().collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    for pin in status["pins"].as_array().into_iter().flatten() {
        out.push_str(&format!("{} is pinned to {}\n", text(&pin["entity"]), text(&pin["node"])));
    }
    if let Some(left) = quarantined.iter().filter_map(|one| one["left_ms"].as_u64()).max() {
        let slots: Vec<_> = quarantined.iter().map(|one| one["slot"].to_string()).collect();
        out.push_str(&format!(
            "no node serves these slots for {} s, since their last owners died of them: {}\n",
            left.div_ceil(1000),
            slots.join(", ")
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_near() {
        for (listens, near_it) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("10.0.0.7:9464", "10.0.0.7:9464"),
        ] {
            assert_eq!(near(listens.parse().unwrap()).to_string(), near_it);
        }
    }

    #[test]
    fn the_status_is_a_table() {
        let status = json!({
            "name": "a", "id": "1", "phase": "member", "map": 7, "lease_ms": 1500,
            "members": [
                {"name": "a", "id": "1", "state": "up", "slots": 512, "weight": 100, "version": "0.1.0",
                 "silent_ms": 20, "link": null},
                {"name": "node-b", "id": "2", "state": "cordoned", "slots": 512, "weight": 100,
                 "version": "0.1.0", "silent_ms": 40, "link": {"state": "up"}},
            ],
        });
        let expected = "\
node a (1): member, map 7, lease valid for 1500 ms
member  id  state     slots  weight  version  silent ms  link
a       1   up        512    100     0.1.0    20         -
node-b  2   cordoned  512    100     0.1.0    40         up
";
        assert_eq!(table(&status), expected);
        let mut resting = status;
        resting["quarantined"] =
            json!([{"slot": 7, "left_ms": 41_200}, {"slot": 921, "left_ms": 41_200}]);
        resting["pins"] = json!([{"entity": "room:hot", "node": "node-b"}]);
        let last = "\
room:hot is pinned to node-b
no node serves these slots for 42 s, since their last owners died of them: 7, 921
";
        assert_eq!(table(&resting), format!("{expected}{last}"));
    }
}

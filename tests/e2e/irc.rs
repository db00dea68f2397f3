//! A real conversation, replayed by a few clients, arrives everywhere as it was said.
//!
//! The logs are not part of the project: `GREENROOM_DATA` names their directory (default
//! `../shared/data`).

use std::collections::HashMap;
use std::path::PathBuf;

use greenroom_protocol::CodecKind;
use serde_json::{Value, json};

use crate::server::Server;

/// How many lines of each day are replayed.
const LINES: usize = 400;
const SPEAKERS: usize = 6;

fn days() -> Vec<PathBuf> {
    let data =
        std::env::var_os("GREENROOM_DATA").map_or_else(|| "../shared/data".into(), PathBuf::from);
    let Ok(found) = std::fs::read_dir(data.join("irc")) else { return Vec::new() };
    let mut days: Vec<_> = found
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
        .collect();
    days.sort_unstable();
    days
}

/// Splits a line, `[HH:MM] <nick> text`, into the speaker and the text.
fn said(line: &str) -> Option<(&str, &str)> {
    line.split_once("] <")?.1.split_once("> ")
}

#[tokio::test]
async fn a_day_of_irc_arrives_as_it_was_said() {
    let days = days();
    if days.is_empty() {
        eprintln!(
            "SKIPPED: no IRC logs; set `GREENROOM_DATA` to the directory that contains `irc/*.txt`"
        );
        return;
    }
    let server = Server::builder()
        .unlimited()
        .with("kinds.room = {behaviour = \"room\", messages = 50}")
        .start()
        .await;
    let mut speakers = Vec::new();
    for index in 0..SPEAKERS {
        speakers.push(server.client(CodecKind::ALL[index % 2]).await);
    }
    let mut listeners =
        vec![server.client(CodecKind::Json).await, server.client(CodecKind::MsgPack).await];
    for (day, path) in days.iter().enumerate() {
        let room = format!("room:ubuntu-{day}");
        for listener in &mut listeners {
            listener.subscribe(&room).await;
        }
        let text = String::from_utf8_lossy(&std::fs::read(path).expect("the log can be read"))
            .into_owned();
        let lines: Vec<(&str, &str)> = text.lines().filter_map(said).take(LINES).collect();
        assert!(lines.len() > 100, "few lines of {} could be parsed", path.display());
        let mut seats: HashMap<&str, usize> = HashMap::new();
        for (n, (nick, text)) in (1u64..).zip(&lines) {
            let next = seats.len() % SPEAKERS;
            let seat = *seats.entry(nick).or_insert(next);
            speakers[seat].send(&room, n, "post", json!({"nick": nick, "text": text})).await;
        }
        for listener in &mut listeners {
            for (seq, (nick, text)) in (1u64..).zip(&lines) {
                let event = listener.event().await;
                assert_eq!(
                    (&event["seq"], &event["body"]),
                    (&json!(seq), &json!({"nick": nick, "text": text}))
                );
            }
        }
        let logged: Vec<Value> = listeners[0]
            .log(&room)
            .await
            .into_iter()
            .map(|event| event["body"]["text"].clone())
            .collect();
        assert!(
            logged.iter().eq(lines.iter().map(|(_, text)| text).collect::<Vec<_>>()),
            "the history has the same lines"
        );
        let state = listeners[1].read(&room).await;
        assert_eq!(state["messages"].as_array().map(Vec::len), Some(50));
    }
}

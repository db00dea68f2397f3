//! Histories in files, as JSON lines: the first tells what it is and names the entities, each other
//! is one [`Entry`].

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use greenroom_protocol::EntityId;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, History};

/// The form of the files that this program writes and reads.
const FORM: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// [`FORM`].
    greenroom_history: u32,
    entities: Vec<EntityId>,
}

/// Writes a history, entry by entry.
pub struct Writer<W>(W);

impl<W: Write> Writer<W> {
    pub fn new(out: W, entities: &[EntityId]) -> Result<Self> {
        let mut writer = Self(out);
        writer.line(&Head { greenroom_history: FORM, entities: entities.to_vec() })?;
        Ok(writer)
    }

    /// Writes one more, in one piece, so that nothing is missing if this process is killed.
    pub fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.line(entry)
    }

    fn line(&mut self, line: &impl Serialize) -> Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.0.write_all(&bytes).context("the history cannot be written")
    }
}

pub fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("`{}` cannot be written", path.display()))
}

pub fn write(path: &Path, history: &History) -> Result<()> {
    let mut writer = Writer::new(BufWriter::new(create(path)?), &history.entities)?;
    history.entries.iter().try_for_each(|entry| writer.entry(entry))?;
    Ok(writer.0.flush()?)
}

pub fn read(path: &Path) -> Result<History> {
    let file = File::open(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    parse(BufReader::new(file)).with_context(|| format!("`{}` is not a history", path.display()))
}

fn parse(input: impl BufRead) -> Result<History> {
    let mut lines = input.lines();
    let head = lines.next().context("it is empty")??;
    let Head { greenroom_history, entities } = serde_json::from_str(&head).context("line 1")?;
    if greenroom_history != FORM {
        bail!("it has form {greenroom_history}, and this program reads form {FORM}");
    }
    let mut entries = Vec::new();
    for (line, number) in lines.zip(2..) {
        let entry: Entry =
            serde_json::from_str(&line?).with_context(|| format!("line {number}"))?;
        if entry.entity as usize >= entities.len() {
            bail!("line {number}: there is no entity {}", entry.entity);
        }
        entries.push(entry);
    }
    Ok(History { entities, entries })
}

#[cfg(test)]
mod tests {
    use super::super::tests::model;
    use super::*;

    #[test]
    fn a_history_comes_back_as_it_was_written() {
        let history = model::history(7, &model::Size { steps: 3000, ..model::Size::default() });
        let dir = tempfile::tempdir().expect("there is room");
        let path = dir.path().join("history.jsonl");
        write(&path, &history).expect("it can be written");
        assert_eq!(read(&path).expect("it was written by this program"), history);
    }

    #[test]
    fn what_is_no_history_is_refused_with_its_line() {
        let head = r#"{"greenroom_history":1,"entities":["room:a"]}"#;
        let table = [
            (String::new(), "it is empty"),
            ("{}".into(), "line 1"),
            (
                r#"{"greenroom_history":2,"entities":[]}"#.into(),
                "it has form 2, and this program reads form 1",
            ),
            (format!("{head}\n{{}}"), "line 2"),
            (
                format!("{head}\n{{\"t\":1,\"client\":0,\"entity\":0,\"what\":\"dreamt\"}}"),
                "line 2",
            ),
            (
                format!("{head}\n{{\"t\":1,\"client\":0,\"entity\":1,\"what\":\"unfollowed\"}}"),
                "line 2: there is no entity 1",
            ),
        ];
        for (text, want) in table {
            let error = parse(text.as_bytes()).expect_err("it is not a history");
            assert_eq!(error.to_string(), want, "{text}");
        }
        let good =
            format!("{head}\n{{\"t\":1,\"client\":0,\"entity\":0,\"what\":\"unfollowed\"}}\n");
        assert_eq!(parse(good.as_bytes()).expect("it is one").entries.len(), 1);
    }
}

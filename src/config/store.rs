//! Where the journal is stored.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units;
use super::{Problems, Secret, UnreadableFile, read_secret};

/// The store: embedded in this process, or a SurrealDB server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `surrealkv://PATH`, `memory`, `ws://HOST:PORT` or `wss://HOST:PORT`.
    pub url: String,
    /// When the embedded engine flushes to the disk. Only `every` keeps the promise that
    /// acknowledged ops are durable.
    pub sync: Sync,
    /// The user of a SurrealDB server.
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// A file that contains the password.
    pub password_file: Option<PathBuf>,
    pub namespace: String,
    pub database: String,
    /// How long one transaction may take before its outcome counts as unknown.
    #[serde(with = "units::duration")]
    pub timeout: Duration,
    /// The number of threads of the database's own runtime.
    pub threads: usize,
}

/// When the embedded engine flushes to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// With every commit.
    Every,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: "surrealkv://./data".into(),
            sync: Sync::Every,
            username: None,
            password: None,
            password_file: None,
            namespace: "greenroom".into(),
            database: "greenroom".into(),
            timeout: Duration::from_secs(10),
            threads: 2,
        }
    }
}

/// A parsed `store.url`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// The embedded engine, in this directory.
    SurrealKv(PathBuf),
    /// In memory, lost when the process ends.
    Memory,
    /// A server: the URL as written, which starts with `ws://` or `wss://`.
    Server(String),
}

/// What is wrong with `store.url`; continues the sentence after the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadStoreUrl {
    /// The URL contains a user name, and perhaps a password.
    #[error(
        "holds credentials; put them into `store.username` and `store.password_file`, where no log shows them"
    )]
    Credentials,
    /// The URL has none of the known forms.
    #[error(
        "is `{0}`; write \"surrealkv://DIRECTORY\", \"memory\", \"ws://HOST:PORT\" or \"wss://HOST:PORT\", such as \"surrealkv://./data\""
    )]
    Form(String),
}

impl StoreConfig {
    /// Parses `url`.
    ///
    /// # Errors
    /// If it is not valid.
    pub fn target(&self) -> Result<StoreUrl, BadStoreUrl> {
        let url = self.url.as_str();
        if url == "memory" {
            return Ok(StoreUrl::Memory);
        }
        match url.split_once("://") {
            Some(("surrealkv", path)) if !path.is_empty() && !path.contains('?') => {
                Ok(StoreUrl::SurrealKv(path.into()))
            }
            Some(("ws" | "wss", rest)) if rest.contains('@') => Err(BadStoreUrl::Credentials),
            Some(("ws" | "wss", host)) if !host.is_empty() && !host.starts_with(['/', ':']) => {
                Ok(StoreUrl::Server(url.into()))
            }
            _ => Err(BadStoreUrl::Form(url.into())),
        }
    }

    /// The password, from the configuration or its file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn password(&self) -> Result<Option<Secret>, UnreadableFile> {
        match &self.password_file {
            Some(path) => read_secret(path).map(Some),
            None => Ok(self.password.clone()),
        }
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        let target = self.target();
        if let Err(error) = &target {
            problems.add("store.url", error.to_string());
        }
        if self.password.is_some() && self.password_file.is_some() {
            problems
                .add("store.password", "and `store.password_file` are both set; keep one of them");
        }
        if let Err(error) = self.password() {
            problems.add("store.password_file", error.to_string());
        }
        let has_password = self.password.is_some() || self.password_file.is_some();
        if self.username.is_some() != has_password {
            let key = if has_password { "store.username" } else { "store.password_file" };
            problems.not_set(key, "a user name and a password must be set together");
        }
        if self.username.is_some()
            && matches!(target, Ok(StoreUrl::SurrealKv(_) | StoreUrl::Memory))
        {
            problems.add("store.username", "is set, but an embedded store has no users; leave it out, or point `store.url` at a server");
        }
        for (key, value) in
            [("store.namespace", &self.namespace), ("store.database", &self.database)]
        {
            let plain = !value.is_empty()
                && value
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
            problems
                .check(plain, key, || format!("is `{value}`; use letters, digits, `_` and `-`"));
        }
        problems.within(
            "store.timeout",
            self.timeout,
            Duration::from_millis(100),
            Duration::from_secs(600),
        );
        problems.at_least("store.threads", self.threads, 1);
    }
}

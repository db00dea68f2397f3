//! How to reach NATS, which carries the messages between nodes.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

use super::secret::read_text;
use super::{Problems, Secret, UnreadableFile, read_secret};

/// The servers of one NATS cluster, and how a node signs in to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsConfig {
    /// `nats://HOST:PORT` or `tls://HOST:PORT`: one, several with commas, or a list. The servers
    /// that these know of are used, too.
    #[serde(deserialize_with = "one_or_several")]
    pub url: Vec<String>,
    /// The user that `password_file` belongs to.
    pub username: Option<String>,
    /// A file that contains the password.
    pub password_file: Option<PathBuf>,
    /// A file that contains a token, for servers that know tokens instead of users.
    pub token_file: Option<PathBuf>,
    /// A file in PEM format with the certificates to trust, instead of the system's. If it is set,
    /// no connection is made without TLS.
    pub tls_ca: Option<PathBuf>,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            url: vec!["nats://127.0.0.1:4222".into()],
            username: None,
            password_file: None,
            token_file: None,
            tls_ca: None,
        }
    }
}

/// What a node shows to a server. `Debug` hides the secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsCredentials {
    None,
    User { name: String, password: Secret },
    Token(Secret),
}

impl NatsConfig {
    /// Reads the credentials from their files.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn credentials(&self) -> Result<NatsCredentials, UnreadableFile> {
        Ok(match (&self.token_file, &self.username, &self.password_file) {
            (Some(token), ..) => NatsCredentials::Token(read_secret(token)?),
            (None, Some(name), Some(password)) => {
                NatsCredentials::User { name: name.clone(), password: read_secret(password)? }
            }
            _ => NatsCredentials::None,
        })
    }

    /// Checks the settings, and that their files can be read.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first problem.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.url.is_empty() {
            problems.not_set("nats.url", "write \"nats://HOST:PORT\"");
        }
        for url in &self.url {
            if let Err(error) = check_url(url) {
                problems.add("nats.url", error);
            }
        }
        if self.username.is_some() != self.password_file.is_some() {
            let has_password = self.password_file.is_some();
            let key = if has_password { "nats.username" } else { "nats.password_file" };
            problems.not_set(key, "a user name and a password must be set together");
        }
        if self.token_file.is_some() && (self.username.is_some() || self.password_file.is_some()) {
            problems.add(
                "nats.token_file",
                "is set next to `nats.username` or `nats.password_file`; a server takes either a token or a user, so leave out one of them",
            );
        }
        let secrets =
            [("nats.password_file", &self.password_file), ("nats.token_file", &self.token_file)];
        for (key, path) in secrets {
            match path.as_ref().map(|path| read_secret(path)) {
                Some(Err(error)) => problems.add(key, error.to_string()),
                Some(Ok(secret)) if secret.expose().is_empty() => {
                    problems.add(key, "names a file that is empty");
                }
                _ => {}
            }
        }
        match self.tls_ca.as_ref().map(|path| read_text(path)) {
            Some(Err(error)) => problems.add("nats.tls_ca", error.to_string()),
            Some(Ok(text)) if !text.contains("-----BEGIN CERTIFICATE-----") => {
                problems.add("nats.tls_ca", "names a file without a certificate in PEM format");
            }
            _ => {}
        }
        problems.into_result()
    }
}

/// Continues the sentence after the key.
fn check_url(url: &str) -> Result<(), String> {
    let wanted =
        "write \"nats://HOST:PORT\" or \"tls://HOST:PORT\", such as \"nats://127.0.0.1:4222\"";
    match url.split_once("://") {
        Some(("nats" | "tls", rest)) if rest.contains('@') => Err(
            "holds credentials; put them into `nats.username` and `nats.password_file`, or into `nats.token_file`, where no log shows them"
                .into(),
        ),
        Some(("nats" | "tls", host))
            if !host.is_empty() && !host.starts_with(':') && !host.contains(['/', '?', '#', ' ']) =>
        {
            Ok(())
        }
        _ => Err(format!("is `{url}`; {wanted}")),
    }
}

fn one_or_several<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a URL or a list of URLs")]
    enum Urls {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Urls::deserialize(from)? {
        Urls::One(text) => text.split(',').map(|url| url.trim().to_owned()).collect(),
        Urls::Several(urls) => urls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> NatsConfig {
        toml::from_str(text).unwrap()
    }

    fn problems(config: &NatsConfig) -> String {
        config.validate().err().map(|problems| problems.to_string()).unwrap_or_default()
    }

    #[test]
    fn one_or_several_servers_can_be_named() {
        assert_eq!(parse("").url, ["nats://127.0.0.1:4222"]);
        assert_eq!(parse("url = 'nats://a:1'").url, ["nats://a:1"]);
        assert_eq!(parse("url = 'nats://a:1, tls://b'").url, ["nats://a:1", "tls://b"]);
        assert_eq!(parse("url = ['nats://a', 'nats://b']").url, ["nats://a", "nats://b"]);
        assert!(toml::from_str::<NatsConfig>("url = 7").is_err());
        assert!(toml::from_str::<NatsConfig>("urls = 'nats://a'").is_err());
        assert_eq!(parse("").validate(), Ok(()));
    }

    #[test]
    fn what_cannot_work_is_named() {
        for url in ["a:4222", "http://a", "nats://", "nats://:4222", "nats://a/b", ""] {
            let found = problems(&NatsConfig { url: vec![url.into()], ..NatsConfig::default() });
            assert!(found.starts_with(&format!("`nats.url` is `{url}`; write")), "{found}");
        }
        let found = problems(&parse("url = 'nats://me:secret@host'"));
        assert!(found.contains("holds credentials") && !found.contains("secret@"), "{found}");
        assert!(problems(&parse("url = []")).starts_with("`nats.url` is not set"));
        assert!(problems(&parse("username = 'me'")).starts_with("`nats.password_file` is not set"));
    }

    #[test]
    fn files_are_read_and_checked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = NatsConfig {
            username: Some("me".into()),
            password_file: Some(file.path().into()),
            tls_ca: Some(file.path().into()),
            ..NatsConfig::default()
        };
        let found = problems(&config);
        assert!(found.contains("`nats.password_file` names a file that is empty"), "{found}");
        assert!(found.contains("`nats.tls_ca` names a file without a certificate"), "{found}");
        std::fs::write(file.path(), "secret\n").unwrap();
        let password = Secret::new("secret");
        let credentials = NatsCredentials::User { name: "me".into(), password: password.clone() };
        assert_eq!(config.credentials().unwrap(), credentials);
        let both = NatsConfig { token_file: config.password_file.clone(), ..config.clone() };
        assert!(problems(&both).contains("`nats.token_file` is set next to `nats.username`"));
        let token = NatsConfig { username: None, password_file: None, ..both };
        assert_eq!(token.credentials().unwrap(), NatsCredentials::Token(password));
        std::fs::remove_file(file.path()).unwrap();
        assert!(problems(&token).contains("`nats.token_file` cannot read `/"));
    }
}

//! Secrets, which are never logged, and the files that contain them.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

/// A password or key. `Debug` and serialization hide it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("…")
    }
}

/// A file named in the configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`: {source}", path.display())]
pub struct UnreadableFile {
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// Reads a secret from a file, without the line ends after it.
///
/// # Errors
/// If the file cannot be read.
pub fn read_secret(path: &Path) -> Result<Secret, UnreadableFile> {
    let text = read_text(path)?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

pub(super) fn read_text(path: &Path) -> Result<String, UnreadableFile> {
    std::fs::read_to_string(path).map_err(|source| UnreadableFile { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_nothing() {
        let secret = Secret::new("hunter2");
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&secret).unwrap().contains("hunter2"));
    }

    #[test]
    fn a_file_ends_with_a_line_end_that_is_not_the_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " with space \r\n").unwrap();
        assert_eq!(read_secret(file.path()).unwrap().expose(), " with space ");
        assert!(
            read_secret(Path::new("/no/such/file"))
                .unwrap_err()
                .to_string()
                .contains("/no/such/file")
        );
    }
}

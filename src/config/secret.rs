//! A string that does not show itself.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A password or key. Neither `Debug` nor serialization shows it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
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

/// Reads a secret from a file, less the line ends after it.
///
/// # Errors
/// Those of reading the file, with its path.
pub fn read_secret(path: &std::path::Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
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
            read_secret(std::path::Path::new("/no/such/file"))
                .unwrap_err()
                .contains("/no/such/file")
        );
    }
}

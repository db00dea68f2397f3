//! A file of golden messages: blocks of `# name`, the JSON and the hex, with empty lines between.

use std::path::PathBuf;

pub struct Golden {
    path: PathBuf,
    want: String,
    got: String,
}

impl Golden {
    pub fn open(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let want = std::fs::read_to_string(&path).unwrap_or_default();
        Self { path, want, got: String::new() }
    }

    pub fn check(&mut self, name: &str, json: &str, hex: &str) {
        self.got += &format!("# {name}\n{json}\n{hex}\n\n");
    }

    /// Compares block by block, so that a failure names the message.
    pub fn finish(self) {
        if std::env::var_os("GREENROOM_WRITE_DOCS").is_some() {
            std::fs::write(&self.path, &self.got).unwrap();
            return;
        }
        let (want, got): (Vec<_>, Vec<_>) =
            (self.want.split("\n\n").collect(), self.got.split("\n\n").collect());
        for (want, got) in want.iter().zip(&got) {
            assert_eq!(want, got, "{} (GREENROOM_WRITE_DOCS=1 rewrites it)", self.path.display());
        }
        assert_eq!(want.len(), got.len(), "{}: another number of messages", self.path.display());
    }
}

//! Tokens made by the binary itself.

use std::path::Path;

use crate::server::{Server, command, within};

/// The configuration for making and checking tokens, which also admits anonymous users.
pub const SECRET: &str =
    "auth.secret = \"a-secret-of-these-tests-and-of-nothing-else\"\nauth.anonymous = true";

/// A token from `greenroom token` with these flags, signed by the configuration in `directory`.
pub async fn mint(directory: &Path, flags: &[&str]) -> String {
    let mut command = command(directory);
    let output = within("making a token", command.arg("token").args(flags).output())
        .await
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("a token is text");
    let token = text.trim_end();
    assert_eq!(
        token.split('.').count(),
        3,
        "standard output contains a JWT and nothing else: {text:?}"
    );
    token.to_owned()
}

impl Server {
    /// A token for `user` with these grants, such as `room:*=read,send`.
    pub async fn token(&self, user: &str, grants: &[&str]) -> String {
        let grants = grants.iter().flat_map(|grant| ["--allow", grant]);
        let flags: Vec<&str> = ["--sub", user].into_iter().chain(grants).collect();
        mint(self.path(), &flags).await
    }
}

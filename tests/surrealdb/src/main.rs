//! A complete SurrealDB server in one small binary, for tests of the remote store.

// SurrealDB's executor is one deeply nested future.
#![recursion_limit = "256"]

fn main() -> std::process::ExitCode {
    surrealdb_server::init(surrealdb_server::core::CommunityComposer())
}

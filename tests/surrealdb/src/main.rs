//! A whole SurrealDB server as one small binary, for tests of the remote store.

fn main() -> std::process::ExitCode {
    surrealdb_server::init(surrealdb_server::core::CommunityComposer())
}

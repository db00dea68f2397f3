//! Signing in to a server.

use surrealdb::Surreal;
use surrealdb::engine::any::Any;
use surrealdb::opt::auth::{Database, Namespace, Root};

use super::OpenError;
use crate::config::{Secret, StoreConfig};

/// Signs in as a user of the database, of the namespace or of the whole server, whichever exists.
/// The narrowest comes first, so that a user who exists on several levels gets the fewest rights.
pub(super) async fn signin(
    client: &Surreal<Any>,
    config: &StoreConfig,
    url: &str,
) -> Result<(), OpenError> {
    let password = config.password().map_err(OpenError::Password)?;
    let (Some(username), Some(password)) =
        (config.username.clone(), password.as_ref().map(Secret::expose))
    else {
        return Ok(());
    };
    let StoreConfig { namespace, database, .. } = config.clone();
    let password = password.to_owned();

    let of_database = Database {
        namespace: namespace.clone(),
        database,
        username: username.clone(),
        password: password.clone(),
    };
    if accepted(client.signin(of_database).await, config, url)? {
        return Ok(());
    }
    let of_namespace =
        Namespace { namespace, username: username.clone(), password: password.clone() };
    if accepted(client.signin(of_namespace).await, config, url)? {
        return Ok(());
    }
    if accepted(client.signin(Root { username: username.clone(), password }).await, config, url)? {
        return Ok(());
    }
    let StoreConfig { namespace, database, .. } = config.clone();
    Err(OpenError::Credentials { url: url.to_owned(), username, namespace, database })
}

fn accepted<T>(
    result: surrealdb::Result<T>,
    config: &StoreConfig,
    url: &str,
) -> Result<bool, OpenError> {
    match result {
        Ok(_) => Ok(true),
        // An unknown user, a wrong password, or a namespace or database that does not exist.
        Err(error) if error.is_not_allowed() || error.is_not_found() => Ok(false),
        Err(error) => Err(refused(error, config, url)),
    }
}

/// Converts an error of the server while the connection is set up.
pub(super) fn refused(source: surrealdb::Error, config: &StoreConfig, url: &str) -> OpenError {
    let url = url.to_owned();
    if !source.is_not_allowed() {
        return OpenError::Unreachable { url, source: source.into() };
    }
    let hint = match config.username {
        None => "set `store.username` and `store.password_file`",
        Some(_) => {
            "the user needs the role `OWNER` on its database, or `EDITOR` if the tables already exist"
        }
    };
    OpenError::Forbidden { url, source: source.into(), hint }
}

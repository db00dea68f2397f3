//! The sockets that the server listens on.

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::ServerHandle;
use tokio::sync::watch;

use crate::admin::{self, Admin, Operated, Readiness};
use crate::config::Config;
use crate::failure::Failure;
use crate::metrics::Exporter;

/// The number of connections that can wait to be accepted.
const BACKLOG: i32 = 4096;
/// The number of unsent bytes that the system accepts for a connection.
#[cfg(target_os = "linux")]
const NOT_SENT: u32 = 4 * 1024;

/// Binds the configured address, so that connections can wait there while the store opens.
///
/// # Errors
/// If the address cannot be bound.
pub fn listen(config: &Config) -> Result<TcpListener, Failure> {
    let address = config.listen;
    let send_buffer = config.socket.send_buffer_bytes;
    let bind = || {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        if let Some(bytes) = send_buffer {
            // Accepted sockets inherit this.
            socket.set_send_buffer_size(bytes.get())?;
        }
        // Accepted sockets inherit this too. Without it, a slow client's progress would only be
        // visible after each third of that buffer.
        #[cfg(target_os = "linux")]
        socket.set_tcp_notsent_lowat(NOT_SENT)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::Runtime(format!(
        "cannot listen on `{address}`: {error}; stop what listens there, or choose another address"
    ))
}

/// Starts the operators' listener, if the configuration has one.
pub(super) fn start_admin(
    config: &Config,
    exporter: Exporter,
    ready: watch::Receiver<Readiness>,
    operated: Operated,
) -> Result<Option<(SocketAddr, ServerHandle)>, Failure> {
    let Some(listen) = config.metrics.listen else { return Ok(None) };
    let Admin { address, server, handle } = admin::serve(listen, exporter, ready, operated)
        .map_err(|error| cannot_listen(listen, &error))?;
    tracing::info!(%address, "`/live`, `/ready` and `/metrics` are served");
    actix_rt::spawn(server);
    Ok(Some((address, handle)))
}

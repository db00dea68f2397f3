//! Where memory comes from, and how large blocks are had.
//!
//! The embedded engine keeps recent writes in one block, of a gibibyte on most servers, and asks
//! for another when it closes or recovers its log. Where mimalloc has such a block from its own
//! pool it writes zeros over all of it, because the pool does not know that it was never touched:
//! seconds, and a gibibyte resident. Had from the system, which promises zeros, it costs what is
//! used. The size from which blocks come from the system can only be told to mimalloc in the
//! environment, and only before it starts; so the process starts itself once more, in its own
//! place.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The allocator, for a program to choose: `#[global_allocator] static A: MiMalloc = MiMalloc;`.
pub use mimalloc::MiMalloc;

/// mimalloc's option: the largest block that it takes from its pool.
const OPTION: &str = "MIMALLOC_ARENA_MAX_OBJECT_SIZE";
/// Far above all that clients can cause, far below the engine's smallest block of that kind.
const LARGEST: &str = "32MiB";

/// Starts this program once more, with the same arguments and process id, unless the option is in
/// the environment already.
///
/// # Errors
/// Why it could not be started again. All works without it, only slower.
pub fn configure() -> io::Result<()> {
    if std::env::var_os(OPTION).is_some() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let mut again = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    Err(again.args(arguments).env(OPTION, LARGEST).exec())
}

//! The allocator, and how large blocks are allocated.
//!
//! The embedded engine keeps recent writes in one block, which is a gibibyte on most servers, and
//! allocates another when it closes or recovers its log. If mimalloc takes such a block from its
//! own pool, it writes zeros over all of it, because the pool does not know that the block was
//! never touched: that takes seconds and makes the whole gibibyte resident. A block from the
//! operating system is already zeroed and costs only what is used. The size from which mimalloc
//! asks the system can only be set in the environment, before mimalloc starts, so the process
//! re-executes itself.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The allocator, for a program to choose: `#[global_allocator] static A: MiMalloc = MiMalloc;`.
pub use mimalloc::MiMalloc;

/// mimalloc's option for the largest block that it takes from its pool.
const OPTION: &str = "MIMALLOC_ARENA_MAX_OBJECT_SIZE";
/// Far above anything that clients can cause, far below the engine's smallest block of this kind.
const LARGEST: &str = "32MiB";

/// Re-executes this program with the same arguments and process id, unless the option is already in
/// the environment.
///
/// # Errors
/// Why it could not be re-executed. Everything works without it, only more slowly.
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

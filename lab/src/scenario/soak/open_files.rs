//! How many files a process has open.

use std::io;

/// One count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenFiles {
    /// All of them, sockets included.
    pub all: u64,
    /// Those that are files on a disk.
    pub on_disk: u64,
}

impl OpenFiles {
    /// Counts those of a process on this machine.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut open = Self::default();
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
            open.all += 1;
            // It may be closed by now.
            let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
            open.on_disk += u64::from(
                target.is_absolute() && !target.starts_with("/dev") && !target.starts_with("/proc"),
            );
        }
        Ok(open)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;

    /// Counts the open files of a shell that has done `first`.
    fn after(first: &str) -> OpenFiles {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{first} echo; read end")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut shell = command.spawn().expect("every Linux has `sh`");
        // Once it has said something it has loaded all that it needs.
        shell
            .stdout
            .as_mut()
            .expect("it is piped")
            .read_exact(&mut [0])
            .expect("it says something");
        let open = OpenFiles::of(shell.id()).expect("it runs");
        shell.kill().expect("it waits for its input");
        shell.wait().expect("it was killed");
        open
    }

    #[test]
    fn files_are_told_from_the_rest() {
        let (none, one, device) =
            (after(""), after("exec 9</etc/passwd;"), after("exec 9</dev/null;"));
        assert_eq!((one.all, one.on_disk), (none.all + 1, none.on_disk + 1));
        assert_eq!((device.all, device.on_disk), (none.all + 1, none.on_disk));
        assert!(none.all >= 3, "{none:?}");
        assert!(OpenFiles::of(u32::MAX).is_err());
    }
}

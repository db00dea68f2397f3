//! A small disk of its own for a test, which can freeze and lose power.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::server::Stopped;

/// An ext4 file system in a file, mounted at `at` until dropped.
pub struct Disk {
    image: PathBuf,
    at: PathBuf,
    _home: TempDir,
}

impl Disk {
    /// Mounts an empty one as the data directory of `server`, if this user may; otherwise prints
    /// that the test is skipped.
    pub fn mount(server: &Stopped, test: &str) -> Option<Self> {
        Self::mount_at(server.directory.path().join("data"), test)
    }

    /// The same at this place.
    pub fn mount_at(at: PathBuf, test: &str) -> Option<Self> {
        std::fs::create_dir_all(&at).expect("a directory can be created in a temporary directory");
        let home = tempfile::tempdir().expect("a temporary directory can be created");
        let image = home.path().join("image");
        let file = std::fs::File::create(&image).expect("a file can be created");
        file.set_len(192 << 20).expect("a file can be sparse");
        let made = run("mkfs.ext4", &[&"-q", &"-E", &"root_owner", &image]);
        let disk = Self { image, at, _home: home };
        if !made || !disk.attach() {
            eprintln!("SKIPPED {test}: this user may not mount a disk");
            return None;
        }
        std::fs::remove_dir(disk.at.join("lost+found"))
            .expect("a new disk has an empty `lost+found`");
        Some(disk)
    }

    /// Blocks writes and flushes until the returned value is dropped.
    ///
    /// Nothing can be removed from a frozen disk, not even after a failed test, so the returned
    /// value must be dropped before the server's directory: keep it in a variable declared after
    /// the server's.
    pub fn freeze(&self) -> Frozen {
        assert!(
            run("fsfreeze", &[&"--freeze", &self.at]),
            "a user who may mount a disk may also freeze it"
        );
        Frozen(self.at.clone())
    }

    /// Simulates a power cut: whatever was not flushed is gone. The server must have been killed.
    pub fn lose_power(&mut self) {
        let witness = self.at.join("nobody-flushed-this");
        std::fs::write(&witness, "x").expect("there is space");
        // The file contains what the kernel has written to the device; everything else is in the
        // mount's page cache.
        let left = self.image.with_extension("left");
        assert!(run("cp", &[&"--sparse=always", &self.image, &left]), "there is space for a copy");
        assert!(run("umount", &[&self.at]), "the server is gone");
        self.image = left;
        assert!(self.attach(), "it has been mounted before");
        assert!(!witness.exists(), "a power cut that loses nothing proves nothing");
    }

    fn attach(&self) -> bool {
        // With this setting, the kernel writes nothing back by itself before the test is over.
        run("mount", &[&"-o", &"loop,commit=600", &self.image, &self.at])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &[&"--lazy", &self.at]);
    }
}

/// A frozen disk.
pub struct Frozen(PathBuf);

impl Drop for Frozen {
    fn drop(&mut self) {
        run("fsfreeze", &[&"--unfreeze", &self.0]);
    }
}

fn run(program: &str, args: &[&dyn AsRef<Path>]) -> bool {
    let args = args.iter().map(|arg| arg.as_ref().as_os_str());
    Command::new(program)
        .args(args)
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

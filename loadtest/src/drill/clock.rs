//! The wall clock of a drill's server, which is set forward and back again and again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::time::sleep;

/// How far it is set forward or back, in seconds.
const FARTHEST: i64 = 600;
/// The longest time between two steps.
const STEPS_WITHIN: Duration = Duration::from_millis(500);

/// Debian's libfaketime, loaded into the server, reads from a file how far the clock is off, each
/// time that the server asks for the time.
pub struct SteppedClock {
    library: PathBuf,
    dir: TempDir,
    pub steps: u64,
}

impl SteppedClock {
    pub fn new() -> Result<Self> {
        let arch = std::env::consts::ARCH;
        let library = format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketimeMT.so.1").into();
        let dir = TempDir::with_prefix("greenroom-clock-");
        let clock =
            Self { library, dir: dir.context("there is no temporary directory")?, steps: 0 };
        if !clock.library.exists() {
            let library = clock.library.display();
            bail!("`--step-clock` needs libfaketime at `{library}`: install Debian's `faketime`");
        }
        clock.set(0)?;
        Ok(clock)
    }

    /// What the server's environment needs. Pings are frequent, so that those that fail to come are
    /// noticed.
    pub fn environment(&self) -> Vec<String> {
        let pings = ["GREENROOM_SOCKET__PING_INTERVAL=1s", "GREENROOM_SOCKET__IDLE_TIMEOUT=3s"];
        let mut environment = self.steps_wall_time();
        environment.extend(pings.map(str::to_owned));
        environment
    }

    /// The same without its pings. Monotonic time is left alone.
    pub fn steps_wall_time(&self) -> Vec<String> {
        vec![
            format!("LD_PRELOAD={}", self.library.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.file().display()),
            "FAKETIME_NO_CACHE=1".into(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".into(),
            "DONT_FAKE_MONOTONIC=1".into(),
        ]
    }

    /// What the environment of a server needs whose clocks, monotonic ones too, run at another
    /// rate, such as `x1.01`.
    pub fn at_rate(&self, rate: &str) -> Vec<String> {
        vec![format!("LD_PRELOAD={}", self.library.display()), format!("FAKETIME=+0 {rate}")]
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// Sets it so many seconds off. The server never reads half of a file.
    fn set(&self, seconds: i64) -> Result<()> {
        let new = self.dir.path().join("new");
        std::fs::write(&new, format!("{seconds:+}\n"))
            .and_then(|()| std::fs::rename(&new, self.file()))
            .context("the server's clock cannot be set")
    }

    /// Sets it to another time.
    pub fn step_once(&mut self) -> Result<()> {
        self.set(fastrand::i64(-FARTHEST..=FARTHEST))?;
        self.steps += 1;
        Ok(())
    }

    /// Sets it again and again. Returns only where that fails.
    pub async fn step(&mut self) -> anyhow::Error {
        loop {
            sleep(STEPS_WITHIN.mul_f64(fastrand::f64())).await;
            if let Err(error) = self.step_once() {
                return error;
            }
        }
    }

    /// Removes what the library leaves of a process that was killed or has re-executed itself.
    pub fn forget(pid: u32) {
        for name in ["faketime_shm_", "sem.faketime_sem_"] {
            // It is not there where the library tidied up.
            let _ = std::fs::remove_file(format!("/dev/shm/{name}{pid}"));
        }
    }
}

//! On which machine.

use serde::Serialize;

/// What a figure cannot be compared without.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Machine {
    /// Cores this process may use.
    pub cores: usize,
    /// The processor's model, where the system tells.
    pub cpu: Option<String>,
    /// Main memory in bytes, where the system tells.
    pub memory_bytes: Option<u64>,
    /// The kernel's release, where the system tells.
    pub kernel: Option<String>,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let field = |file: &str, name: &str| {
            let text = std::fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kib = field("/proc/meminfo", "MemTotal")
            .and_then(|t| t.trim_end_matches("kB").trim().parse::<u64>().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            cpu: field("/proc/cpuinfo", "model name"),
            memory_bytes: kib.map(|kib| kib * 1024),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .ok()
                .map(|text| text.trim().to_owned()),
        }
    }
}

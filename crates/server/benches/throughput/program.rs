//! Programs under load.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;

/// How Linux counts processor time for everybody, whatever the kernel's own tick.
const TICKS_PER_SECOND: u32 = 100;

/// A program, killed at the end.
pub struct Program {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Program {
    /// Starts a program and waits until it says where it listens.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut program = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        for line in BufReader::new(output).lines() {
            if let Some(address) = line?.strip_prefix("listening on ") {
                program.address = address.parse()?;
                return Ok(program);
            }
        }
        anyhow::bail!("a program under test did not start");
    }

    /// Memory that is resident, in MiB, where the system tells it.
    pub fn resident_mib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1_024)
    }

    /// Processor time of all its threads so far, in user and system mode, where the system tells it.
    pub fn cpu(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name of the program may hold spaces; it ends with the last parenthesis.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace().skip(11);
        let user: u32 = fields.next()?.parse().ok()?;
        let system: u32 = fields.next()?.parse().ok()?;
        Some(Duration::from_secs(1) * (user + system) / TICKS_PER_SECOND)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already; there is nothing else to do about it here.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

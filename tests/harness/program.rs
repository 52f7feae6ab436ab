//! The program as a process.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::moment::within;

/// How long SIGTERM may take (issue: 30 s).
const DRAIN: Duration = Duration::from_secs(30);

/// The program with no settings from outside.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sextant"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SEXTANT_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    program().args(arguments).envs(environment.iter().copied()).output().expect("the program starts")
}

/// A running program. Dropping it kills it.
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts it, with its log in a file.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("the log can be written");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let read = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                read.lock().expect("no reader fails").push(line);
            }
        });
        Self { child, lines }
    }

    /// What it printed to standard output so far.
    pub fn printed(&self) -> Vec<String> {
        self.lines.lock().expect("no reader fails").clone()
    }

    /// The rest of the first line that begins so.
    pub async fn says(&mut self, beginning: &str) -> String {
        within(DRAIN, beginning, async || {
            let lines = self.printed();
            let found = lines.iter().find_map(|line| line.strip_prefix(beginning)).map(str::to_owned);
            let ended = self.child.try_wait().expect("the process can be asked");
            assert!(found.is_some() || ended.is_none(), "ended with {ended:?} after {lines:?}");
            found
        })
        .await
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
    }

    /// SIGTERM, without waiting.
    pub fn ask_to_end(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let told = Command::new("sh").args(["-c", &kill]).status().expect("a shell");
        assert!(told.success(), "the process is not there any more");
    }

    /// How it ended, if it did.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process can be asked")
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        within(DRAIN, "the end of the program", async || self.has_ended()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

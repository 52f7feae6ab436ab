//! Programs of others that tests install and run. What cannot be had is skipped, aloud.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long an installation may take.
pub const INSTALLING: Duration = Duration::from_secs(240);
/// Where they are installed, beside everything else that is built.
pub const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/clients");
/// What they are pinned by.
pub const LISTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/clients");

/// Runs a command to its end; says why when it fails.
pub async fn run(command: &mut Command, patience: Duration) -> Result<(), String> {
    let words = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let (output, errors) = (words.reopen(), words.reopen());
    let (output, errors) =
        (output.map_err(|error| error.to_string())?, errors.map_err(|error| error.to_string())?);
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if begun.elapsed() < patience => tokio::time::sleep(Duration::from_millis(20)).await,
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
        }
    };
    if status { Ok(()) } else { Err(std::fs::read_to_string(words.path()).unwrap_or_default()) }
}

/// A python of its own with the packages of a list in `tests/clients`.
pub async fn python(name: &str, list: &str) -> Result<PathBuf, String> {
    let place = Path::new(PLACE).join(name);
    let python = place.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&place), INSTALLING).await?;
    }
    let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&python).args(arguments).arg(Path::new(LISTS).join(list)), INSTALLING).await?;
    Ok(python)
}

/// Says that a test did not run. It goes past the capture of the test runner, or nobody would hear of it.
pub fn skipped(test: &str, why: &str) {
    let why = why.lines().last().unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

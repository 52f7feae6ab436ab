//! The data directory of the demo, emptied at every start. It carries a mark, so that nothing else is ever
//! emptied, and the mark is locked while a demo runs.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context as _, bail};

/// The file that tells a directory of the demo.
const MARK: &str = ".sextant-demo";

/// The directory, held while the demo runs.
#[derive(Debug)]
pub struct Directory {
    _mark: File,
}

impl Directory {
    /// Makes the directory at `path`, or empties it if the demo made it.
    pub fn made_anew(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let mark = path.join(MARK);
        let foreign = path.exists() && !mark.is_file() && fs::read_dir(path)?.next().is_some();
        if foreign {
            bail!(
                "{shown} is not empty and was not made by the demo: name another directory with --data-dir"
            );
        }
        fs::create_dir_all(path).with_context(|| format!("cannot make {shown}"))?;
        let held = File::options().create(true).append(true).open(&mark);
        let held = held.with_context(|| format!("cannot write to {shown}"))?;
        if held.try_lock().is_err() {
            bail!("another demo is running on {shown}: name another directory with --data-dir");
        }
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_name() == MARK {
                continue;
            }
            let removed = if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())
            } else {
                fs::remove_file(entry.path())
            };
            removed.with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
        Ok(Self { _mark: held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_directory_is_emptied() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("demo");
        drop(Directory::made_anew(&path).unwrap());
        fs::create_dir(path.join("store")).unwrap();
        fs::write(path.join("store/data"), "old").unwrap();
        drop(Directory::made_anew(&path).unwrap());
        assert!(!path.join("store").exists());

        let foreign = home.path().join("other");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("letter"), "keep").unwrap();
        let refused = Directory::made_anew(&foreign).unwrap_err().to_string();
        assert!(refused.contains("--data-dir"), "{refused}");
        assert!(foreign.join("letter").exists());
    }

    #[test]
    fn a_running_demo_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let _running = Directory::made_anew(home.path()).unwrap();
        fs::write(home.path().join("store"), "live").unwrap();
        let refused = Directory::made_anew(home.path()).unwrap_err().to_string();
        assert!(refused.contains("another demo"), "{refused}");
        assert!(home.path().join("store").exists());
    }
}

//! A clock for the program that a test moves, so that hours pass at once: a library in front of the system's that
//! adds to the time of day and nothing else. Linux only; it is built with the compiler that links Rust programs.

use std::process::Command;

use tempfile::TempDir;

use super::moment::now;

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long ahead;

__attribute__((constructor)) static void read_file(void) {
    const char *path = getenv("TEST_CLOCK_FILE");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) {
        if (fscanf(file, "%ld", &ahead) != 1) ahead = 0;
        fclose(file);
    }
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && clock == CLOCK_REALTIME) time->tv_sec += ahead;
    return failed;
}
"#;

/// A clock that starts at the middle of an hour. What it shows counts from the program's next start on.
pub struct Clock {
    directory: TempDir,
    offset: i64,
}

impl Clock {
    /// Builds it.
    pub fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let source = directory.path().join("clock.c");
        std::fs::write(&source, SOURCE).expect("a temporary file");
        let library = directory.path().join("clock.so");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        assert!(built.is_ok_and(|status| status.success()), "cc builds a small library");
        let mut clock = Self { directory, offset: 1_800 - now().rem_euclid(3_600) };
        clock.goes_on(0);
        clock
    }

    /// Moves it.
    pub fn goes_on(&mut self, seconds: i64) {
        self.offset += seconds;
        let file = self.directory.path().join("ahead");
        std::fs::write(file, self.offset.to_string()).expect("a temporary file");
    }

    /// What the environment of the program has to hold.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        [("LD_PRELOAD", "clock.so"), ("TEST_CLOCK_FILE", "ahead")]
            .map(|(name, file)| (name, self.directory.path().join(file).display().to_string()))
    }
}

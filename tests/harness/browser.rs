//! A real browser, headless, on pages that a test writes.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, response::Html};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    task::JoinHandle,
};

use super::installed::skipped;

/// Where Debian and others put it.
const PROGRAMS: [&str; 3] = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/// It looks nobody up, updates nothing and asks nothing.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
/// How long a visit may take before the browser is taken to hang.
const PATIENCE: Duration = Duration::from_secs(120);
/// Milliseconds of the page's own time that a visit lasts: its timers run as fast as its requests let them.
const VISIT: &str = "--virtual-time-budget=8000";

/// A browser with a profile of its own, and a site that it visits.
pub struct Browser {
    program: PathBuf,
    profile: TempDir,
    site: SocketAddr,
    serving: JoinHandle<()>,
}

impl Browser {
    /// A browser for a site with these pages, by path; `None` when there is none on this machine, which is said
    /// aloud.
    pub async fn on(test: &str, pages: &[(&str, String)]) -> Option<Self> {
        let pages: HashMap<String, String> =
            pages.iter().map(|(path, page)| ((*path).to_owned(), page.clone())).collect();
        Self::on_site(test, Router::new().fallback(page).with_state(Arc::new(pages))).await
    }

    /// A browser for a site that does more than show pages.
    pub async fn on_site(test: &str, router: Router) -> Option<Self> {
        let Some(program) = PROGRAMS.iter().map(PathBuf::from).find(|program| program.exists()) else {
            skipped(test, "no chromium on this machine");
            return None;
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let site = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the site is served");
        });
        Some(Self { program, profile: TempDir::new().expect("a profile"), site, serving })
    }

    /// Visits a page of the site; the page as it is in the end.
    pub async fn visit(&self, path: &str) -> String {
        let output = self.command(path).args(["--dump-dom", VISIT]).output();
        let output =
            tokio::time::timeout(PATIENCE, output).await.expect("the browser ends its visit in time");
        String::from_utf8_lossy(&output.expect("the browser starts").stdout).into_owned()
    }

    /// Opens a page of the site and stays on it until dropped, in the time of the world.
    pub fn stay(&self, path: &str) -> Child {
        self.command(path).stdout(Stdio::null()).spawn().expect("the browser starts")
    }

    fn command(&self, path: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(ARGUMENTS);
        command.arg(format!("--user-data-dir={}", self.profile.path().display()));
        command.arg(format!("http://{}{path}", self.site));
        command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn page(
    State(pages): State<Arc<HashMap<String, String>>>,
    uri: axum::http::Uri,
) -> Result<Html<String>, StatusCode> {
    pages.get(uri.path()).cloned().map(Html).ok_or(StatusCode::NOT_FOUND)
}

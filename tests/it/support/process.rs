//! The built binary, beside or in place of the app in this process.

use super::{app::TestApp, request::Http};
use std::{
    process::Stdio,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A serving process. It ends with the test.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    address: String,
    /// A client of where it listens.
    pub(crate) http: Http,
}

impl Process {
    /// One more replica on the app's database, on a port of its own.
    pub(crate) async fn replica(app: &TestApp) -> Self {
        Self::start(app, &[("MOORING_LISTEN", "127.0.0.1:0")]).await
    }

    /// A process with the app's settings and some others.
    pub(crate) async fn start(app: &TestApp, settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mooring"))
            .current_dir(app.data.path())
            .env_clear()
            .envs(app.vars())
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary was built");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let keep = |line: &str, log: &Mutex<String>| {
            let mut log = log.lock().unwrap();
            log.push_str(line);
            log.push('\n');
        };
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("it says where it listens before it ends");
            keep(&line, &log);
            if let Some(rest) = line.strip_prefix("Mooring listens on http://") {
                break rest.split(' ').next().unwrap().to_owned();
            }
        };
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep(&line, &kept);
            }
        });
        let http = Http::new(&format!("http://{address}"));
        Self { child, log, address, http }
    }

    /// Where it listens, as in `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The most memory that it ever held, in KiB, as the kernel tells it.
    pub(crate) fn most_memory(&self) -> u64 {
        let id = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Sends it a signal, such as `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Waits for its end, which was asked for, and gives back everything that it wrote to its log.
    pub(crate) async fn ended(mut self) -> String {
        assert!(self.child.wait().await.unwrap().success(), "a stop that was asked for is no failure");
        self.log.lock().unwrap().clone()
    }

    /// Asks it to stop, waits, and gives back everything that it wrote to its log.
    pub(crate) async fn stop(self) -> String {
        self.signal("TERM").await;
        self.ended().await
    }
}

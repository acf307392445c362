//! One real Mooring process.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

const LAST_LINES: usize = 20;

/// A serving process with a name that no other one of its world has. It ends with its handle.
pub(crate) struct Process {
    pub(crate) name: String,
    child: Child,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    /// Starts one, and waits until it listens or has died of its failpoint.
    pub(crate) async fn start(name: String, vars: &BTreeMap<String, String>, folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mooring"))
            .current_dir(folder)
            .env_clear()
            .envs(vars)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary was built");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let log = Arc::new(Mutex::new(VecDeque::new()));
        while let Ok(Some(line)) = lines.next_line().await {
            let listens = line.starts_with("Mooring listens on ");
            keep(&log, line);
            if listens {
                break;
            }
        }
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep(&kept, line);
            }
        });
        Self { name, child, log }
    }

    /// Whether it was stopped by SIGSTOP and not yet continued, as the kernel tells it.
    pub(crate) fn stands_still(&self) -> bool {
        let id = self.child.id().expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// SIGKILL, and the moment when it was dead at the latest.
    pub(crate) async fn kill(&mut self) -> OffsetDateTime {
        self.child.kill().await.unwrap();
        OffsetDateTime::now_utc()
    }

    /// Waits for a death that a failpoint brings.
    pub(crate) async fn died(&mut self) -> OffsetDateTime {
        let status = timeout(Duration::from_secs(30), self.child.wait()).await;
        let status =
            status.unwrap_or_else(|_| panic!("{} does not reach its failpoint:\n{}", self.name, self.log()));
        assert!(!status.unwrap().success(), "{} was killed:\n{}", self.name, self.log());
        OffsetDateTime::now_utc()
    }

    pub(crate) async fn signal(&self, signal: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args([signal, &id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Waits for an end that was asked for.
    pub(crate) async fn ended(&mut self) {
        let status = timeout(Duration::from_secs(170), self.child.wait()).await.expect("a stop ends");
        assert!(status.unwrap().success(), "a stop that was asked for is no failure:\n{}", self.log());
    }

    pub(crate) async fn stop(&mut self) {
        self.signal("-TERM").await;
        self.ended().await;
    }

    /// The last lines that it wrote. Mooring's log holds no secrets.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

/// Of what a process writes, the link that makes the first operator is the one secret.
fn keep(log: &Mutex<VecDeque<String>>, line: String) {
    if line.contains("/setup?token=") {
        return;
    }
    let mut log = log.lock().unwrap();
    if log.len() == LAST_LINES {
        log.pop_front();
    }
    log.push_back(line);
}

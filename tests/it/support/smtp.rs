//! A real mail server as a process of its own, with certificates of a private CA.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use std::{fs, path::Path, process::Stdio};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::mpsc::{self, UnboundedReceiver},
};

/// Debian's own Python: its packages are not seen by another one.
const PYTHON: &str = "/usr/bin/python3";

/// How long a mail and its end may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A CA, and a certificate for `localhost` that it issued.
pub(crate) struct Pki {
    folder: TempDir,
    pub(crate) ca_pem: String,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::new(Vec::new()).expect("no names");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).expect("a CA").pem();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate");
        let folder = TempDir::new().expect("a temporary folder can be made");
        let pki = Self { folder, ca_pem };
        for (name, pem) in [("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
            fs::write(pki.folder.path().join(name), pem).expect("it can be written");
        }
        fs::write(pki.ca_file(), &pki.ca_pem).expect("it can be written");
        pki
    }

    pub(crate) fn ca_file(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn arguments(&self) -> [String; 4] {
        let path = |name| self.folder.path().join(name).display().to_string();
        ["--certificate".into(), path("cert.pem"), "--key".into(), path("key.pem")]
    }
}

/// A running mail server. It ends with the test.
pub(crate) struct SmtpServer {
    child: Child,
    /// All that it says until its end. It is read at once: a full pipe would stop the server.
    said: UnboundedReceiver<Value>,
    pub(crate) port: u64,
}

impl SmtpServer {
    /// Starts one that behaves as these arguments of `smtp_server.py` say.
    pub(crate) async fn start(pki: Option<&Pki>, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/smtp_server.py");
        let mut child = Command::new(PYTHON)
            .arg(script)
            .args(pki.map(Pki::arguments).into_iter().flatten())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python is installed: scripts/prepare-tests");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let listening = next(&mut lines).await.expect("aiosmtpd is installed: scripts/prepare-tests");
        let port = listening["port"].as_u64().expect("a port");
        let (say, said) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(one) = next(&mut lines).await {
                // A test that ended does not listen any more.
                let _ = say.send(one);
            }
        });
        Self { child, said, port }
    }

    /// The next mail that comes.
    pub(crate) async fn mail(&mut self) -> Value {
        let mail = async {
            loop {
                let said = self.said.recv().await.expect("the server runs");
                if said["event"] == "mail" {
                    return said;
                }
            }
        };
        tokio::time::timeout(PATIENCE, mail).await.expect("a mail comes")
    }

    /// Ends the server: everything that it said and nobody waited for.
    pub(crate) async fn stop(mut self) -> Vec<Value> {
        drop(self.child.stdin.take());
        let rest = async {
            let mut said = vec![];
            while let Some(one) = self.said.recv().await {
                said.push(one);
            }
            said
        };
        tokio::time::timeout(PATIENCE, rest).await.expect("it ends with its input")
    }
}

/// What a server says next; `None` once it has ended.
async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<Value> {
    let line = lines.next_line().await.expect("its output can be read")?;
    Some(serde_json::from_str(&line).expect("it speaks JSON"))
}

/// The mails among what a server said.
pub(crate) fn mails(said: &[Value]) -> Vec<&Value> {
    said.iter().filter(|one| one["event"] == "mail").collect()
}

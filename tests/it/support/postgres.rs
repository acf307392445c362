//! Fresh databases in `PostgreSQL`. The first one that a test asks for starts one throwaway cluster for the whole
//! test process, and the cluster ends with the process.
//!
//! `TEST_POSTGRES_URL` names a running server to use instead, such as `postgres://postgres@127.0.0.1:5432`. It saves
//! the start of a cluster for each test under cargo-nextest, which runs each test in its own process. The user must
//! be allowed to create databases, and the new ones (`mooring_test_*`) stay there: give it a throwaway server.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;
use uuid::Uuid;

use super::watchdog::Watchdog;

/// Makes a cluster and starts it on the first of the offered ports that is still free. The server refuses to run as
/// root, so root runs this script again as the user `postgres`.
const SCRIPT: &str = r#"
trap '' PIPE
PATH="$PATH:$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)"
export PATH
command -v initdb >/dev/null && command -v pg_ctl >/dev/null || { echo missing; exit; }
if [ "$(id -u)" -eq 0 ]; then
  command -v setpriv >/dev/null || exec runuser -u postgres -- sh -c "$0" "$0"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups sh -c "$0" "$0"
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/mooring-postgres.XXXXXX") || folder=$(mktemp -d /tmp/mooring-postgres.XXXXXX)
data=$folder/data log=$folder/log
trap 'rm -rf "$folder"' EXIT
initdb -D "$data" -U postgres -A trust -E UTF8 --no-sync >"$log" 2>&1 || { cat "$log"; exit; }
echo initialized
while read -r port; do
  case $port in
  stop) pg_ctl stop -D "$data" -m immediate >/dev/null && echo stopped; continue ;;
  standby) touch "$data/standby.signal" && echo standby; continue ;;
  promote) pg_ctl promote -w -D "$data" >/dev/null && echo promoted; continue ;;
  start) pg_ctl start -w -D "$data" -l "$log" -o "$options" >/dev/null && echo started; continue ;;
  esac
  options="-p $port -h 127.0.0.1 -k '$folder' -c fsync=off -c max_connections=200"
  if pg_ctl start -w -D "$data" -l "$log" -o "$options" >/dev/null; then
    echo started
  else
    echo "port $port: $(tail -n 5 "$log" | tr '\n' ' ')"
  fi
done
pg_ctl stop -D "$data" -m immediate
"#;

/// Between the moment we find a port free and the moment the server takes it, another program can be faster.
const PORTS_TO_TRY: usize = 5;

/// An empty database that belongs to one test.
pub(crate) struct TestDatabase {
    url: String,
}

impl TestDatabase {
    /// Where it is, as in `postgres://postgres@127.0.0.1:PORT/NAME`.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }
}

/// Makes an empty database that no other test knows.
pub(crate) async fn database() -> TestDatabase {
    let name = format!("mooring_test_{}", Uuid::now_v7().simple());
    let mut url = server().clone();
    let mut admin = PgConnection::connect(url.as_str()).await.expect("the PostgreSQL of the tests answers");
    let create = AssertSqlSafe(format!("create database {name}"));
    sqlx::query(create).execute(&mut admin).await.expect("a database can be created");
    admin.close().await.expect("the connection closes");
    url.set_path(&name);
    TestDatabase { url: url.into() }
}

/// The server that this process uses, with the database to sign in to before there is any of ours.
fn server() -> &'static Url {
    static SERVER: OnceLock<(Url, Option<Watchdog>)> = OnceLock::new();
    let (url, _) = SERVER.get_or_init(|| match given_server() {
        Some(url) => (url, None),
        None => start_cluster(),
    });
    url
}

#[expect(clippy::disallowed_methods, reason = "a setting of the tests; config.rs reads those of Mooring")]
fn given_server() -> Option<Url> {
    let text = std::env::var("TEST_POSTGRES_URL").ok().filter(|text| !text.is_empty())?;
    let mut url = Url::parse(&text).expect("TEST_POSTGRES_URL is a URL");
    if url.path().len() <= 1 {
        url.set_path("postgres");
    }
    Some(url)
}

/// A server that belongs to one test, which may take it down.
pub(crate) struct Cluster {
    url: Url,
    watchdog: Watchdog,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let (url, watchdog) = start_cluster();
        Self { url, watchdog: watchdog.expect("it was just started") }
    }

    /// Its one database.
    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// Ends it as a crash would.
    pub(crate) fn crash(&mut self) {
        self.order("stop", "stopped");
    }

    /// Starts it again after a crash, on the same port.
    pub(crate) fn come_back(&mut self) {
        self.order("start", "started");
    }

    /// The same as a standby, which answers and does not write.
    pub(crate) fn come_back_as_standby(&mut self) {
        self.order("standby", "standby");
        self.order("start", "started");
    }

    pub(crate) fn promote(&mut self) {
        self.order("promote", "promoted");
    }

    fn order(&mut self, what: &str, done: &str) {
        self.watchdog.say(what);
        assert_eq!(self.watchdog.hear().as_deref(), Some(done));
    }
}

fn start_cluster() -> (Url, Option<Watchdog>) {
    let mut watchdog = Watchdog::start(SCRIPT);
    match watchdog.hear().as_deref() {
        Some("initialized") => {}
        Some("missing") => panic!("PostgreSQL (initdb and pg_ctl) is missing: `make test` installs it"),
        other => panic!("initdb failed: {}\n{}", other.unwrap_or_default(), watchdog.last_words()),
    }
    let mut refusals = Vec::new();
    while refusals.len() < PORTS_TO_TRY {
        let port = free_port();
        watchdog.say(&port.to_string());
        match watchdog.hear().as_deref() {
            Some("started") => return (local_server(port), Some(watchdog)),
            other => refusals.push(other.unwrap_or("its script ended").to_owned()),
        }
    }
    panic!("PostgreSQL does not start:\n{}", refusals.join("\n"))
}

fn local_server(port: u16) -> Url {
    Url::parse(&format!("postgres://postgres@127.0.0.1:{port}/postgres")).expect("this is a URL")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the system has a free port");
    listener.local_addr().expect("it is bound").port()
}

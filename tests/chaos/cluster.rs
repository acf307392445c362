//! A PostgreSQL cluster of our own, which is taken away at once and given back.

use crate::watchdog::Watchdog;
use std::{
    net::TcpListener,
    sync::{Mutex, OnceLock},
};

/// Makes a cluster, then starts it on each port that it reads and breaks it off at each `stop`. The server refuses
/// to run as root, so root runs this script again as the user `postgres`.
const SCRIPT: &str = r#"
trap '' PIPE
PATH="$PATH:$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)"
export PATH
command -v initdb >/dev/null && command -v pg_ctl >/dev/null || { echo missing; exit; }
if [ "$(id -u)" -eq 0 ]; then
  command -v setpriv >/dev/null || exec runuser -u postgres -- sh -c "$0" "$0"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups sh -c "$0" "$0"
fi

folder=$(mktemp -d /dev/shm/mooring-chaos.XXXXXX) || folder=$(mktemp -d /tmp/mooring-chaos.XXXXXX)
data=$folder/data log=$folder/log
trap 'rm -rf "$folder"' EXIT
initdb -D "$data" -U postgres -A trust -E UTF8 --no-sync >"$log" 2>&1 || { cat "$log"; exit; }
echo initialized
while read -r word; do
  if [ "$word" = stop ]; then
    pg_ctl stop -D "$data" -m immediate >/dev/null && echo stopped
    continue
  fi
  options="-p $word -h 127.0.0.1 -k '$folder' -c fsync=off -c max_connections=500"
  if pg_ctl start -w -D "$data" -l "$log" -o "$options" >/dev/null; then
    echo started
  else
    echo "port $word: $(tail -n 5 "$log" | tr '\n' ' ')"
  fi
done
pg_ctl stop -D "$data" -m immediate
"#;

/// A running cluster.
pub(crate) struct Cluster {
    watchdog: Mutex<Watchdog>,
    port: u16,
}

impl Cluster {
    /// The cluster of most scenarios. Both end with this process.
    pub(crate) fn steady() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(Self::make)
    }

    /// The one that is taken away.
    pub(crate) fn fragile() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(Self::make)
    }

    fn make() -> Self {
        let mut watchdog = Watchdog::start(SCRIPT);
        match watchdog.hear().as_deref() {
            Some("initialized") => {}
            Some("missing") => panic!("PostgreSQL (initdb and pg_ctl) is missing: `make test` installs it"),
            other => panic!("initdb failed: {}", other.unwrap_or_default()),
        }
        let cluster = Self { watchdog: Mutex::new(watchdog), port: free_port() };
        cluster.start();
        cluster
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn start(&self) {
        self.expect(&self.port.to_string(), "started");
    }

    /// Breaks it off without a goodbye, as a crash does.
    pub(crate) fn stop(&self) {
        self.expect("stop", "stopped");
    }

    fn expect(&self, word: &str, answer: &str) {
        let mut watchdog = self.watchdog.lock().unwrap();
        watchdog.say(word);
        assert_eq!(watchdog.hear().as_deref(), Some(answer), "PostgreSQL does as it is told");
    }
}

/// A port below those that the system gives to outgoing connections, so that a restart finds it free again.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<u32> = Mutex::new(0);
    let mut given = GIVEN.lock().unwrap();
    loop {
        *given += 1;
        let nth = std::process::id().wrapping_mul(97).wrapping_add(*given);
        let port = u16::try_from(10_000 + nth % 20_000).expect("below 30,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

//! A PgBouncer before a database of the tests: transaction pooling and few servers, so that two transactions of one
//! client meet different servers. As it is installed it ignores no parameter of the start: it must know what we send.

use super::{app::free_port, watchdog::Watchdog};
use std::time::Duration;
use tokio::{net::TcpStream, time::timeout};
use url::Url;

/// Reads the port of PostgreSQL, how many servers there are, the port to listen on, and what is ignored. Runs as the user `postgres`
/// where we are root: PgBouncer refuses that.
const SCRIPT: &str = r#"
trap '' PIPE
PATH="$PATH:/usr/sbin"
export PATH
command -v pgbouncer >/dev/null || { echo missing; exit; }
if [ "$(id -u)" -eq 0 ]; then
  command -v setpriv >/dev/null || exec runuser -u postgres -- sh -c "$0" "$0"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups sh -c "$0" "$0"
fi

folder=$(mktemp -d /tmp/mooring-pgbouncer.XXXXXX)
trap 'rm -rf "$folder"' EXIT
read -r database servers port ignored
echo '"postgres" ""' >"$folder/users"
cat >"$folder/settings" <<END
[databases]
* = host=127.0.0.1 port=$database
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = trust
auth_file = $folder/users
pool_mode = transaction
default_pool_size = $servers
max_client_conn = 500
ignore_startup_parameters = $ignored
END
pgbouncer "$folder/settings" >"$folder/log" 2>&1 &
pooler=$!
echo started
cat >/dev/null
kill "$pooler"
wait
"#;

/// It ends when this is dropped.
pub(crate) struct PgBouncer {
    url: Url,
    _watchdog: Watchdog,
}

impl PgBouncer {
    /// Starts one before the server of this database, with so many connections to it.
    pub(crate) async fn before(database: &str, servers: usize) -> Self {
        Self::ignoring("", database, servers).await
    }

    /// The same for one that passes over a parameter of the start.
    pub(crate) async fn ignoring(parameter: &str, database: &str, servers: usize) -> Self {
        let mut url = Url::parse(database).expect("a database has a URL");
        let mut watchdog = Watchdog::start(SCRIPT);
        let port = free_port();
        watchdog
            .say(&format!("{} {servers} {port} {parameter}", url.port().expect("its URL names the port")));
        assert_eq!(watchdog.hear().as_deref(), Some("started"), "PgBouncer: `make test` installs it");
        url.set_port(Some(port)).expect("a port can be set");
        let listens = async { while TcpStream::connect(("127.0.0.1", port)).await.is_err() {} };
        timeout(Duration::from_secs(10), listens).await.expect("PgBouncer listens");
        Self { url, _watchdog: watchdog }
    }

    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }
}

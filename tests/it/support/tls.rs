//! A company's own CA, and a GitLab behind a certificate of it.

use super::app::{On, TestApp};
use axum::serve::Listener;
use gitlab_sim::{Options, Sim};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::{fs, io, net::SocketAddr, sync::Arc};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer},
    server::TlsStream,
};

/// A certificate authority of a company's own, with one certificate that it issued.
pub(crate) struct Authority {
    pub(crate) pem: String,
    server: Arc<ServerConfig>,
}

impl Authority {
    pub(crate) fn for_host(host: &str) -> Self {
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        ca.distinguished_name.push(DnType::CommonName, "Acme Root CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = ca.self_signed(&ca_key).expect("a CA").pem();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let server = ServerConfig::builder().with_no_client_auth();
        let server = server.with_single_cert(vec![certificate.der().clone()], key.into());
        Self { pem, server: Arc::new(server.expect("a TLS server")) }
    }
}

/// A listener that speaks TLS. Handshakes that fail are the other side's matter.
pub(crate) struct TlsDoor {
    door: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsDoor {
    pub(crate) async fn open(authority: &Authority) -> Self {
        let door = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        Self { door, acceptor: TlsAcceptor::from(Arc::clone(&authority.server)) }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.door.local_addr().expect("it has an address"))
    }

    /// Serves this GitLab until the test's runtime ends.
    pub(crate) fn serve(self, sim: &Sim) {
        let server = axum::serve(self, sim.router());
        Handle::current().spawn(async move { server.await });
    }
}

impl Listener for TlsDoor {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.door.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.door.local_addr()
    }
}

/// An app beside a GitLab that is also reached by TLS, and where that is.
pub(crate) async fn beside_tls(authority: &Authority, settings: &[(&str, &str)]) -> (TestApp, String) {
    beside_tls_at(authority, "", settings).await
}

/// The same with the GitLab below this path of its host; the address is that of the host alone.
pub(crate) async fn beside_tls_at(
    authority: &Authority,
    path: &str,
    settings: &[(&str, &str)],
) -> (TestApp, String) {
    let door = TlsDoor::open(authority).await;
    let url = door.url();
    let external_url = Some(format!("{url}{path}"));
    let options = Options { external_url, base_path: path.to_owned(), ..Options::default() };
    let app = TestApp::start_with(On::Sqlite, options, settings).await;
    door.serve(app.sim());
    (app, url)
}

pub(crate) fn ca_file(pem: &str) -> (TempDir, String) {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let file = folder.path().join("ca.pem");
    fs::write(&file, pem).expect("it can be written");
    let path = file.display().to_string();
    (folder, path)
}

pub(crate) const ALLOW: (&str, &str) = ("MOORING_OUTBOUND_ALLOW", "127.0.0.1");

//! Servers on loopback that behave as a test wants. Threads, so that no runtime has to turn for them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rcgen::{CertificateParams, Issuer, KeyPair};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream};

use crate::outbound::CaBundle;

/// Where a server listens, and how many connections it has seen.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Hands each connection, as it is, to `behave`.
pub(super) fn raw(behave: impl Fn(TcpStream) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server { address: listener.local_addr().unwrap(), connections: Arc::default() };
    let seen = Arc::clone(&server.connections);
    let behave = Arc::new(behave);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            seen.fetch_add(1, Ordering::SeqCst);
            let behave = Arc::clone(&behave);
            thread::spawn(move || behave(stream));
        }
    });
    server
}

/// Reads the head of a request, writes `answer` and closes.
pub(super) fn answering(answer: impl Into<Vec<u8>>) -> Server {
    let answer = answer.into();
    raw(move |mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(&answer);
    })
}

/// Reads the head of a request, writes `answer` and then keeps silent with the connection open.
pub(super) fn hanging_after(answer: &'static str) -> Server {
    raw(move |mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(answer.as_bytes());
        hang(&stream);
    })
}

/// Keeps a connection open until the other side closes it.
pub(super) fn hang(mut stream: &TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

pub(super) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A private CA and a server certificate that it issued.
pub(super) struct Pki {
    pub(super) ca_pem: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Pki {
    pub(super) fn for_host(host: &str) -> Self {
        Self::with(host, |_| {})
    }

    pub(super) fn with(host: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        Self { ca_pem, certificate: certificate.der().clone(), key: key.serialize_der() }
    }

    /// One certificate that is its own issuer, with or without the mark of a CA.
    pub(super) fn self_signed(host: &str, is_ca: bool) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        if is_ca {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let certificate = params.self_signed(&key).unwrap();
        Self { ca_pem: certificate.pem(), certificate: certificate.der().clone(), key: key.serialize_der() }
    }

    pub(super) fn ca(&self) -> CaBundle {
        CaBundle::from_pem(self.ca_pem.as_bytes()).unwrap()
    }

    /// A TLS server that answers every request with `hello`.
    pub(super) fn serve(&self) -> Server {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let config = ServerConfig::builder().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(vec![self.certificate.clone()], key).unwrap());
        raw(move |mut stream| {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = Stream::new(&mut connection, &mut stream);
            read_head(&mut tls);
            let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
            tls.conn.send_close_notify();
            let _ = tls.flush();
        })
    }
}

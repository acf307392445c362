//! Somebody who sends the head of a request, and the body when they please.

use super::app::TestApp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) struct SlowSender(TcpStream);

impl SlowSender {
    /// Sends the head of a POST with this line of credentials, and waits until the server wants the body: then it has
    /// judged what it judges by the head.
    pub(crate) async fn begin(
        app: &TestApp,
        path: &str,
        (credentials, kind): (&str, &str),
        length: usize,
    ) -> Self {
        let site = app.site().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(site.replace("localhost", "127.0.0.1")).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {site}\r\n{credentials}\r\ncontent-type: {kind}\r\n\
             content-length: {length}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut wants = [0; 25];
        stream.read_exact(&mut wants).await.unwrap();
        assert!(wants.starts_with(b"HTTP/1.1 100 Continue"));
        Self(stream)
    }

    /// Sends the body: the answer.
    pub(crate) async fn end(mut self, body: &str) -> String {
        self.0.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

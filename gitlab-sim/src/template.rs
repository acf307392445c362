//! Answers of the token endpoint in words of your own: the real tokens, in any bytes, under any head, and
//! with an end that may never come.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::reply::Reply;

/// What to answer after a refresh. As JSON: `{"status": 200, "headers": [["Content-Type", "text/html"]],
/// "body": "<p>{access_token}</p>", "ending": "broken"}`, or `"body": {"base64": "…"}`.
///
/// `{access_token}`, `{refresh_token}` and `{expires_in}` become the real ones, `{access_token/2}` and
/// `{refresh_token/2}` their first halves; also where the body is UTF-16. If nothing was granted, the real
/// answer comes.
#[derive(Clone, Debug, Deserialize)]
pub struct Template {
    /// The status code.
    #[serde(default = "ok")]
    pub status: u16,
    /// The headers, and no other that describes the body.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body with its placeholders.
    #[serde(deserialize_with = "text_or_base64")]
    pub body: Vec<u8>,
    /// How it ends.
    #[serde(default)]
    pub ending: Ending,
}

/// How the body of a [`Template`] ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// As it should.
    #[default]
    Whole,
    /// The connection closes after the bytes, with more announced.
    Broken,
    /// The bytes come one by one, five hundred each second.
    Dribble,
    /// The bytes come one by one, and then the connection closes, with more announced.
    DribbleAndBreak,
    /// After the bytes nothing comes, and the connection stays open.
    Silent,
}

/// Between the bytes of a body that dribbles.
const PACE: Duration = Duration::from_millis(2);

impl Template {
    /// A JSON answer with this text.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status: 200, headers, body: body.into(), ending: Ending::Whole }
    }

    /// The answer in these words, with what was really granted in it.
    pub(crate) fn answer(self, real: Reply) -> Response<Body> {
        let Some(granted) = Granted::of(&real) else { return real.into_response() };
        let body = granted.fill(self.body);
        let mut headers = self.headers;
        let breaks = matches!(self.ending, Ending::Broken | Ending::DribbleAndBreak);
        if breaks && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            headers.push(("Content-Length".into(), (body.len() + 1_000).to_string()));
        }
        Reply { status: self.status, headers, body: String::new() }.respond(self.ending.send(body))
    }
}

impl Ending {
    pub(crate) fn send(self, body: Vec<u8>) -> Body {
        let pieces: Vec<Bytes> = match self {
            Self::Dribble | Self::DribbleAndBreak => body.chunks(1).map(Bytes::copy_from_slice).collect(),
            _ => vec![body.into()],
        };
        let dribbles = pieces.len() > 1;
        let pieces = stream::unfold(pieces.into_iter(), move |mut left| async move {
            let piece = left.next();
            if dribbles || piece.is_none() {
                // Also before the end: the server sends what it has only while it waits for more.
                tokio::time::sleep(PACE).await;
            }
            if piece.is_none() && self == Self::Silent {
                std::future::pending::<()>().await;
            }
            Some((Ok::<_, io::Error>(piece?), left))
        });
        // A stream has no known length, so that the server trusts the header, whatever it says.
        Body::from_stream(pieces)
    }
}

/// What the real answer granted.
struct Granted {
    access: String,
    refresh: String,
    seconds: String,
}

impl Granted {
    fn of(reply: &Reply) -> Option<Self> {
        let fields: Value = serde_json::from_str(&reply.body).ok()?;
        let text = |key| Some(fields.get(key)?.as_str()?.to_owned());
        let seconds = fields.get("expires_in")?.to_string();
        Some(Self { access: text("access_token")?, refresh: text("refresh_token")?, seconds })
    }

    fn fill(&self, body: Vec<u8>) -> Vec<u8> {
        let half = |token: &str| token[..token.len() / 2].to_owned();
        let places = [
            ("{access_token}", self.access.clone()),
            ("{refresh_token}", self.refresh.clone()),
            ("{expires_in}", self.seconds.clone()),
            ("{access_token/2}", half(&self.access)),
            ("{refresh_token/2}", half(&self.refresh)),
        ];
        let encodings: [fn(&str) -> Vec<u8>; 3] = [utf8, utf16_le, utf16_be];
        places.iter().fold(body, |body, (place, value)| {
            encodings.iter().fold(body, |body, encode| replace(&body, &encode(place), &encode(value)))
        })
    }
}

fn utf8(text: &str) -> Vec<u8> {
    text.into()
}

fn utf16_le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn utf16_be(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn replace(bytes: &[u8], place: &[u8], value: &[u8]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(place) {
            filled.extend_from_slice(value);
            rest = after;
        } else {
            filled.push(*first);
            rest = after;
        }
    }
    filled
}

fn ok() -> u16 {
    200
}

fn text_or_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Base64 { base64: String },
    }
    match Written::deserialize(deserializer)? {
        Written::Text(text) => Ok(text.into()),
        Written::Base64 { base64 } => STANDARD.decode(base64).map_err(serde::de::Error::custom),
    }
}

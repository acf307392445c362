//! Finds the tokens in an answer of the token endpoint, however odd the answer is.
//!
//! After a refresh both old tokens are dead, so what a proxy, a charset or a broken connection made of the
//! answer is no reason to lose the new ones. The rule it guards: a token counts only if it arrived complete,
//! and nothing is made up. A document is believed as it stands; in what is no document, only values that look
//! like tokens count, because error pages are full of things like `access_token=[FILTERED]`.

mod document;
mod scan;
#[cfg(test)]
mod tests;
mod text;

use serde_json::{Map, Value};
pub(super) use text::decode;

/// Ends the bytes of an answer that broke off, so that no reader takes their end for the end of a value.
pub(super) const BROKE_OFF: u8 = 0x18;

/// The shortest salvaged token. RFC 6749 section 10.10 wants 128 bits of chance, which fit into no
/// fewer characters: whatever is shorter is a placeholder.
const SHORTEST: usize = 16;
const LONGEST: usize = 8_192;

/// What was found of a token endpoint's answer.
pub(super) struct Found {
    pub(super) fields: Map<String, Value>,
    /// The fields are those of a document that arrived to its end: what it lacks was never given.
    pub(super) is_document: bool,
}

impl Found {
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        text_of(&self.fields, key)
    }

    /// Whether this is a grant whatever the status says: both tokens are there, and nothing names an error.
    pub(super) fn is_beyond_doubt(&self) -> bool {
        let both = ["access_token", "refresh_token"].iter().all(|k| self.text(k).is_some_and(is_tokenlike));
        both && !self.names_an_error()
    }

    fn names_an_error(&self) -> bool {
        self.fields.get("error").is_some_and(|error| !error.is_null())
    }
}

/// The tokens in the body of an answer, with what stands beside them. `None`: there is neither.
pub(super) fn find(body: &[u8]) -> Option<Found> {
    let text = decode(body);
    let document = document::read(&text);
    let suffices = document.as_ref().is_some_and(|f| text_of(f, "access_token").is_some_and(is_sendable));
    let scanned = if suffices { None } else { scan::best(&text) };
    // What was scanned is better than a document only if it has the access token that the document lacks.
    let found = match (document, scanned) {
        (Some(fields), None) => Found { fields, is_document: true },
        (Some(fields), Some(scanned)) if !scanned.contains_key("access_token") => {
            Found { fields, is_document: true }
        }
        (_, scanned) => Found { fields: scanned?, is_document: false },
    };
    // What stands in an error is no gift: it may be what we sent.
    (found.text("access_token").is_some() || !found.names_an_error()).then_some(found)
}

/// Whether a token can stand in a header (RFC 6750 section 2.1): visible ASCII, 8 KiB at most. White space
/// around it is not a part of it.
pub(super) fn is_sendable(token: &str) -> bool {
    let token = token.trim();
    (1..=LONGEST).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic())
}

/// Whether it looks like a token of a provider: `b64token` of RFC 6750, and not too short.
fn is_tokenlike(token: &str) -> bool {
    let stem = token.trim_end_matches('=');
    (SHORTEST..=LONGEST).contains(&token.len())
        && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

/// A field that is a text with something in it.
fn text_of<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    fields.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

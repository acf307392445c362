//! Text that is no document: each known key with a complete value behind it counts, whatever is around.
//!
//! One pass over each view of the text. A value ends at the first character that it cannot have, and what
//! stands between two keys has such a character, so nothing is read more than twice.

use super::{is_tokenlike, text::views};
use serde_json::{Map, Value};

const KEYS: [&str; 6] = ["access_token", "refresh_token", "expires_in", "scope", "token_type", "error"];

/// The fields of the view of a text that shows the most tokens. `None`: there is no token in any.
pub(super) fn best(text: &str) -> Option<Map<String, Value>> {
    let tokens =
        |fields: &Map<String, Value>| KEYS[..2].iter().filter(|key| fields.contains_key(**key)).count();
    let mut best = Map::new();
    for view in views(text) {
        let fields = fields(&view);
        if tokens(&fields) > tokens(&best) {
            best = fields;
        }
    }
    (tokens(&best) > 0).then_some(best)
}

/// The last complete value of a key that is written as JSON writes it.
pub(super) fn last_in_json(text: &str, key: &str) -> Option<String> {
    let hits = hits(text).filter(|hit| hit.key == key && hit.value.is_json && is_tokenlike(&hit.value.text));
    hits.last().map(|hit| hit.value.text)
}

/// Of a key that stands more than once, the last complete value counts.
fn fields(text: &str) -> Map<String, Value> {
    let counts = |hit: &Hit| match hit.key {
        "access_token" | "refresh_token" => is_tokenlike(&hit.value.text),
        _ => !matches!(hit.value.text.as_str(), "" | "null"),
    };
    hits(text).filter(counts).map(|hit| (hit.key.to_owned(), tidy(hit).into())).collect()
}

/// Scopes in a form or a list are separated by plus signs or commas.
fn tidy(hit: Hit) -> String {
    if hit.key == "scope" { hit.value.text.replace(['+', ','], " ") } else { hit.value.text }
}

struct Hit {
    key: &'static str,
    value: Scanned,
}

struct Scanned {
    text: String,
    /// Key and value are written as JSON writes them, and as no string inside JSON can hold them.
    is_json: bool,
}

fn hits(text: &str) -> impl Iterator<Item = Hit> {
    let starts = text.char_indices().filter(|(at, c)| c.is_ascii_lowercase() && is_start(&text[..*at]));
    starts.filter_map(|(at, _)| {
        let key = KEYS.into_iter().find(|key| text[at..].starts_with(key))?;
        let value = value_behind(&text[at + key.len()..])?;
        Some(Hit { key, value })
    })
}

/// Whether a key can begin behind this: not in the middle of a word, and not in a closing tag.
fn is_start(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-') && !before.ends_with("</")
}

/// The value behind a key: `": "…"`, `=…&`, `: …,`, `=>"…"`, `>…<`.
fn value_behind(rest: &str) -> Option<Scanned> {
    let is_json = rest.starts_with('"');
    let rest = rest.strip_prefix(['"', '\'', '`']).unwrap_or(rest).trim_start();
    let separator = ["=>", ":", "=", ">"].into_iter().find(|s| rest.starts_with(s))?;
    let rest = rest[separator.len()..].trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'));
    let text = match quote {
        Some(quote) => up_to_quote(&rest[1..], quote)?,
        None => up_to_delimiter(rest, separator == "=")?,
    };
    Some(Scanned { text, is_json: is_json && separator == ":" && quote == Some('"') })
}

/// A quoted value, with its escapes undone. `None`: its closing quote did not arrive, or it is none of ours.
fn up_to_quote(rest: &str, quote: char) -> Option<String> {
    let mut value = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            end if end == quote => return Some(value.trim().to_owned()),
            '\\' => value.push(escaped(&mut characters)?),
            c if is_part(c) || matches!(c, ' ' | ',') => value.push(c),
            _ => return None,
        }
    }
}

fn escaped(characters: &mut std::str::Chars<'_>) -> Option<char> {
    match characters.next()? {
        'u' => {
            let (code, rest) = characters.as_str().split_at_checked(4)?;
            *characters = rest.chars();
            char::from_u32(u32::from_str_radix(code, 16).ok()?)
        }
        'n' | 'r' | 't' => Some(' '),
        other => Some(other),
    }
}

/// A bare value. The end of the text ends it only in a form, where nothing else does; what broke off ends
/// in a mark.
fn up_to_delimiter(rest: &str, in_form: bool) -> Option<String> {
    let stem = rest.find(|c| !is_part(c) || c == '=').unwrap_or(rest.len());
    let end = rest.len() - rest[stem..].trim_start_matches('=').len();
    let is_complete = match rest[end..].chars().next() {
        Some(next) => next.is_whitespace() || "&;,}])<\"'".contains(next),
        None => in_form,
    };
    is_complete.then(|| rest[..end].to_owned())
}

/// What our values are made of: no quote, no colon, and in a bare value an equals sign only as padding.
fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/=".contains(c)
}

//! Bytes as text, and a text as it was before somebody escaped it.

use super::BROKE_OFF;
use zeroize::Zeroizing;

/// The body as text: UTF-8, or UTF-16 in either order, with or without a byte order mark, between NUL bytes.
/// What is no text at all shows as U+FFFD, which is no part of any token.
pub(in crate::providers) fn decode(body: &[u8]) -> Zeroizing<String> {
    let (body, end) = match body {
        [body @ .., BROKE_OFF] => (body, "\u{18}"),
        _ => (body, ""),
    };
    // Half of UTF-16 with ASCII in it is NUL bytes, so its order need not be known. Elsewhere a NUL inside a
    // token is damage, and leaving it out would make up a token.
    let zeros = body.split(|b| *b == 0).count() - 1;
    let is_wide = zeros * 5 > body.len() * 2;
    let bytes: Zeroizing<Vec<u8>> =
        Zeroizing::new(body.iter().copied().filter(|b| *b != 0 || !is_wide).collect());
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    let text = text.trim_start_matches(['\0', '\u{feff}', '\u{fffd}']).trim_end_matches('\0');
    Zeroizing::new([text, end].concat())
}

type Undo = fn(&str) -> String;

/// The text as it is, and then as it was before each kind of escaping that it shows signs of.
pub(super) fn views(text: &str) -> impl Iterator<Item = Zeroizing<String>> {
    let kinds: [(char, Undo); 3] = [('&', without_html), ('%', without_percent), ('\\', without_backslashes)];
    let undone = kinds.into_iter().filter(|(sign, _)| text.contains(*sign)).map(|(_, undo)| undo(text));
    std::iter::once(text.to_owned()).chain(undone).map(Zeroizing::new)
}

/// `&quot;`, `&#34;`, `&#x22;` and the like.
fn without_html(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let name = after.bytes().take(10).position(|b| b == b';');
        let entity = name.and_then(|end| Some((entity(&after[..end])?, &after[end + 1..])));
        let (character, after) = entity.unwrap_or(('&', after));
        plain.push(character);
        rest = after;
    }
    plain + rest
}

fn entity(name: &str) -> Option<char> {
    match name {
        "quot" => Some('"'),
        "apos" => Some('\''),
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "nbsp" => Some(' '),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

/// `%22` and the like; a plus sign is a space there.
fn without_percent(text: &str) -> String {
    let spaced = text.replace('+', " ");
    let mut plain = Vec::with_capacity(spaced.len());
    let mut rest = spaced.as_bytes();
    while let [first, after @ ..] = rest {
        let decoded = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        plain.push(decoded.map_or(*first, |(high, low)| high << 4 | low));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

/// One level of backslashes: JSON inside a string of JSON or of a script.
fn without_backslashes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    plain
}

//! Answers as proxies, charsets and broken connections leave them.

use super::{BROKE_OFF, Found, find};
use proptest::prelude::*;
use serde_json::json;

const A: &str = "a0a1a2a3a4a5a6a7a8a9";
const R: &str = "f0f1f2f3f4f5f6f7f8f9";

fn tokens(body: impl AsRef<[u8]>) -> (Option<String>, Option<String>) {
    let found = find(body.as_ref());
    let of = |key| found.as_ref().and_then(|f| f.text(key)).map(str::to_owned);
    (of("access_token"), of("refresh_token"))
}

fn both() -> (Option<String>, Option<String>) {
    (Some(A.into()), Some(R.into()))
}

fn good() -> String {
    format!(
        r#"{{"access_token":"{A}","token_type":"Bearer","expires_in":7200,"refresh_token":"{R}","scope":"api"}}"#
    )
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn both_tokens_are_found_whatever_was_made_of_the_answer() {
    let good = good();
    let bodies = [
        good.clone(),
        format!("\u{feff}{good}"),
        format!("\0\0{good}\0\0\0"),
        format!("{good}}}trailing"),
        format!("<html><body>{good}</body></html>"),
        good.replace('"', "&quot;"),
        good.replace('"', "&#34;"),
        good.replace('"', "&#x22;"),
        good.replace('"', "\\\""),
        good.replace('"', "'"),
        good.replace('"', "`"),
        good.replace('"', "%22").replace(',', "%2C").replace(':', "%3A"),
        good.replace('"', ""),
        good.replace("\"}", "\",}"),
        good.replace(':', " : "),
        good.replace(':', "=>"),
        good.replace("\":", ":").replace("{\"", "{").replace(",\"", ","),
        format!("[{good}]"),
        format!(r#"{{"data":{good}}}"#),
        format!(r#"{{"a":[{{"b":{{"token":{good}}}}}]}}"#),
        json!({ "statusCode": 200, "body": good }).to_string(),
        json!(good).to_string(),
        format!("callback({good});"),
        format!(")]}}',\n{good}"),
        format!("{good}{{\"error\":null}}"),
        format!("{good}\r\n{good}"),
        format!("access_token={A}&expires_in=7200&refresh_token={R}&scope=api+read_user"),
        format!("token_type=bearer&refresh_token={R}&access_token={A}\n"),
        format!("access_token: {A}\nrefresh_token: {R}\n"),
        format!("<t><access_token>{A}</access_token><refresh_token>{R}</refresh_token></t>"),
        format!(r#"{{"access_token":"{A}","data":{{"refresh_token":"{R}"}}}}"#),
        format!(r#"{{"access_token":"{A}","refresh_token":"{R}","access_token":null,"refresh_token":null}}"#),
        format!(r#"{{"access_token":"{A}","refresh_token":"{R}","refresh_token":""}}"#),
        good[..=good.find(R).unwrap() + R.len()].to_owned(),
    ];
    for body in bodies {
        assert_eq!(tokens(&body), both(), "{body}");
    }
    for wide in [utf16(&good, u16::to_le_bytes), utf16(&good, u16::to_be_bytes)] {
        assert_eq!(tokens(&wide), both());
        assert_eq!(tokens([b"\xff\xfe", &wide[..]].concat()), both());
        assert_eq!(tokens(&wide[..wide.len() - 29]), both(), "cut off behind the refresh token");
    }
}

#[test]
fn escapes_of_a_token_are_undone() {
    let (access, refresh) = ("ab/cd+ef/0123456789==", "01/23+45/6789abcdef==");
    let pair = (Some(access.to_owned()), Some(refresh.to_owned()));
    let json = format!(r#"{{"access_token":"{access}","refresh_token":"{refresh}","#);
    let form = format!("access_token={access}&refresh_token={refresh}");
    for body in [
        json.replace('/', "\\/"),
        json.replace('=', "\\u003d").replace('+', "\\u002B"),
        json.replace('/', "&#x2F;").replace('"', "&quot;"),
        form.replace("==", "%3D%3D").replace('/', "%2F").replace('+', "%2b"),
        form.clone(),
    ] {
        assert_eq!(tokens(&body), pair, "{body}");
    }
}

#[test]
fn half_a_token_is_no_token() {
    let good = good();
    for end in 0..good.len() {
        let cut = [&good.as_bytes()[..end], &[BROKE_OFF]].concat();
        let access = end > good.find(A).unwrap() + A.len();
        let refresh = end > good.find(R).unwrap() + R.len();
        let expected = (access.then(|| A.to_owned()), refresh.then(|| R.to_owned()));
        assert_eq!(tokens(&cut), expected, "{}", &good[..end]);
    }
    let form = format!("access_token={A}&refresh_token={}", &R[..18]);
    let cut = [form.as_bytes(), &[BROKE_OFF]].concat();
    assert_eq!(tokens(cut), (Some(A.into()), None));
    assert_eq!(tokens(format!("{{access_token:{A}, refresh_token:{}", &R[..18])), (Some(A.into()), None));
}

#[test]
fn nothing_is_made_up() {
    for body in [
        String::new(),
        "<html><h1>502</h1></html>".into(),
        "access_token=[FILTERED]&refresh_token=[FILTERED]".into(),
        "access_token: null, refresh_token: undefined, access_token=REDACTED".into(),
        format!(r#"{{"error":"invalid_grant","error_description":"{A}","refresh_token":"{R}"}}"#),
        format!("error=invalid_grant&refresh_token={R}"),
        format!("my_access_token={A}&access_token_hash={A}&refresh-access_token={A}"),
        format!("grant_type=refresh_token {R}"),
        format!("\"access_token\":\"{}\0{}\"}}", &A[..10], &A[10..]),
        format!("\"access_token\":\"{}\u{fffd}{}\"", &A[..10], &A[10..]),
        format!("\"access_token\":\"{A} {A}\"}}"),
    ] {
        assert_eq!(tokens(&body), (None, None), "{body}");
    }
    let told = format!(r#"{{"access_token":"{A}","note":"refresh_token={R}; 'refresh_token':'{R}'"}}"#);
    assert_eq!(tokens(told), (Some(A.into()), None), "a text inside a document is no field of it");
}

#[test]
fn a_status_is_overruled_by_both_tokens_alone() {
    let overrules = |body: &str| find(body.as_bytes()).is_some_and(|found| found.is_beyond_doubt());
    assert!(overrules(&good()) && overrules(&format!("<pre>{}</pre>", good())));
    assert!(!overrules(&format!(r#"{{"access_token":"{A}"}}"#)));
    assert!(!overrules(&good().replace("\"scope\"", "\"error\"")));
    assert!(!overrules(&good().replace(A, "[FILTERED]")));
    assert!(!overrules(&good().replace(R, "********************")));
}

#[test]
fn the_last_complete_value_of_a_key_counts() {
    let other = A.replace('a', "b");
    let body = format!(
        r#"{{"access_token":"{A}"}} {{"access_token":"{other}","refresh_token":"{R}"}} {{"access_token":"#
    );
    assert_eq!(tokens(body), (Some(other), Some(R.into())));
}

#[test]
fn what_stands_beside_the_tokens_is_found_too() {
    let found: Found = find(&good().as_bytes()[..good().len() - 1]).unwrap();
    assert_eq!((found.text("expires_in"), found.text("scope")), (Some("7200"), Some("api")));
    assert!(!found.is_document);
    let form = format!("access_token={A}&scope=api+read_user&expires_in=");
    let found = find(form.as_bytes()).unwrap();
    assert_eq!((found.text("expires_in"), found.text("scope")), (None, Some("api read_user")));
}

/// Bodies that make a reader go over the same bytes again and again, at the largest size.
#[test]
fn the_largest_hostile_body_is_read_in_no_time() {
    let began = std::time::Instant::now();
    for piece in [
        "access_token=",
        "\"access_token\":\"",
        "access_token:'\\",
        "access_token   ",
        "&",
        "%2",
        "\\",
        "[",
        "{\"a\":",
        "\"scope\":\"a,",
        "access_token>",
        "=",
    ] {
        let _ = find(piece.repeat(256 * 1024 / piece.len()).as_bytes());
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = find(&body);
    }

    #[test]
    fn nor_does_anything_that_looks_like_an_answer(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "access_token", "refresh_token", "error", "scope", "\"", "'", ":", "=", "&", "%", "%2", "\\", "\\u",
                "\\u00", "é", "&#", "&#x;", "&quot;", "{", "}", "[", "]", ",", " ", "\0", A, R, "null",
            ]),
            0..40,
        )
    ) {
        let _ = find(pieces.concat().as_bytes());
    }

    #[test]
    fn whatever_is_around_a_complete_pair_it_is_found_whole(
        access in "[A-Za-z0-9._~+/-]{16,80}={0,2}",
        refresh in "[A-Za-z0-9._~+/-]{16,80}={0,2}",
        before in proptest::collection::vec(any::<u8>(), 0..60),
        after in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let pair = format!(r#"{{"access_token":"{access}","expires_in":7200,"refresh_token":"{refresh}""#);
        let body = [&before, pair.as_bytes(), &after].concat();
        prop_assert_eq!(tokens(body), (Some(access), Some(refresh)));
    }
}

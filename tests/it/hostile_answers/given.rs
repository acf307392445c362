//! Answers to a refresh that GitLab granted: the tokens are in there, whole or in part.

use super::{Subject, ensure};
use gitlab_sim::{Ending, Template};

/// One way to answer, and what must come of it.
pub(super) struct Kind {
    pub(super) name: String,
    pub(super) template: Template,
    arrives: Arrives,
}

/// What a reader can have of the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrives {
    /// Both tokens: the connection goes on as if nothing had been.
    Both,
    /// The refresh token alone: spent at once, it brings both.
    Refresh,
    /// The access token alone: one careful retry, then it is handed out for as long as it lives.
    Access,
    /// The access token, in an answer that ends well without another refresh token.
    NoOther,
}

impl Kind {
    pub(super) async fn check(&self, subject: &Subject<'_>) -> Result<(), String> {
        let status = subject.renew().await;
        ensure!(status == 200 || self.arrives == Arrives::Access, "renewing answers {status}");
        ensure!(subject.hands_out_a_live_token().await, "the token that is handed out is dead");
        let expected = match self.arrives {
            Arrives::Both | Arrives::NoOther => (1, 0),
            Arrives::Refresh => (2, 0),
            Arrives::Access => (1, 1),
        };
        let refreshes = subject.refreshes();
        ensure!(refreshes == expected, "refreshes granted and repeated: {refreshes:?}, not {expected:?}");
        if matches!(self.arrives, Arrives::Both | Arrives::Refresh) {
            ensure!(subject.generation().await == 2, "the generation is not 2");
            let status = subject.renew().await;
            ensure!(status == 200, "renewing again answers {status}");
            ensure!(subject.hands_out_a_live_token().await, "the next token is dead");
            ensure!(subject.refreshes().1 == 0, "the old refresh token was sent again");
        }
        Ok(())
    }
}

const GOOD: &str = r#"{"access_token":"{access_token}","token_type":"Bearer","expires_in":{expires_in},"refresh_token":"{refresh_token}","scope":"api read_user","created_at":1782341655}"#;
const PAIR: &str = r#"{"access_token":"{access_token}","refresh_token":"{refresh_token}""#;

pub(super) fn kinds() -> Vec<Kind> {
    let mut kinds = vec![];
    kinds.extend(shapes().into_iter().map(|(name, body)| kind(name, Template::json(body))));
    kinds.extend(bytes().into_iter().map(|(name, body)| kind(name, Template::json(body))));
    kinds.extend(fields());
    kinds.extend(heads());
    kinds.extend(endings());
    kinds.extend(parts());
    kinds
}

fn kind(name: impl Into<String>, template: Template) -> Kind {
    Kind { name: name.into(), template, arrives: Arrives::Both }
}

/// The JSON in something else, or in another spelling.
fn shapes() -> Vec<(&'static str, String)> {
    let swapped = |from: &str, to: &str| GOOD.replace(from, to);
    let bare = swapped("\"", "");
    let html = swapped("\"", "&quot;");
    let escaped = swapped("\"", "\\\"");
    vec![
        ("as it should be", GOOD.into()),
        ("other order", r#"{"refresh_token":"{refresh_token}","expires_in":7200,"access_token":"{access_token}"}"#.into()),
        ("nothing but the tokens", format!("{PAIR}}}")),
        ("many unknown keys", format!("{PAIR},\"x\":{{\"y\":[1,null,\"z\"]}},\"created_at\":-1}}")),
        ("white space everywhere", GOOD.replace(':', " :\n\t ").replace(',', " ,\r\n")),
        ("in an array", format!("[{GOOD}]")),
        ("in two arrays", format!("[[{GOOD}]]")),
        ("under data", format!("{{\"data\":{GOOD}}}")),
        ("under token", format!("{{\"token\":{GOOD},\"status\":\"ok\"}}")),
        ("five levels down", format!("{{\"a\":{{\"b\":[{{\"c\":{{\"d\":{GOOD}}}}}]}}}}")),
        ("in a gateway's envelope", format!("{{\"statusCode\":200,\"body\":\"{escaped}\"}}")),
        ("as a JSON string", format!("\"{escaped}\"")),
        ("in a script's string", format!("<script>var a = \"{escaped}\";</script>")),
        ("the refresh token beside", r#"{"access_token":"{access_token}","x":{"refresh_token":"{refresh_token}"}}"#.into()),
        ("both in objects of their own", r#"{"a":{"access_token":"{access_token}"},"r":{"refresh_token":"{refresh_token}"}}"#.into()),
        ("JSONP", format!("callback({GOOD});")),
        ("JSONP with a comment", format!("/**/cb && cb({GOOD})")),
        ("behind an anti-hijacking prefix", format!(")]}}',\n{GOOD}")),
        ("behind while(1)", format!("while(1);{GOOD}")),
        ("in HTML", format!("<html><body>{GOOD}</body></html>")),
        ("in pre", format!("<!DOCTYPE html><pre class=\"x\">{GOOD}</pre>")),
        ("HTML escaped", html.clone()),
        ("HTML escaped in HTML", format!("<html><body><pre>{html}</pre></body></html>")),
        ("HTML escaped in decimal", swapped("\"", "&#34;")),
        ("HTML escaped in hexadecimal", swapped("\"", "&#x22;")),
        ("percent encoded", GOOD.replace('"', "%22").replace(',', "%2C").replace(':', "%3A")),
        ("single quotes", swapped("\"", "'")),
        ("backticks", swapped("\"", "`")),
        ("no quotes", bare),
        ("keys without quotes", r#"{access_token:"{access_token}",refresh_token:"{refresh_token}"}"#.into()),
        ("values without quotes", r#"{"access_token":{access_token},"refresh_token":{refresh_token}}"#.into()),
        ("a trailing comma", format!("{PAIR},}}")),
        ("two trailing commas", format!("{PAIR},,}}")),
        ("missing commas", r#"{"access_token":"{access_token}" "refresh_token":"{refresh_token}"}"#.into()),
        ("a comment inside", GOOD.replace(',', ", /* yes */ ")),
        ("a Ruby hash", GOOD.replace("\":", "\"=>")),
        ("trailing garbage", format!("{GOOD}garbage")),
        ("a brace too many", format!("{GOOD}}}")),
        ("a debug page behind", format!("{GOOD}\n<div id=\"profiler\">12 ms</div>")),
        ("a warning before", format!("<br />\n<b>Warning</b>: foo() in <b>/x.php</b> on line <b>3</b>\n{GOOD}")),
        ("two documents", format!("{GOOD}\n{GOOD}")),
        ("an empty document before", format!("{{}}{GOOD}")),
        ("lines with a summary", format!("{GOOD}\n{{\"done\":true}}\n")),
        ("events", format!("event: token\ndata: {GOOD}\n\n")),
        ("a literal chunk size", format!("b7\r\n{GOOD}\r\n0\r\n\r\n")),
        ("a form", "access_token={access_token}&token_type=bearer&expires_in={expires_in}&refresh_token={refresh_token}&scope=api+read_user".into()),
        ("a form that ends in a token", "expires_in=7200&access_token={access_token}&refresh_token={refresh_token}".into()),
        ("a form with a question mark", "?access_token={access_token}&refresh_token={refresh_token}".into()),
        ("a form with semicolons", "access_token={access_token}; refresh_token={refresh_token};".into()),
        ("a form after an address", "https://x.example/cb#access_token={access_token}&refresh_token={refresh_token}".into()),
        ("YAML", "access_token: {access_token}\nrefresh_token: {refresh_token}\n".into()),
        ("XML", "<?xml version=\"1.0\"?><r><access_token>{access_token}</access_token><refresh_token>{refresh_token}</refresh_token></r>".into()),
        ("an access token twice", r#"{"access_token":"xxxxxxxxxxxxxxxxxxxx","access_token":"{access_token}","refresh_token":"{refresh_token}"}"#.into()),
        ("a refresh token, and then null", format!("{PAIR},\"refresh_token\":null}}")),
        ("an access token, and then null", format!("{PAIR},\"access_token\":null}}")),
        ("white space around the tokens", r#"{"access_token":" {access_token}\n","refresh_token":"\t{refresh_token} "}"#.into()),
        ("an error of null", format!("{PAIR},\"error\":null}}")),
        ("an error beside the tokens", format!("{PAIR},\"error\":\"none\"}}")),
    ]
}

/// The JSON in bytes that are no plain UTF-8.
fn bytes() -> Vec<(&'static str, Vec<u8>)> {
    let little: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let with = |before: &[u8], body: &[u8], after: &[u8]| [before, body, after].concat();
    let good = GOOD.as_bytes();
    vec![
        ("a byte order mark", with(b"\xef\xbb\xbf", good, b"")),
        ("two byte order marks", with(b"\xef\xbb\xbf\xef\xbb\xbf", good, b"")),
        ("UTF-16 little endian", little.clone()),
        ("UTF-16 big endian", big.clone()),
        ("UTF-16 little endian with a mark", with(b"\xff\xfe", &little, b"")),
        ("UTF-16 big endian with a mark", with(b"\xfe\xff", &big, b"")),
        ("NUL bytes around", with(b"\0\0", good, b"\0\0\0\0")),
        ("a page of NUL bytes behind", with(b"", good, &[0; 4096])),
        ("bytes that are no text around", with(b"\x80\xff\xfe", good, b"\xc3\x28\xf0")),
        ("blank lines before", with(b"\r\n\r\n\n \t", good, b"\r\n")),
        ("a quarter of a megabyte behind", with(b"", good, &vec![b' '; 250 * 1024])),
        ("more than is read behind", with(b"", good, &vec![b'x'; 300 * 1024])),
        ("five megabytes behind", with(b"", good, &vec![b'\n'; 5 * 1024 * 1024])),
    ]
}

/// Good tokens with odd things beside them.
fn fields() -> Vec<Kind> {
    let lives = [
        "\"7200\"",
        "7200.0",
        "7200.9",
        "-1",
        "0",
        "1e20",
        "1e400",
        "null",
        "\"\"",
        "\"soon\"",
        "[]",
        "{\"seconds\":7200}",
        "true",
    ];
    let types = ["\"bearer\"", "\"BEARER\"", "\"bearer \"", "\"\"", "null", "7", "[\"Bearer\"]"];
    let scopes = [
        "null",
        "\"\"",
        "[\"api\",\"read_user\"]",
        "[]",
        "7",
        "{}",
        "\"api,read_user\"",
        "\"  api   read_user \"",
    ];
    let with = |key: &str, value: &str| {
        kind(format!("{key} of {value}"), Template::json(format!("{PAIR},\"{key}\":{value}}}")))
    };
    let lives = lives.iter().map(|value| with("expires_in", value));
    let types = types.iter().map(|value| with("token_type", value));
    lives.chain(types).chain(scopes.iter().map(|value| with("scope", value))).collect()
}

/// A good body under a head that does not fit it.
fn heads() -> Vec<Kind> {
    let statuses = [201, 202, 203, 206, 226, 302, 307, 400, 401, 403, 404, 409, 429, 500, 502, 503, 504, 520];
    let statuses = statuses
        .iter()
        .map(|status| kind(format!("status {status}"), Template { status: *status, ..Template::json(GOOD) }));
    let headed = |name: &str, value: &str| {
        kind(
            format!("{name}: {value}"),
            Template { headers: vec![(name.into(), value.into())], ..Template::json(GOOD) },
        )
    };
    let page = Template { status: 502, ..Template::json(format!("<h1>502</h1><pre>{GOOD}</pre>")) };
    let heads = [
        headed("content-type", "text/html; charset=utf-8"),
        headed("content-type", "text/plain"),
        headed("content-type", "application/octet-stream"),
        headed("content-type", "application/json; charset=utf-16"),
        headed("content-type", "nonsense"),
        headed("content-encoding", "gzip"),
        headed("location", "https://elsewhere.example/"),
        headed("set-cookie", "a=b"),
        kind("no content type", Template { headers: vec![], ..Template::json(GOOD) }),
        kind("tokens in a page of 502", page),
    ];
    statuses.chain(heads).collect()
}

/// A connection that breaks, or takes its time, with both tokens through.
fn endings() -> Vec<Kind> {
    let ends = |name: &str, body: &str, ending| kind(name, Template { ending, ..Template::json(body) });
    let announced = |name: &str, length: &str, body: &str| {
        let headers = vec![("Content-Length".into(), length.into())];
        kind(name, Template { headers, ..Template::json(body) })
    };
    let form = "access_token={access_token}&refresh_token={refresh_token}&scope=api";
    vec![
        ends("broken behind the document", GOOD, Ending::Broken),
        ends("broken behind the refresh token", PAIR, Ending::Broken),
        ends("broken inside the scope", &format!("{PAIR},\"scope\":\"ap"), Ending::Broken),
        ends("broken inside the lifetime", &format!("{PAIR},\"expires_in\":72"), Ending::Broken),
        ends("broken inside a form", form, Ending::Broken),
        ends("broken inside HTML", &format!("<pre>{PAIR}").replace('"', "&quot;"), Ending::Broken),
        ends("broken inside an envelope", &format!("{{\"data\":{PAIR},"), Ending::Broken),
        ends("dribbling", GOOD, Ending::Dribble),
        ends("dribbling and broken", PAIR, Ending::DribbleAndBreak),
        ends("cut short", PAIR, Ending::Whole),
        announced("a length too large", "400000", GOOD),
        announced("a length of gigabytes", "10737418240", GOOD),
        announced("a length that cuts the scope", "180", &format!("{PAIR},\"scope\":\"api read_user\"}}")),
    ]
}

/// Answers of which a part arrives.
fn parts() -> Vec<Kind> {
    use Arrives::{Access, NoOther, Refresh};
    let part = |arrives, name: &str, body: &str, ending| Kind {
        name: name.into(),
        template: Template { ending, ..Template::json(body) },
        arrives,
    };
    let whole = |arrives, name, body| part(arrives, name, body, Ending::Whole);
    let access = r#"{"access_token":"{access_token}""#;
    vec![
        whole(NoOther, "no refresh token", r#"{"access_token":"{access_token}","expires_in":7200}"#),
        whole(
            NoOther,
            "a refresh token of null",
            r#"{"access_token":"{access_token}","refresh_token":null}"#,
        ),
        whole(NoOther, "an empty refresh token", r#"{"access_token":"{access_token}","refresh_token":""}"#),
        part(Access, "broken before the refresh token", &format!("{access},\"refr"), Ending::Broken),
        part(Access, "broken behind the access token", access, Ending::Broken),
        part(
            Access,
            "broken inside the refresh token",
            &format!("{access},\"refresh_token\":\"{{refresh_token/2}}"),
            Ending::Broken,
        ),
        whole(
            Access,
            "half a refresh token in a whole answer",
            &format!("{access},\"refresh_token\":\"{{refresh_token/2}}"),
        ),
        part(
            Access,
            "broken inside a form's last token",
            "access_token={access_token}&refresh_token={refresh_token/2}",
            Ending::Broken,
        ),
        whole(Access, "a number for a refresh token", &format!("{access},\"refresh_token\":12345}}")),
        whole(
            Refresh,
            "half an access token behind",
            "{\"refresh_token\":\"{refresh_token}\",\"access_token\":\"{access_token/2}",
        ),
        part(
            Refresh,
            "broken inside the access token",
            "{\"refresh_token\":\"{refresh_token}\",\"access_token\":\"{access_token/2}",
            Ending::Broken,
        ),
        whole(Refresh, "a refresh token alone", "{\"refresh_token\":\"{refresh_token}\"}"),
        whole(
            Refresh,
            "an access token of null",
            "{\"access_token\":null,\"refresh_token\":\"{refresh_token}\"}",
        ),
        whole(
            Refresh,
            "an access token with a line break",
            r#"{"access_token":"ab\ncd","refresh_token":"{refresh_token}"}"#,
        ),
        whole(Refresh, "a mac token", &format!("{PAIR},\"token_type\":\"mac\"}}")),
        whole(Refresh, "a dpop token", &format!("{PAIR},\"token_type\":\"DPoP\"}}")),
        whole(Refresh, "a token of an unknown type", &format!("{PAIR},\"token_type\":\"jwt\"}}")),
    ]
}

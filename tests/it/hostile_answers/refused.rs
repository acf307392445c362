//! Answers without a token, from whoever answered in GitLab's place: GitLab did nothing.

use super::{Subject, ensure};
use gitlab_sim::Fault;

/// One answer, how often it comes, and the class that it belongs to.
pub(super) struct Kind {
    pub(super) name: String,
    fault: Fault,
    times: u8,
    class: Class,
}

/// What the journal says of the attempt, and the reason that the connection shows.
type Class = (&'static str, &'static str);

const REJECTED: Class = ("rejected", "grant_revoked");
const MISCONFIGURED: Class = ("misconfigured", "integration_misconfigured");
const ELSEWHERE: Class = ("unavailable", "provider_error");
/// Whoever answered may have passed the request on before.
const BROKEN: Class = ("uncertain", "provider_error");
const PATIENCE: Class = ("unavailable", "rate_limited");

impl Kind {
    pub(super) async fn check(&self, subject: &Subject<'_>) -> Result<(), String> {
        for _ in 0..self.times {
            subject.bench.fault(self.fault.clone());
        }
        let status = subject.renew().await;
        ensure!((400..600).contains(&status), "renewing answers {status}");
        let attempts = subject.look("/renewals").await;
        let outcome = &attempts["items"][0]["outcome"];
        let shown = subject.look("").await;
        ensure!(outcome == self.class.0, "the outcome is {outcome}, not {}", self.class.0);
        ensure!(shown["reason"] == self.class.1, "the reason is {}, not {}", shown["reason"], self.class.1);
        ensure!(shown["generation"] == 1 && shown["status"] == "degraded", "it is {}", shown["status"]);
        ensure!(subject.hands_out_a_live_token().await, "the old token is no longer handed out");
        subject.bench.app.sim().clear_faults();
        let status = subject.renew().await;
        ensure!(status == 200 && subject.generation().await == 2, "the next refresh answers {status}");
        ensure!(subject.hands_out_a_live_token().await, "the new token is dead");
        ensure!(subject.refreshes() == (1, 0), "refreshes: {:?}", subject.refreshes());
        Ok(())
    }
}

pub(super) fn kinds() -> Vec<Kind> {
    let mut kinds = vec![];
    kinds.extend(successes());
    kinds.extend(errors());
    kinds.extend(statuses());
    kinds
}

fn kind(class: Class, name: impl Into<String>, fault: Fault) -> Kind {
    Kind { name: name.into(), fault, times: 1, class }
}

/// Where nothing was understood the provider is asked once more at once, so it answers badly twice.
fn twice(name: impl Into<String>, fault: Fault) -> Kind {
    Kind { times: 2, ..kind(BROKEN, name, fault) }
}

/// A success that says nothing.
fn successes() -> Vec<Kind> {
    let dead = "d".repeat(64);
    let bodies: Vec<(&str, String)> = vec![
        ("nothing", String::new()),
        ("a page", "<html><body>Please sign in</body></html>".into()),
        ("an empty object", "{}".into()),
        ("an empty array", "[]".into()),
        ("null", "null".into()),
        ("true", "true".into()),
        ("a number", "7200".into()),
        ("a text", "\"ok\"".into()),
        ("a brace", "{".into()),
        ("half a key", "{\"access_tok".into()),
        ("a key alone", "{\"access_token\"".into()),
        ("half a value", "{\"access_token\":\"ab".into()),
        ("an empty token", "{\"access_token\":\"\"}".into()),
        ("a token of null", "{\"access_token\":null,\"refresh_token\":null}".into()),
        ("a number for a token", "{\"access_token\":12345}".into()),
        ("a list for a token", "{\"access_token\":[\"a\"]}".into()),
        ("a token with a line break", "{\"access_token\":\"ab\\ncd\"}".into()),
        ("a token that is no ASCII", "{\"access_token\":\"tökentökentökentöken\"}".into()),
        ("a token of 9 KiB", format!("{{\"access_token\":\"{}\"}}", "a".repeat(9 * 1024))),
        ("a mac token alone", format!("{{\"access_token\":\"{dead}\",\"token_type\":\"mac\"}}")),
        ("filtered tokens in a page", "<p>access_token=[FILTERED]&refresh_token=[FILTERED]</p>".into()),
        ("starred tokens in a page", "<p>access_token=********************************</p>".into()),
        ("placeholders", "access_token: undefined, refresh_token: undefined,".into()),
        ("longer keys", format!("old_access_token={dead}&access_token_hash={dead}")),
        ("NUL bytes", "\0\0\0\0\0\0".into()),
        ("brackets without end", "[".repeat(100_000)),
        ("a megabyte of nothing", " ".repeat(1024 * 1024)),
        ("keys without end", "access_token=".repeat(10_000)),
        ("a wrapped error", "{\"data\":{\"error\":\"invalid_grant\"}}".into()),
    ];
    let named = bodies
        .into_iter()
        .map(|(name, body)| twice(format!("200 with {name}"), Fault::Json { status: 200, body }));
    let page = Fault::status(200, "<form action=\"/users/sign_in\"><input name=\"password\"></form>");
    let rest = [
        twice("200 with a sign-in page", page),
        twice("204", Fault::Json { status: 204, body: String::new() }),
        twice("206 with half an object", Fault::Json { status: 206, body: "{\"a\":".into() }),
        twice("no answer", Fault::DropBefore),
    ];
    named.chain(rest).collect()
}

/// The endpoint's own words.
fn errors() -> Vec<Kind> {
    let token = "e".repeat(64);
    let no = |status, class, name: &str, body: String| kind(class, name, Fault::Json { status, body });
    let code = |status, class, code: &str| {
        no(status, class, &format!("{status} {code}"), format!("{{\"error\":\"{code}\"}}"))
    };
    let grant = "\"error\":\"invalid_grant\"";
    vec![
        code(400, REJECTED, "invalid_grant"),
        code(401, REJECTED, "invalid_grant"),
        code(403, REJECTED, "invalid_grant"),
        code(200, REJECTED, "invalid_grant"),
        no(400, REJECTED, "invalid_grant behind a mark", format!("\u{feff}{{{grant}}}")),
        no(400, REJECTED, "invalid_grant between NUL bytes", format!("\0{{{grant}}}\0")),
        no(
            400,
            REJECTED,
            "invalid_grant with a token in its words",
            format!("{{{grant},\"error_description\":\"access_token={token}\"}}"),
        ),
        no(
            400,
            REJECTED,
            "invalid_grant with a refresh token",
            format!("{{{grant},\"refresh_token\":\"{token}\"}}"),
        ),
        no(
            200,
            REJECTED,
            "invalid_grant at 200 with a refresh token",
            format!("{{{grant},\"refresh_token\":\"{token}\"}}"),
        ),
        code(401, MISCONFIGURED, "invalid_client"),
        code(400, MISCONFIGURED, "invalid_client"),
        code(401, MISCONFIGURED, "unauthorized_client"),
        code(400, MISCONFIGURED, "unsupported_grant_type"),
        code(400, MISCONFIGURED, "invalid_scope"),
        code(400, MISCONFIGURED, "invalid_request"),
        code(400, ELSEWHERE, "temporarily_unavailable"),
        code(400, ELSEWHERE, "INVALID_GRANT"),
        no(400, ELSEWHERE, "an error that is a number", "{\"error\":7}".into()),
        no(400, ELSEWHERE, "an error that is an object", "{\"error\":{\"code\":\"invalid_grant\"}}".into()),
        no(400, ELSEWHERE, "an error in an array", format!("[{{{grant}}}]")),
        no(400, ELSEWHERE, "400 with a page", "<h1>Bad Request</h1>".into()),
        no(
            400,
            ELSEWHERE,
            "400 with an access token and an error",
            format!("{{{grant},\"access_token\":\"{token}\",\"refresh_token\":\"{token}\"}}"),
        ),
        no(400, ELSEWHERE, "400 with an access token alone", format!("{{\"access_token\":\"{token}\"}}")),
    ]
}

/// Somebody else's status.
fn statuses() -> Vec<Kind> {
    let elsewhere = [301, 302, 307, 308, 403, 404, 405, 410, 418, 422, 451];
    let broken = [408, 425, 500, 501, 502, 503, 504, 520, 521, 524, 530, 599];
    let paged = |class, status: u16| {
        kind(class, format!("{status} with a page"), Fault::status(status, "<h1>no</h1>"))
    };
    let paged =
        elsewhere.map(|status| paged(ELSEWHERE, status)).into_iter().chain(broken.map(|s| paged(BROKEN, s)));
    let patience = |name: &str, status, headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        kind(PATIENCE, name, Fault::Status { status, headers, body: "Retry later".into() })
    };
    let echo = "<pre>grant_type=refresh_token&refresh_token=[FILTERED]&client_secret=[FILTERED]</pre>";
    let date = "Sat, 21 Nov 2099 10:00:00 GMT";
    let rest = [
        patience("429", 429, &[]),
        patience("429 for no time", 429, &[("Retry-After", "0")]),
        patience("429 for an hour", 429, &[("Retry-After", "3600")]),
        patience("429 for a negative time", 429, &[("Retry-After", "-1")]),
        patience("429 until a day", 429, &[("Retry-After", date)]),
        patience("503 for a while", 503, &[("Retry-After", "7")]),
        kind(PATIENCE, "429 of an endpoint", Fault::RateLimitedEndpoint),
        kind(PATIENCE, "429 of the throttle", Fault::RateLimitedRack { retry_after: 7 }),
        kind(
            PATIENCE,
            "429 that says invalid_grant",
            Fault::Json { status: 429, body: "{\"error\":\"invalid_grant\"}".into() },
        ),
        kind(BROKEN, "503 of maintenance", Fault::Maintenance),
        kind(BROKEN, "502 of a proxy", Fault::bad_gateway()),
        kind(
            BROKEN,
            "500 that says invalid_grant",
            Fault::Json { status: 500, body: "{\"error\":\"invalid_grant\"}".into() },
        ),
        kind(BROKEN, "500 that shows the request", Fault::status(500, echo)),
        kind(
            BROKEN,
            "500 with filtered tokens",
            Fault::status(500, "{\"access_token\":\"[FILTERED]\",\"refresh_token\":\"[FILTERED]\"}"),
        ),
    ];
    paged.chain(rest).collect()
}

//! The codes of problems: what each means, and which of them each operation may answer.
//!
//! The OpenAPI document is made of this table. The tests compare every answer that they get with it, and every code
//! that stands in the source.

use std::collections::BTreeSet;

/// A status and a code that comes with it.
pub(super) type Code = (u16, &'static str);

const ANY: &[Code] = &[(500, "internal_error"), (504, "timeout")];
const KEY: &[Code] = &[(401, "invalid_api_key"), (403, "insufficient_permission")];
const QUERY: &[Code] = &[(422, "invalid_parameter")];
const BODY: &[Code] = &[
    (400, "bad_request"),
    (400, "invalid_json"),
    (413, "body_too_large"),
    (415, "unsupported_media_type"),
    (422, "invalid_field"),
];
const ID: &[Code] = &[(404, "not_found")];
const REF: &[Code] = &[(404, "not_found"), (409, "ambiguous_name"), (422, "invalid_parameter")];
const TENANT: &[Code] = &[(403, "tenant_forbidden")];
/// Where to connect.
const PLACE: &[Code] =
    &[(422, "unknown_integration"), (422, "base_url_invalid"), (422, "base_url_forbidden")];
/// Where a connection was made is not what it was.
const MOVED: &[Code] = &[(409, "integration_misconfigured")];
/// The provider is asked what a token is.
const INSPECT: &[Code] = &[
    (422, "token_invalid"),
    (422, "token_expired"),
    (422, "token_revoked"),
    (422, "account_blocked"),
    (422, "wrong_token_kind"),
    (422, "base_url_forbidden"),
    (422, "insufficient_scope"),
    (502, "provider_unreachable"),
    (502, "not_gitlab"),
    (503, "rate_limited"),
];
/// A token is held against use cases, and against its renewal.
const FITS: &[Code] = &[
    (422, "unknown_use_case"),
    (422, "insufficient_scope"),
    (422, "insufficient_role"),
    (422, "self_rotation_unsupported"),
];
const NAME: &[Code] = &[(409, "name_taken")];
const MEANWHILE: &[Code] = &[(409, "changed_meanwhile")];
const ACCOUNT: &[Code] = &[(409, "different_account"), (409, "made_by_oauth")];
const ELSEWHERE: &[Code] = &[(409, "different_instance")];
const CHANGED: &[Code] = &[(412, "precondition_failed")];
/// Calls that make something, with an `Idempotency-Key`.
const ONCE: &[Code] = &[
    (400, "invalid_idempotency_key"),
    (409, "idempotency_answer_lost"),
    (409, "idempotency_in_flight"),
    (422, "idempotency_key_reused"),
];
const WORKS: &[Code] = &[(409, "action_required"), (503, "provider_unavailable")];
const MANUAL: &[Code] = &[(409, "renewal_is_manual")];
const COMPLETE: &[Code] = &[
    (403, "handle_invalid"),
    (403, "wrong_api_key"),
    (403, "wrong_end_user"),
    (409, "session_completed"),
    (409, "session_failed"),
    (409, "session_not_ready"),
    (409, "session_used"),
    (410, "session_expired"),
    (409, "made_by_access_token"),
    (422, "code_rejected"),
    (422, "no_oauth_application"),
    (503, "provider_unavailable"),
];
const SESSION: &[Code] = &[(422, "unknown_use_case"), (422, "return_url_not_registered")];
const DISABLED: &[Code] = &[(409, "webhook_endpoint_disabled")];
const READY: &[Code] = &[(503, "not_ready")];
const WEBHOOK_URL: &[Code] = &[(422, "webhook_url_forbidden"), (422, "webhook_url_invalid")];
const PROXY: &[Code] = &[
    (400, "body_incomplete"),
    (400, "credential_in_query"),
    (400, "invalid_path"),
    (403, "own_credential"),
    (403, "request_not_allowed"),
    (404, "not_found"),
    (409, "ambiguous_name"),
    (409, "integration_misconfigured"),
    (501, "upgrade_not_supported"),
    (502, "provider_unreachable"),
    (504, "provider_unreachable"),
];

const EXPORTED: &[Code] = &[(409, "exported")];
const EXPORT: &[Code] = &[(403, "recipient_not_allowed")];
const IMPORT: &[Code] = &[(409, "changed_meanwhile"), (422, "export_unreadable"), (422, "import_refused")];
const TAKE_BACK: &[Code] = &[
    (409, "action_required"),
    (409, "not_exported"),
    (409, "renewed_elsewhere"),
    (503, "provider_unavailable"),
];

/// What is answered to a method that an address does not take.
const METHOD: &[Code] = &[(405, "method_not_allowed")];

/// The codes that an operation may answer. `None`: there is no such operation.
pub(super) fn of(operation: &str) -> Option<Vec<Code>> {
    let groups: &[&[Code]] = match operation {
        "list_integrations" | "list_use_cases" | "get_recipient" => &[KEY],
        "inspect_token" => &[KEY, BODY, PLACE, INSPECT, FITS],
        "create_connection" => &[ONCE, KEY, TENANT, BODY, PLACE, INSPECT, FITS, NAME],
        "list_connections" | "list_events" | "list_api_keys" | "list_webhook_endpoints" => &[KEY, QUERY],
        "get_connection" | "list_renewals" => &[KEY, REF],
        "delete_connection" => &[KEY, REF, CHANGED, EXPORTED],
        "export_connections" => &[KEY, BODY, REF, EXPORT],
        "import_connections" => &[KEY, BODY, IMPORT],
        "take_back_connection" => &[KEY, REF, TAKE_BACK],
        "edit_connection" => &[KEY, REF, BODY, INSPECT, FITS, NAME, MOVED, MEANWHILE, CHANGED],
        "put_connection" => &[
            KEY, TENANT, BODY, QUERY, PLACE, INSPECT, FITS, MOVED, MEANWHILE, ACCOUNT, ELSEWHERE, CHANGED,
            EXPORTED,
        ],
        "get_token" => &[KEY, REF, WORKS],
        "replace_token" => &[KEY, REF, BODY, INSPECT, FITS, MOVED, MEANWHILE, ACCOUNT, EXPORTED],
        "renew_connection" => &[KEY, REF, WORKS, MANUAL],
        "check_connection" => &[KEY, REF, MOVED, INSPECT],
        "list_projects" => &[KEY, REF, MOVED, INSPECT, WORKS, MANUAL],
        "create_connect_session" => &[ONCE, KEY, TENANT, BODY, REF, PLACE, SESSION],
        "complete_connect_session" => {
            &[KEY, BODY, ID, PLACE, INSPECT, FITS, NAME, MOVED, MEANWHILE, ACCOUNT, COMPLETE, EXPORTED]
        }
        "create_api_key" => &[ONCE, KEY, BODY],
        "get_connect_session" | "revoke_api_key" | "delete_webhook_endpoint" | "test_webhook_endpoint" => {
            &[KEY, ID]
        }
        "create_webhook_endpoint" => &[ONCE, KEY, TENANT, BODY, WEBHOOK_URL],
        "rotate_webhook_secret" => &[KEY, BODY, ID],
        "list_deliveries" => &[KEY, QUERY, ID],
        "redeliver" => &[KEY, ID, DISABLED],
        "readyz" => &[READY],
        "healthz" | "openapi" => &[],
        _ if operation.starts_with("proxy_") => &[KEY, PROXY, WORKS],
        _ => return None,
    };
    let mut codes: Vec<Code> = groups.concat();
    codes.extend_from_slice(ANY);
    codes.sort_unstable();
    codes.dedup();
    Some(codes)
}

/// Every code that some operation may answer.
pub(super) fn all() -> BTreeSet<Code> {
    let groups = [
        ANY,
        KEY,
        QUERY,
        BODY,
        ID,
        REF,
        TENANT,
        PLACE,
        MOVED,
        INSPECT,
        FITS,
        NAME,
        MEANWHILE,
        ACCOUNT,
        WORKS,
        MANUAL,
        COMPLETE,
        METHOD,
        ONCE,
        ELSEWHERE,
        CHANGED,
        SESSION,
        WEBHOOK_URL,
        DISABLED,
        READY,
        PROXY,
        EXPORTED,
        EXPORT,
        IMPORT,
        TAKE_BACK,
    ];
    groups.concat().into_iter().collect()
}

/// What a code means, as one sentence of an answer that has it.
pub(super) fn meaning(code: &str) -> Option<&'static str> {
    MEANINGS.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning)
}

const MEANINGS: &[(&str, &str)] = &[
    ("account_blocked", "The account must act at the provider first; the access token itself may be good."),
    ("action_required", "This connection cannot work before a person acts. Open action_url to mend it."),
    ("ambiguous_name", "Several tenants have a connection of that name. Say which one with ?tenant=."),
    ("bad_request", "The request body could not be read."),
    ("base_url_forbidden", "Mooring may not reach this address. Only an operator can allow it."),
    ("base_url_invalid", "The base URL is not one. Give it as https://gitlab.example.com."),
    ("body_incomplete", "The request's body broke off."),
    ("body_too_large", "A request body is 256 KiB at most, and 32 MiB for an import."),
    ("changed_meanwhile", "The connection was changed at the same moment. Look at it and try again."),
    ("code_rejected", "The provider did not accept the authorization code. Start again."),
    ("credential_in_query", "A credential stands in the query. Send your API key in a header."),
    ("different_account", "This belongs to another account than the connection. Use the same account."),
    (
        "different_instance",
        "This connection was made at another base URL, which never changes under a credential.",
    ),
    ("export_unreadable", "The export is damaged, of another format, or sealed for another installation."),
    ("exported", "This connection was exported, and its token lives on in another installation."),
    ("handle_invalid", "The handle is wrong, or a newer one was given."),
    (
        "idempotency_answer_lost",
        "The answer was lost when the server stopped. See whether what it made is there.",
    ),
    (
        "idempotency_in_flight",
        "A request with this Idempotency-Key is being answered. Ask again in a moment.",
    ),
    ("idempotency_key_reused", "This Idempotency-Key was used for another request within the last day."),
    (
        "import_refused",
        "Some connections of the export cannot be imported, so none was; `errors` names them.",
    ),
    ("insufficient_permission", "This API key lacks the scope that this call needs. Use a key that has it."),
    ("insufficient_role", "The use case needs a higher role than this access token has anywhere."),
    ("insufficient_scope", "The use case needs a scope that this access token does not have."),
    ("integration_misconfigured", "The integration of this connection is no longer configured as it was."),
    ("internal_error", "Something went wrong here. Give the request id to the operator."),
    ("invalid_api_key", "Send a valid API key: Authorization: Bearer moor_…."),
    ("invalid_field", "A field of the body is wrong, and `errors` names it."),
    ("invalid_idempotency_key", "An Idempotency-Key is 1 to 255 visible ASCII characters."),
    ("invalid_json", "The request body is not valid JSON."),
    ("invalid_parameter", "A parameter of the query is wrong, and `errors` names it."),
    ("invalid_path", "The path has . or .. in it, or characters that must be percent-encoded."),
    ("made_by_access_token", "This connection was made with an access token: rotate the token instead."),
    ("made_by_oauth", "This connection was made by OAuth: reauthorize it instead of pasting a token."),
    ("method_not_allowed", "This address does not take this method. See the Allow header."),
    ("name_taken", "Another connection has this name. Choose another name."),
    ("no_oauth_application", "This integration has no OAuth application. Connect with an access token."),
    ("not_exported", "This connection was not exported, or has a credential of its own again."),
    ("not_found", "There is no such thing, or this key may not see it."),
    ("not_gitlab", "Something else than GitLab answers at this address."),
    ("not_ready", "The database does not answer, or the process is stopping."),
    ("own_credential", "This could replace or revoke the very token that Mooring keeps."),
    ("precondition_failed", "It was changed since you read it, and nothing is done. Read it again."),
    (
        "provider_unavailable",
        "The provider does not answer, so no newer token can be had now. Ask again later.",
    ),
    ("provider_unreachable", "The provider could not be reached, and `step` says where that failed."),
    ("rate_limited", "The provider asks for a pause. Ask again later."),
    ("recipient_not_allowed", "The operator must name this recipient in MOORING_EXPORT_RECIPIENTS first."),
    ("renewal_is_manual", "Nobody but a person can renew this connection. Paste a new token on its page."),
    ("renewed_elsewhere", "The installation that imported this connection has renewed its credential."),
    ("request_not_allowed", "This API key may not send this request. It may send: GET /api/v4/projects/**."),
    ("return_url_not_registered", "This return URL is not registered in MOORING_RETURN_URLS, byte for byte."),
    ("self_rotation_unsupported", "This access token cannot rotate itself. Choose manual."),
    ("session_completed", "This session is completed: it made its connection already."),
    ("session_expired", "The time for this session is over. Begin a new one."),
    ("session_failed", "This session came to nothing. Begin a new one."),
    ("session_not_ready", "The user has not connected yet."),
    ("session_used", "The user has connected already, and somebody else is completing the session."),
    ("tenant_forbidden", "This API key is bound to another tenant."),
    ("timeout", "The request took too long. Try again."),
    ("token_expired", "This access token has expired. Make a new one and send that."),
    ("token_invalid", "The provider does not know this access token."),
    ("token_revoked", "This access token was revoked. Make a new one and send that."),
    ("unknown_integration", "There is no integration of that id. They are listed at /api/v1/integrations."),
    ("unknown_use_case", "There is no use case of that id. They are listed at /api/v1/use-cases."),
    ("unsupported_media_type", "Send JSON with Content-Type: application/json."),
    ("upgrade_not_supported", "The proxy does not switch protocols. Send plain HTTP requests."),
    ("webhook_endpoint_disabled", "This endpoint is disabled: it answered that it does not want to be told."),
    ("webhook_url_forbidden", "Mooring may not reach this address. Only an operator can allow it."),
    ("webhook_url_invalid", "The URL is not one that a webhook can go to."),
    ("wrong_api_key", "This session was begun with another API key. Complete it with that one."),
    ("wrong_end_user", "Another user came back than the one this session was made for. It is void."),
    ("wrong_token_kind", "This access token is of another kind than token_kind says."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_meaning_and_stands_once() {
        let codes: Vec<_> = MEANINGS.iter().map(|(code, _)| *code).collect();
        assert!(codes.is_sorted_by(|one, next| one < next), "in the order of the alphabet");
        let used: BTreeSet<_> = all().into_iter().map(|(_, code)| code).collect();
        assert_eq!(used, codes.into_iter().collect(), "every one is used, and every used one is explained");
    }
}

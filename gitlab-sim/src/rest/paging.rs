//! Paging: offset with its `X-*` and `Link` headers, keyset with only `rel="next"`. Links are made from
//! `external_url`, as GitLab does.

use url::form_urlencoded::Serializer;

use crate::call::Call;
use crate::object::Object;
use crate::reply::Reply;

/// Beyond this many rows GitLab stops counting.
const COUNTED: usize = 10_000;

/// One page of rows in their final order.
pub(crate) fn page<T>(call: &Call, links: &str, rows: &[T], show: impl Fn(&T) -> Object) -> Reply {
    let per_page = per_page(call);
    let page = usize::try_from(call.number("page").unwrap_or(1)).unwrap_or(1).max(1);
    let pages = rows.len().div_ceil(per_page).max(1);
    let shown = rows.iter().skip((page - 1).saturating_mul(per_page)).take(per_page);
    let next = (page < pages).then_some(page + 1);
    let previous = (page > 1).then_some(page - 1);
    let counted = rows.len() <= COUNTED;
    let mut targets = vec![("first", Some(1)), ("prev", previous), ("next", next)];
    if counted {
        targets.push(("last", Some(pages)));
    }
    let link = |(rel, page): (&str, Option<usize>)| {
        let address =
            address(call, links, &[("page", page?.to_string()), ("per_page", per_page.to_string())]);
        Some(format!("<{address}>; rel=\"{rel}\""))
    };
    let link: Vec<String> = targets.into_iter().filter_map(link).collect();
    let number = |page: Option<usize>| page.map_or_else(String::new, |page| page.to_string());
    let mut reply = array(shown.map(show))
        .header("Link", link.join(", "))
        .header("X-Page", page.to_string())
        .header("X-Per-Page", per_page.to_string())
        .header("X-Next-Page", number(next))
        .header("X-Prev-Page", number(previous));
    if counted {
        reply = reply.header("X-Total", rows.len().to_string()).header("X-Total-Pages", pages.to_string());
    }
    reply
}

/// One keyset page of rows that are ordered by id and already cut at `id_after` or `id_before`.
pub(crate) fn keyset<T>(
    call: &Call,
    links: &str,
    rows: &[T],
    (cursor, id): (&str, impl Fn(&T) -> i64),
    show: impl Fn(&T) -> Object,
) -> Reply {
    let per_page = per_page(call);
    let shown = &rows[..rows.len().min(per_page)];
    let reply = array(shown.iter().map(show));
    match shown.last() {
        Some(last) if rows.len() > per_page => {
            let next = [(cursor, id(last).to_string()), ("per_page", per_page.to_string())];
            reply.header("Link", format!("<{}>; rel=\"next\"", address(call, links, &next)))
        }
        _ => reply,
    }
}

fn per_page(call: &Call) -> usize {
    usize::try_from(call.number("per_page").unwrap_or(20)).unwrap_or(20).clamp(1, 100)
}

/// The address that was asked, with some parameters replaced and without the credential.
fn address(call: &Call, links: &str, replaced: &[(&str, String)]) -> String {
    let kept = call.query.iter().filter(|(name, _)| {
        !matches!(name.as_str(), "private_token" | "access_token")
            && !replaced.iter().any(|(other, _)| other == name)
    });
    let mut query = Serializer::new(String::new());
    query.extend_pairs(kept);
    query.extend_pairs(replaced);
    format!("{links}{}?{}", call.path, query.finish())
}

fn array(objects: impl Iterator<Item = Object>) -> Reply {
    let objects: Vec<String> = objects.map(|object| object.text()).collect();
    Reply::json_text(200, format!("[{}]", objects.join(",")))
}

//! Settings about traces.

use super::{hidden::Hidden, reader::Reader, values};
use http::{HeaderName, HeaderValue};

/// The collector of traces.
#[derive(Debug, Clone)]
pub struct Otlp {
    /// The base URL, to which `/v1/traces` is added.
    pub endpoint: String,
    /// Well-formed names and values; may be empty.
    pub headers: Vec<(String, Hidden)>,
}

const ENDPOINT: &str = "MOORING_OTLP_ENDPOINT";
const HEADERS: &str = "MOORING_OTLP_HEADERS";

/// `None` where no traces are wanted, and where `is_built_in` says that there are none.
pub(super) fn read(reader: &mut Reader<'_>, is_built_in: bool) -> Option<Otlp> {
    let endpoint = reader.optional(ENDPOINT, values::collector);
    let headers = reader.secret(HEADERS);
    if headers.is_some() && !reader.is_given(ENDPOINT) {
        reader.problem(ENDPOINT, format!("wants a value, because {HEADERS} is set"));
    }
    let headers = headers.map_or(Some(vec![]), |list| read_headers(list.expose()));
    if headers.is_none() {
        reader.problem(HEADERS, "wants headers such as NAME=VALUE,NAME=VALUE");
    }
    if reader.is_given(ENDPOINT) && !is_built_in {
        reader
            .problem(ENDPOINT, "this build of Mooring has no OpenTelemetry: build it with `--features otlp`");
        return None;
    }
    Some(Otlp { endpoint: endpoint?, headers: headers? })
}

fn read_headers(list: &str) -> Option<Vec<(String, Hidden)>> {
    let read = |item: &str| {
        let (name, value) = item.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        HeaderName::try_from(name).ok()?;
        HeaderValue::from_str(value).ok().filter(|value| !value.is_empty())?;
        Some((name.to_owned(), Hidden::new(value.to_owned())))
    };
    values::items(list).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn problems(pairs: &[(&str, &str)], is_built_in: bool) -> Vec<String> {
        let vars: BTreeMap<_, _> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut reader = Reader::new(&vars);
        read(&mut reader, is_built_in);
        reader.take_problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_build_without_traces_refuses_to_be_asked_for_them() {
        let says = "MOORING_OTLP_ENDPOINT: this build of Mooring has no OpenTelemetry: build it with `--features otlp`";
        assert_eq!(problems(&[(ENDPOINT, "http://collector:4318")], false), [says]);
        assert!(problems(&[(ENDPOINT, "http://collector:4318")], true).is_empty());
        assert!(problems(&[], false).is_empty());
    }

    #[test]
    fn headers_want_a_collector() {
        let says = "MOORING_OTLP_ENDPOINT: wants a value, because MOORING_OTLP_HEADERS is set";
        assert_eq!(problems(&[(HEADERS, "x-key=1")], true), [says]);
    }

    #[test]
    fn a_header_keeps_what_comes_after_its_first_sign() {
        let headers = read_headers("authorization=Basic dXNlcjpwYXNz==, x-key = 7").unwrap();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(headers, [("authorization", "Basic dXNlcjpwYXNz=="), ("x-key", "7")]);
        for wrong in ["x-key", "x key=1", "x-key=", "x-key=a\nb"] {
            assert!(read_headers(wrong).is_none(), "{wrong:?}");
        }
    }
}

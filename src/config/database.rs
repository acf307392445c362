//! Which database, and the keys that seal what is stored in it.

use super::{hidden::Hidden, reader::Reader, values, values::items};
use std::path::{Path, PathBuf};
use url::Url;

/// Where connections are kept.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file of this machine.
    Sqlite(PathBuf),
    /// A `postgres://` URL, with its password.
    Postgres(Hidden),
}

impl Database {
    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

const URL: &str = "MOORING_DATABASE_URL";
const WANTS: &str = "wants sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME";

pub(super) fn read_database(reader: &mut Reader<'_>, data_dir: &Path) -> Database {
    let default = || Database::Sqlite(data_dir.join("mooring.db"));
    let Some(given) = reader.secret(URL) else { return default() };
    let url = given.expose().trim();
    if let Some(path) = url.strip_prefix("sqlite:") {
        return read_sqlite(reader, path.strip_prefix("//").unwrap_or(path));
    }
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        reader.problem(URL, WANTS);
        return default();
    }
    if Url::parse(url).is_err() {
        reader.problem(
            URL,
            "wants a URL; letters such as @ : / # in its password are written as %40 %3A %2F %23",
        );
    }
    Database::Postgres(Hidden::new(url.to_owned()))
}

fn read_sqlite(reader: &mut Reader<'_>, path: &str) -> Database {
    if path.is_empty() || path.contains(":memory:") {
        reader.problem(URL, "wants the path of a file after sqlite:");
    } else if path.contains('?') {
        reader.problem(URL, "wants a plain path after sqlite:, without options");
    }
    Database::Sqlite(path.into())
}

const ACTIVE: &str = "MOORING_ENCRYPTION_KEY";
const RETIRED: &str = "MOORING_ENCRYPTION_KEYS_RETIRED";

/// The keys, each checked and in standard base64: the active one and the retired ones.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) active: Option<Hidden>,
    pub(super) retired: Vec<Hidden>,
}

/// `required` says why there must be an active key, where there must.
pub(super) fn read_keys(reader: &mut Reader<'_>, required: Option<&str>) -> Keys {
    let active = reader.secret(ACTIVE).and_then(|key| read_key(reader, ACTIVE, "", key.expose()));
    if let Some(reason) = required.filter(|_| !reader.is_given(ACTIVE)) {
        let make = "`mooring encryption-key generate` makes them";
        reader.problem(ACTIVE, format!("wants 32 bytes in base64, because {reason}; {make}"));
    }
    let retired = read_retired(reader, active.as_ref());
    Keys { active, retired }
}

fn read_retired(reader: &mut Reader<'_>, active: Option<&Hidden>) -> Vec<Hidden> {
    let Some(list) = reader.secret(RETIRED) else { return vec![] };
    let mut retired: Vec<Hidden> = vec![];
    for (index, item) in items(list.expose()).enumerate() {
        let place = format!("key {} ", index + 1);
        let Some(key) = read_key(reader, RETIRED, &place, item) else { continue };
        if active.is_some_and(|active| active.expose() == key.expose()) {
            reader.problem(RETIRED, format!("{place}is the active key; a retired key is another one"));
        } else if retired.iter().any(|other| other.expose() == key.expose()) {
            reader.problem(RETIRED, format!("{place}stands in the list twice"));
        } else {
            retired.push(key);
        }
    }
    retired
}

fn read_key(reader: &mut Reader<'_>, name: &str, place: &str, value: &str) -> Option<Hidden> {
    match values::encryption_key(value) {
        Ok(mut key) => Some(Hidden::new(std::mem::take(&mut *key))),
        Err(wants) => {
            reader.problem(name, format!("{place}{wants}"));
            None
        }
    }
}

//! The only place that reads the process environment and `.env`. The file is read into a map and never set
//! as environment: `set_var` is unsafe with threads, and children should not inherit it. What the real
//! environment says wins over the file.

use super::problems::Problem;
use std::{collections::BTreeMap, path::Path};
use zeroize::Zeroize;

const DOT_ENV: &str = ".env";

/// Variables with their values, which are wiped when the map is dropped. No `Debug`: secrets are among them.
#[derive(Default)]
pub(super) struct Variables {
    pub(super) values: BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
}

impl Drop for Variables {
    fn drop(&mut self) {
        self.values.values_mut().for_each(Zeroize::zeroize);
    }
}

/// The process environment. A variable of ours whose value is not UTF-8 is a problem.
pub(super) fn process() -> Variables {
    let mut found = Variables::default();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => {
                found.values.insert(name, value);
            }
            Err(_) if name.starts_with("MOORING_") => {
                found.problems.push(wants(&name, "wants text in UTF-8"));
            }
            Err(_) => {}
        }
    }
    found
}

/// `.env` in the working directory; nothing where there is none.
pub(super) fn dot_env() -> Variables {
    read(Path::new(DOT_ENV))
}

/// The process environment over `.env`.
pub(super) fn both() -> Variables {
    over(process(), dot_env())
}

fn over(mut process: Variables, mut file: Variables) -> Variables {
    file.values.append(&mut process.values);
    file.problems.append(&mut process.problems);
    file
}

fn read(path: &Path) -> Variables {
    let mut found = Variables::default();
    let entries = match dotenvy::from_path_iter(path) {
        Ok(entries) => entries,
        Err(dotenvy::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => return found,
        Err(_) => {
            found.problems.push(wants(DOT_ENV, "wants a file that can be read"));
            return found;
        }
    };
    let mut last = None;
    for entry in entries {
        match entry {
            Ok((name, value)) => {
                last = Some(name.clone());
                found.values.insert(name, value);
            }
            // The error holds the line, which may hold a secret: say where it is instead.
            Err(error) => {
                found.problems.push(wants(DOT_ENV, &malformed(last.as_deref())));
                if matches!(error, dotenvy::Error::Io(_)) {
                    break;
                }
            }
        }
    }
    found
}

fn malformed(last: Option<&str>) -> String {
    let place = last.map_or("at its beginning".to_owned(), |name| format!("after {name}"));
    format!("wants NAME=value in the entry {place}, in single quotes where the value holds spaces or $")
}

fn wants(variable: &str, wants: &str) -> Problem {
    Problem { variable: variable.to_owned(), wants: wants.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Variables {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    fn of(name: &str, value: &str) -> Variables {
        Variables { values: BTreeMap::from([(name.to_owned(), value.to_owned())]), problems: vec![] }
    }

    #[test]
    fn a_missing_file_is_no_problem() {
        let found = read(Path::new("/nonexistent/.env"));
        assert!(found.values.is_empty() && found.problems.is_empty());
    }

    #[test]
    fn a_file_is_read_with_comments_and_quotes() {
        let found = written("# note\nMOORING_LOG=debug\nMOORING_ADMIN_PASSWORD='with $ and space'\n");
        assert!(found.problems.is_empty());
        assert_eq!(found.values["MOORING_LOG"], "debug");
        assert_eq!(found.values["MOORING_ADMIN_PASSWORD"], "with $ and space");
    }

    #[test]
    fn the_real_environment_wins() {
        let merged = over(of("MOORING_LOG", "warn"), of("MOORING_LOG", "debug"));
        assert_eq!(merged.values["MOORING_LOG"], "warn");
    }

    #[test]
    fn a_malformed_line_is_placed_but_not_shown() {
        let found = written(
            "MOORING_LOG=debug\nMOORING_ADMIN_PASSWORD=hunter2 hunter3\nMOORING_LISTEN=127.0.0.1:1\n",
        );
        assert_eq!(found.problems.len(), 1);
        let line = found.problems[0].to_string();
        assert!(line.starts_with(".env: wants NAME=value in the entry after MOORING_LOG"), "{line}");
        assert!(!line.contains("hunter"), "{line}");
        assert!(found.values.contains_key("MOORING_LISTEN"), "reading goes on");
    }
}

//! `.env.example` against the table of settings in `src/config/settings.rs`, both ways: an operator who reads
//! the file knows every setting, its default and what it does.

use mooring::config::{Config, ID, SETTINGS, Setting};
use std::{collections::BTreeMap, fs, path::Path};

/// A setting as the file tells it.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Line {
    name: String,
    default: String,
    comment: String,
}

/// Further integrations are shown with this id.
const EXAMPLE_ID: &str = "ACME";

fn in_the_table(setting: &Setting) -> Line {
    Line {
        name: setting.name.replace(ID, EXAMPLE_ID),
        default: setting.default.unwrap_or_default().to_owned(),
        comment: setting.meaning.to_owned(),
    }
}

/// Every `# MOORING_X=default` with the comment line above it.
fn in_the_file() -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    let text = fs::read_to_string(path).expect(".env.example stands beside Cargo.toml");
    let lines: Vec<_> = text.lines().collect();
    let comment_above = |index: usize| index.checked_sub(1).map_or("", |above| lines[above]);
    let read = |(index, line): (usize, &&str)| {
        let (name, default) = line.strip_prefix("# ")?.split_once('=')?;
        let comment = comment_above(index).trim_start_matches('#').trim();
        name.starts_with("MOORING_").then(|| Line {
            name: name.to_owned(),
            default: default.to_owned(),
            comment: comment.to_owned(),
        })
    };
    lines.iter().enumerate().filter_map(read).collect()
}

#[test]
fn the_example_tells_every_setting_and_no_other() {
    let (table, file): (Vec<_>, _) = (SETTINGS.iter().map(in_the_table).collect(), in_the_file());
    for line in &table {
        assert!(file.contains(line), "not in .env.example, or told otherwise there: {line:#?}");
    }
    for line in &file {
        assert!(table.contains(line), "not in the table of settings, or told otherwise there: {line:#?}");
    }
    assert_eq!(table, file, "both stand in the same order, each setting once");
}

#[test]
fn nothing_in_the_example_is_switched_on() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    let text = fs::read_to_string(path).expect(".env.example stands beside Cargo.toml");
    let switched_on: Vec<_> =
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(switched_on.is_empty(), "{switched_on:#?}");
}

#[test]
fn the_defaults_that_are_told_are_the_defaults_that_count() {
    let told: BTreeMap<_, _> = in_the_file()
        .into_iter()
        .filter(|line| !line.default.is_empty() && !line.name.contains("_INTEGRATION_"))
        .map(|line| (line.name, line.default))
        .collect();
    let written_out = Config::from_vars(&told).expect("the defaults are a configuration");
    let left_out = Config::from_vars(&BTreeMap::new()).expect("no settings are a configuration");
    assert_eq!(format!("{written_out:?}"), format!("{left_out:?}"));
}

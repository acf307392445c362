//! What axe-core, and a ruler, find wrong with the page that a browser shows.

use std::{path::Path, sync::OnceLock};

use serde_json::Value;

use super::browser::Browser;

/// Every rule that axe-core has for WCAG 2.2 at level AA, and its own best practices.
const RUN: &str = "
    return axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
        .then(found => found.violations.map(violation =>
            `${violation.id} (${violation.help}): ${violation.nodes.map(node => node.html.slice(0, 160)).join(' | ')}`));
";

/// Elements that are wider than the page, and the page's own width. What scrolls in itself is no fault.
const RULER: &str = "
    const room = document.documentElement.clientWidth;
    return document.documentElement.scrollWidth <= room ? [] : [...document.querySelectorAll('body *')]
        .filter(element => element.getBoundingClientRect().right > room + 1)
        .map(element => `wider than ${room}: ${element.outerHTML.slice(0, 160)}`);
";

/// The largest page: what comes over the wire for the document itself.
const MOST_BYTES: u64 = 100_000;

impl Browser {
    /// Everything that is wrong with this page. The page's own scripts must be allowed to run.
    pub(crate) async fn faults(&self) -> Vec<String> {
        let mut faults = strings(&self.execute(&format!("{}\n{RUN}", source())).await);
        faults.extend(strings(&self.execute(RULER).await));
        let size = "return performance.getEntriesByType('navigation')[0].decodedBodySize";
        let bytes = self.execute(size).await.as_u64().expect("the page has a size");
        faults.extend((bytes > MOST_BYTES).then(|| format!("the page has {bytes} bytes")));
        faults
    }
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list of findings");
    list.iter().map(|text| text.as_str().expect("a finding is text").to_owned()).collect()
}

fn source() -> &'static str {
    static SOURCE: OnceLock<String> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("axe-core").join("axe.min.js");
        std::fs::read_to_string(path).expect("axe-core is missing: `make test` fetches it")
    })
}

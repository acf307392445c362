//! What was found: one line for each thing that was looked at.

use serde::Serialize;

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// Works, and somebody should look at it.
    Warning,
    Problem,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    /// What is so.
    message: String,
    /// What to do about it.
    action: Option<String>,
}

/// Everything that was found, in the order in which it was looked at.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, Verdict::Ok, message.into(), None);
    }

    pub(super) fn warning(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        action: impl Into<String>,
    ) {
        self.add(check, Verdict::Warning, message.into(), Some(action.into()));
    }

    pub(super) fn problem(
        &mut self,
        check: &'static str,
        message: impl Into<String>,
        action: impl Into<String>,
    ) {
        self.add(check, Verdict::Problem, message.into(), Some(action.into()));
    }

    fn add(&mut self, check: &'static str, verdict: Verdict, message: String, action: Option<String>) {
        self.0.push(Finding { check, verdict, message, action: action.filter(|text| !text.is_empty()) });
    }

    pub(super) fn has_problem(&self) -> bool {
        self.0.iter().any(|finding| finding.verdict == Verdict::Problem)
    }

    /// For people; a name that somebody gave cannot break a line.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|Finding { check, verdict, message, action }| {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Problem => "problem",
            };
            let action = action.as_deref().map(|action| format!(" {action}")).unwrap_or_default();
            format!("{verdict:<8} {check}: {message}{action}").replace(char::is_control, " ")
        })
    }
}

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            ok: bool,
            findings: &'a [Finding],
        }
        Whole { ok: !self.has_problem(), findings: &self.0 }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_one_line_with_what_to_do() {
        let mut report = Report::default();
        report.ok("key", "opens the database.");
        assert!(!report.has_problem());
        report.problem("connection", "\"a\nb\" needs a person.", "Open https://m.example.");
        let lines: Vec<_> = report.lines().collect();
        assert_eq!(lines[0], "ok       key: opens the database.");
        assert_eq!(lines[1], "problem  connection: \"a b\" needs a person. Open https://m.example.");
        assert!(report.has_problem());
        assert_eq!(serde_json::to_value(&report).unwrap()["findings"][1]["verdict"], "problem");
    }
}

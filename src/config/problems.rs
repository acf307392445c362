//! What is wrong with a configuration: all of it at once, one line for each variable, no value of a secret.

use std::fmt;

/// One variable and what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable to mend, as a person types it.
    pub variable: String,
    /// One sentence without the value that was given.
    pub wants: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.wants)
    }
}

/// Every problem of a configuration; there is at least one. Displays as one line for each.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The value where there is no problem, else every problem.
    pub(super) fn unless_none<T>(value: T, problems: Vec<Problem>) -> Result<T, Self> {
        if problems.is_empty() { Ok(value) } else { Err(Self(problems)) }
    }

    /// The problems in the order in which the settings are documented.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

//! Lists in pages: `limit`, `cursor`, and where the next page begins.

use crate::web::error::Problem;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use utoipa::{IntoParams, ToSchema};

const MOST: i64 = 200;

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// 1 to 200; 50 if not given.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Null on the last page.
    pub(super) next_cursor: Option<String>,
}

impl PageQuery {
    pub(super) fn limit(&self) -> Result<i64, Problem> {
        let limit = self.limit.unwrap_or(50);
        if (1..=MOST).contains(&limit) {
            Ok(limit)
        } else {
            Err(Problem::parameter("limit", "Give a number from 1 to 200."))
        }
    }

    pub(super) fn cursor<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let wrong = |_| Problem::parameter("cursor", "Use the next_cursor of the page before, unchanged.");
        self.cursor.as_deref().map(|text| T::from_str(text).map_err(wrong)).transpose()
    }
}

impl<T> Page<T> {
    /// A page of `rows`, of which one more than `limit` was asked for to see whether more are there.
    pub(super) fn of<R>(
        mut rows: Vec<R>,
        limit: i64,
        cursor: impl Fn(&R) -> String,
        view: impl Fn(R) -> T,
    ) -> Self {
        let limit = usize::try_from(limit).expect("a limit is positive");
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(cursor);
        Self { items: rows.into_iter().map(view).collect(), next_cursor }
    }
}

impl PageQuery {
    pub(super) fn new(limit: Option<i64>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }
}

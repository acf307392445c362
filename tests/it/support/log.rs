//! The event log as tests read it.

use mooring::store::{EventFilter, LoggedEvent, Store, StoreError};

pub(crate) trait Log {
    /// Newest first, below `before`; of one subject where one is named.
    async fn list_events(
        &self,
        subject: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<LoggedEvent>, StoreError>;
}

impl Log for Store {
    async fn list_events(
        &self,
        subject: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let subject = subject.unwrap_or_default().to_owned();
        let filter = EventFilter { subject, ..EventFilter::default() };
        Ok(self.find_events(&filter, before, limit).await?.events)
    }
}

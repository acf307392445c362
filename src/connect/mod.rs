//! The two ways in. Both end in one place: `establish`, one insert, one event, one status. What another installation
//! exported was made there, and comes in by `import`.
//!
//! Nothing is stored before the provider has said whose token it is. A token that comes to nothing after
//! an exchange is revoked again.

mod adopt;
mod begin;
mod callback;
mod completion;
mod desired;
mod error;
mod establish;
mod exchange;
mod fields;
mod import;
mod preflight;
mod same_account;
mod self_rotation;
mod session;

pub use adopt::{Inspected, Pasted, Replacement};
pub use begin::{Begin, Purpose, Started};
pub use callback::{Callback, Outcome};
pub use desired::Desired;
pub use error::{ConnectError, inspect_code};
pub use fields::{Fields, Target, one_kind_of_line};
pub use import::{Import, ImportError, RefusedConnection};
pub use preflight::Preflight;
pub use session::{NewSession, SessionError};

use crate::{
    domain::{Clock, Tending, UseCase, UseCases},
    providers::{Instances, Provider},
    store::Store,
};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Connects, rotates by hand and reauthorizes.
#[derive(Clone)]
pub struct Connect {
    pub store: Store,
    pub provider: Provider,
    pub instances: Instances,
    pub use_cases: Arc<UseCases>,
    pub clock: Clock,
    pub tending: Tending,
    /// Where connect sessions may send a browser back to, matched exactly.
    pub return_urls: Arc<[String]>,
    /// Owns exchanges that a closed browser must not cancel.
    pub tracker: TaskTracker,
}

impl Connect {
    /// Those of a connection that are known here still: an operator may have taken one out.
    fn known(&self, ids: &[String]) -> Vec<&UseCase> {
        ids.iter().filter_map(|id| self.use_cases.get(id)).collect()
    }

    fn chosen(&self, ids: &[String]) -> Result<Vec<&UseCase>, ConnectError> {
        let find =
            |id: &String| self.use_cases.get(id).ok_or_else(|| ConnectError::UnknownUseCase(id.clone()));
        ids.iter().map(find).collect()
    }
}

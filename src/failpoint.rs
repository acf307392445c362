//! Places where a test ends or stops this process. Without the feature `failpoints` they are nothing, and no
//! released binary has that feature.
//!
//! `FAILPOINT=kept=kill@3` says: at the third pass of `kept`, die. The steps of a renewal in their order are
//! `decided`, `intent`, `answered`, `kept`, `committed` and `served`; what lies between `intent` and `answered`
//! happens at the provider.

/// Passes a step of a renewal.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn pass(_step: &str) {}

#[cfg(feature = "failpoints")]
pub(crate) use planned::pass;

#[cfg(feature = "failpoints")]
mod planned {
    use std::{
        process::Command,
        str::FromStr,
        sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "no setting of Mooring: a released binary never reads it"
        )]
        let text = std::env::var("FAILPOINT").ok()?;
        Some(text.parse().expect("FAILPOINT is step=kill, term or stop, and @ the number of the pass"))
    });

    /// What happens where, and at which pass.
    #[derive(Debug)]
    struct Plan {
        step: String,
        action: Action,
        at: u64,
        passed: AtomicU64,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Action {
        /// SIGKILL: nothing after this step happens in this process.
        Kill,
        /// SIGTERM: the step goes on in a process that is stopping.
        Term,
        /// SIGSTOP: the step goes on when somebody sends SIGCONT.
        Stop,
    }

    /// Passes a step of a renewal, or does there what the plan says.
    pub(crate) fn pass(step: &str) {
        if let Some(action) = PLAN.as_ref().and_then(|plan| plan.at(step)) {
            action.take();
        }
    }

    impl Plan {
        fn at(&self, step: &str) -> Option<Action> {
            let here = step == self.step && self.passed.fetch_add(1, Ordering::Relaxed) + 1 == self.at;
            here.then_some(self.action)
        }
    }

    impl FromStr for Plan {
        type Err = ();

        fn from_str(text: &str) -> Result<Self, ()> {
            let (step, rest) = text.split_once('=').ok_or(())?;
            let (action, at) = rest.split_once('@').unwrap_or((rest, "1"));
            let action = match action {
                "kill" => Action::Kill,
                "term" => Action::Term,
                "stop" => Action::Stop,
                _ => return Err(()),
            };
            let at = at.parse().map_err(|_| ())?;
            Ok(Self { step: step.to_owned(), action, at, passed: AtomicU64::new(0) })
        }
    }

    impl Action {
        fn take(self) {
            let signal = match self {
                Self::Kill => "-KILL",
                Self::Term => "-TERM",
                Self::Stop => "-STOP",
            };
            let sent = Command::new("kill").args([signal, &std::process::id().to_string()]).status();
            assert!(sent.is_ok_and(|status| status.success()), "kill works on this machine");
            if self == Self::Kill {
                loop {
                    std::thread::park();
                }
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_plan_names_one_pass_of_one_step() {
            let plan: Plan = "kept=stop@2".parse().unwrap();
            assert_eq!(plan.at("kept"), None);
            assert_eq!(plan.at("served"), None);
            assert_eq!(plan.at("kept"), Some(Action::Stop));
            assert_eq!(plan.at("kept"), None);
            assert_eq!("kept=kill".parse::<Plan>().unwrap().at("kept"), Some(Action::Kill));
            assert!("kept=explode".parse::<Plan>().is_err());
        }
    }
}

//! The way round a refusal.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The annotation of a policy that lets it in although it would be refused: the reason.
pub const ANNOTATION: &str = "netpol.dev/break-glass";

/// The way round a refusal: the annotation `netpol.dev/break-glass` with a reason. What would have refused the policy warns
/// then, and the use is noted in the audit log, in the log and in a metric.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BreakGlass {
    /// Whether there is a way.
    pub enabled: bool,
    /// Only members of one of these groups may use it; everybody where there are none.
    pub groups: Vec<String>,
    /// A reason has at least so many characters.
    pub reason_length: NonZeroU16,
}

impl Default for BreakGlass {
    fn default() -> Self {
        let reason_length = NonZeroU16::new(10).expect("not zero");
        Self { enabled: true, groups: Vec::new(), reason_length }
    }
}

impl BreakGlass {
    /// Whether a reason, of somebody in these groups, lets a policy in.
    ///
    /// # Errors
    /// Why it doesn't.
    pub fn accept(&self, reason: &str, groups: &[String]) -> Result<(), String> {
        if !self.enabled {
            return Err(format!("the annotation {ANNOTATION} is not honoured in this cluster"));
        }
        if !self.groups.is_empty() && !self.groups.iter().any(|group| groups.contains(group)) {
            let groups = self.groups.join(", ");
            return Err(format!("the annotation {ANNOTATION} is honoured for members of {groups} only"));
        }
        let length = reason.trim().chars().filter(|c| !c.is_control()).count();
        let least = usize::from(self.reason_length.get());
        if length < least {
            return Err(format!(
                "the annotation {ANNOTATION} needs a reason of at least {least} characters; it has {length}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_and_a_right() {
        let groups = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let open = BreakGlass::default();
        assert!(open.accept("incident 4711: shop is down", &[]).is_ok());
        assert!(open.accept("because", &[]).unwrap_err().contains("at least 10 characters; it has 7"));
        assert!(open.accept("             ", &[]).is_err());
        let few = BreakGlass { groups: groups(&["sre"]), ..BreakGlass::default() };
        assert!(few.accept("incident 4711", &groups(&["dev"])).unwrap_err().contains("members of sre only"));
        assert!(few.accept("incident 4711", &groups(&["dev", "sre"])).is_ok());
        let closed = BreakGlass { enabled: false, ..BreakGlass::default() };
        assert!(closed.accept("incident 4711", &[]).unwrap_err().contains("not honoured"));
    }
}

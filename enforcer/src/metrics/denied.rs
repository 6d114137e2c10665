//! What was denied, by the policies that isolate the pod.

use std::collections::{BTreeMap, HashMap, HashSet};

use netpol_enforcer_common::denied::DeniedKey;
use netpol_enforcer_common::reason::Reason;

use super::page::{Kind, Page};

/// So many series at most; what else is denied is counted under the policy `other`.
const MOST: usize = 500;

/// What isolates the pods of this node, by generation: ingress and egress. Policies are `namespace/name`.
pub type Isolations = BTreeMap<u32, [Vec<String>; 2]>;

/// Counts of packets by policy, which outlive the endpoints that they came from.
#[derive(Debug, Default)]
pub(super) struct Denied {
    /// What the kernel had counted when it was last asked.
    seen: HashMap<DeniedKey, u64>,
    known: Isolations,
    totals: BTreeMap<Series, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    policy: String,
    egress: bool,
    audited: bool,
}

impl Denied {
    /// Takes what the kernel has counted by now. Returns the keys that will not be counted under any more.
    pub(super) fn account(
        &mut self,
        counted: impl IntoIterator<Item = (DeniedKey, u64)>,
        isolations: &Isolations,
    ) -> Vec<DeniedKey> {
        self.known.extend(isolations.iter().map(|(generation, policies)| (*generation, policies.clone())));
        let mut gone = Vec::new();
        for (key, packets) in counted {
            let before = self.seen.insert(key, packets).unwrap_or(0);
            let fresh = packets.saturating_sub(before);
            if fresh > 0 {
                self.add(key, fresh);
            } else if !isolations.contains_key(&key.generation) {
                gone.push(key);
            }
        }
        for key in &gone {
            self.seen.remove(key);
        }
        let seen: HashSet<u32> = self.seen.keys().map(|key| key.generation).collect();
        self.known.retain(|generation, _| isolations.contains_key(generation) || seen.contains(generation));
        gone
    }

    fn add(&mut self, key: DeniedKey, packets: u64) {
        let policies = match Reason::from_number(key.reason) {
            // No policy's doing.
            Some(
                Reason::Spoofed
                | Reason::Malformed
                | Reason::UnknownEndpoint
                | Reason::SlotUnknown
                | Reason::Unready,
            ) => return,
            _ => self
                .known
                .get(&key.generation)
                .map_or(&[][..], |both| &both[usize::from(key.direction.min(1))]),
        };
        for policy in policies {
            let series = |policy: &str| Series {
                policy: policy.into(),
                egress: key.direction != 0,
                audited: key.audited != 0,
            };
            let exact = series(policy);
            let counted = if self.totals.contains_key(&exact) || self.totals.len() < MOST {
                exact
            } else {
                series(OTHER)
            };
            *self.totals.entry(counted).or_default() += packets;
        }
    }

    pub(super) fn write(&self, page: &mut Page) {
        page.metric(
            NAME,
            Kind::Counter,
            "Packets denied to pods that a policy isolates. A packet counts for each policy that isolates the pod; the \
             default-deny label of a namespace is the policy \"namespace label\".",
        );
        for (series, packets) in &self.totals {
            let (namespace, policy) = series.policy.split_once('/').unwrap_or(("", &series.policy));
            let direction = if series.egress { "egress" } else { "ingress" };
            let verdict = if series.audited { "audited" } else { "dropped" };
            let labels = [
                ("namespace", namespace),
                ("policy", policy),
                ("direction", direction),
                ("verdict", verdict),
            ];
            page.sample(NAME, &labels, packets);
        }
    }
}

const NAME: &str = "policy_denied_packets_total";
const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use super::*;

    fn key(generation: u32, reason: Reason) -> DeniedKey {
        DeniedKey { generation, direction: 0, audited: 0, reason: reason as u8, reserved: 0 }
    }

    fn isolated(by: &[(u32, &str)]) -> Isolations {
        by.iter().map(|(generation, policy)| (*generation, [vec![(*policy).to_owned()], vec![]])).collect()
    }

    fn page(denied: &Denied) -> Vec<String> {
        let mut page = Page::default();
        denied.write(&mut page);
        page.finish().lines().filter(|line| !line.starts_with('#')).map(Into::into).collect()
    }

    #[test]
    fn counts_outlive_endpoints_and_follow_policies() {
        let mut denied = Denied::default();
        let first = key(1, Reason::NotAllowed);
        assert_eq!(denied.account([(first, 5)], &isolated(&[(1, "shop/db")])), []);
        assert_eq!(denied.account([(first, 7)], &isolated(&[(1, "shop/other")])), []);
        // The pod goes. What was counted at its end still belongs to it; after that its key is of no use.
        assert_eq!(denied.account([(first, 8)], &isolated(&[])), []);
        assert_eq!(denied.account([(first, 8)], &isolated(&[])), [first]);
        assert_eq!(denied.account([], &isolated(&[])), []);
        let series = |policy: &str, count: u32| {
            format!(
                "netpol_enforcer_policy_denied_packets_total{{namespace=\"shop\",policy=\"{policy}\",direction=\"ingress\",\
                 verdict=\"dropped\"}} {count}"
            )
        };
        assert_eq!(page(&denied), [series("db", 5), series("other", 3)]);
        assert!(denied.known.is_empty() && denied.seen.is_empty());
    }

    #[test]
    fn what_no_policy_did_is_not_blamed_on_one() {
        let mut denied = Denied::default();
        denied.account([(key(1, Reason::Spoofed), 5)], &isolated(&[(1, "shop/db")]));
        denied.account([(key(2, Reason::NotAllowed), 5)], &isolated(&[(1, "shop/db")]));
        assert_eq!(page(&denied), Vec::<String>::new());
    }

    #[test]
    fn there_is_an_end_to_series() {
        let mut denied = Denied::default();
        let isolations: Isolations =
            (0..2000).map(|generation| (generation, [vec![format!("shop/p{generation}")], vec![]])).collect();
        let counted = (0..2000).map(|generation| (key(generation, Reason::NotAllowed), 1));
        denied.account(counted, &isolations);
        let lines = page(&denied);
        assert_eq!(lines.len(), MOST + 1);
        assert!(lines[0].contains("policy=\"other\"") && lines[0].ends_with(" 1500"), "{}", lines[0]);
    }
}

//! What is said to be covered, against the evaluator: no flow of a random cluster may pass that wasn't covered.

use std::cell::Cell;
use std::sync::Arc;

use netpol_policy::cover::Cover;
use netpol_policy::evaluate::{Connections, Evaluator};
use netpol_policy::model::{Cluster, Direction, LabelSelector, NetworkPolicy, ObjectName, Rule};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::generate::{self, Objects};
use super::naive::Naive;

/// A rule for every pod of a namespace.
struct Alone<'c> {
    policy: &'c NetworkPolicy,
    direction: Direction,
    rule: &'c Rule,
    /// What passes between every two ends when there is nothing but this rule.
    passes: Vec<Connections>,
}

/// What passes between every two ends of a cluster under some policies.
fn passes(cluster: &Cluster, naive: &Naive, policies: Vec<NetworkPolicy>) -> Vec<Connections> {
    let policies = policies.into_iter().map(Arc::new).collect();
    let cluster = Cluster { policies, ..cluster.clone() };
    let (ends, evaluator) = (super::ends(naive, &cluster), Evaluator::new(&cluster));
    let pairs = ends.iter().flat_map(|from| ends.iter().map(move |to| (from, to)));
    let same_family = |((from, _), (to, _)): &(&(_, _), &(_, _))| super::same_family(*from, *to);
    pairs.filter(same_family).map(|((_, from), (_, to))| evaluator.connections(*from, *to)).collect()
}

fn rule_alone(policy: &NetworkPolicy, direction: Direction, rules: Vec<Rule>) -> NetworkPolicy {
    let (ingress, egress) = match direction {
        Direction::Ingress => (Some(rules), None),
        Direction::Egress => (None, Some(rules)),
    };
    let name = ObjectName::new(policy.name.namespace.clone(), "alone");
    NetworkPolicy { name, pod_selector: LabelSelector::everything(), ingress, egress }
}

fn within(inner: &[Connections], outer: &[Connections]) -> bool {
    inner.iter().zip(outer).all(|(inner, outer)| inner.intersection(outer) == *inner)
}

#[test]
fn what_is_covered_passes() {
    let [rules, together, policies] = [const { Cell::new(0) }; 3];
    let config = ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&generate::objects(), |Objects(objects)| {
        let (cluster, naive) = (super::lowered(&objects), Naive::new(&objects));
        let cover_of = |policy: &NetworkPolicy| Cover::new(Some(&policy.name.namespace));
        let alone = |policies: Vec<NetworkPolicy>| passes(&cluster, &naive, policies);
        let mut all = Vec::new();
        for (policy, direction) in cluster.policies.iter().flat_map(|p| Direction::ALL.map(|d| (p, d))) {
            for rule in policy.rules(direction).unwrap_or_default() {
                let passes = alone(vec![rule_alone(policy, direction, vec![rule.clone()])]);
                all.push(Alone { policy, direction, rule, passes });
            }
        }
        for (i, inner) in all.iter().enumerate() {
            let cover = cover_of(inner.policy);
            let others = || {
                let others = all.iter().enumerate().filter(move |(j, _)| i != *j).map(|(_, other)| other);
                others.filter(|o| {
                    (&o.policy.name.namespace, o.direction) == (&inner.policy.name.namespace, inner.direction)
                })
            };
            for outer in others().filter(|outer| cover.rule(outer.rule, inner.rule)) {
                rules.set(rules.get() + 1);
                prop_assert!(within(&inner.passes, &outer.passes), "{:?}\n{:?}", inner.rule, outer.rule);
            }
            // Without those that cover it alone.
            let outer: Vec<_> =
                others().map(|o| o.rule).filter(|outer| !cover.rule(outer, inner.rule)).collect();
            if cover.rules(outer.iter().copied(), inner.rule) {
                together.set(together.get() + 1);
                let outer: Vec<_> = outer.into_iter().cloned().collect();
                let policy = rule_alone(inner.policy, inner.direction, outer);
                prop_assert!(within(&inner.passes, &alone(vec![policy])), "{:?}", inner.rule);
            }
        }
        for inner in &cluster.policies {
            for outer in cluster.policies.iter().filter(|outer| outer.name != inner.name) {
                if cover_of(inner).policy(outer, inner) {
                    policies.set(policies.get() + 1);
                    let both = alone(vec![NetworkPolicy::clone(outer), NetworkPolicy::clone(inner)]);
                    prop_assert_eq!(
                        both,
                        alone(vec![NetworkPolicy::clone(outer)]),
                        "{:?}\n{:?}",
                        inner,
                        outer
                    );
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
    let found = [rules.get(), together.get(), policies.get()];
    assert!(found.iter().all(|found| *found > 10), "too little was covered: {found:?}");
}

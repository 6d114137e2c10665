//! NP512 and who the callers are.

mod callers;
#[cfg(test)]
mod tests;

use netpol_policy::model::{Direction, NetworkPolicy, PortMatch, TargetPort};
use netpol_policy::span::Span;

use crate::context::{Context, Reporter};
use crate::index::Target;
use crate::rule::rule;
use crate::words;

use super::far_end::FarEnd;
use callers::Caller;

rule! {
    /// ## What it does
    /// Finds policies that keep the callers of an entry point out of its backend: an Ingress, a route of the Gateway API, a
    /// webhook for admission or an APIService. It needs the entry point, its Service and the workloads behind it.
    ///
    /// The caller of a webhook and of an APIService is the API server, which has the address of a node and is no pod that
    /// a selector matches. The callers of an Ingress are the pods of a well-known controller, those of a route the pods
    /// that carry the label of its Gateway; where such pods are not given, only a port that no rule opens at all is
    /// reported. Where an `ipBlock` may cover the caller, it says nothing.
    ///
    /// ## Why it matters
    /// A webhook out of reach stops every change that it is asked about, or is skipped without a word. An APIService out of
    /// reach breaks `kubectl top` or the deletion of namespaces. An Ingress answers 504.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: guard, namespace: guard}
    /// spec:
    ///   podSelector: {matchLabels: {app: guard}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    ///       ports: [{protocol: TCP, port: 9443}]
    /// ---
    /// apiVersion: admissionregistration.k8s.io/v1
    /// kind: ValidatingWebhookConfiguration
    /// metadata: {name: guard}
    /// webhooks:
    ///   - name: guard.example.com
    ///     clientConfig: {service: {namespace: guard, name: guard}}
    /// ---
    /// apiVersion: v1
    /// kind: Service
    /// metadata: {name: guard, namespace: guard}
    /// spec: {selector: {app: guard}, ports: [{port: 443, targetPort: 9443}]}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: guard, namespace: guard, labels: {app: guard}}
    /// spec: {containers: [{name: guard, image: example.com/guard, ports: [{containerPort: 9443}]}]}
    /// ```
    ///
    /// ## Fix
    /// Allow the callers on the port of the pods: for the API server the addresses of the nodes that it runs on, or
    /// everyone, since a webhook authenticates its callers by TLS.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: guard, namespace: guard}
    /// spec:
    ///   podSelector: {matchLabels: {app: guard}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - ipBlock: {cidr: 192.0.2.0/24}
    ///       ports: [{protocol: TCP, port: 9443}]
    /// ```
    NP512 "entry-point-blocked" {
        severity: Warning,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

/// What is reported together: one caller that can't reach one port of a Service.
struct Blocked<'a> {
    caller: String,
    remedy: String,
    target: &'a Target<'a>,
    port: PortMatch,
    others: Vec<&'a Target<'a>>,
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(policy) = &cx.policy.model else { return };
    if policy.ingress.is_none() {
        return;
    }
    let mut found: Vec<Blocked<'_>> = Vec::new();
    for target in cx.index.targets(&policy.name.namespace) {
        if !target.pods.iter().any(|pod| policy.pod_selector.matches(&pod.labels)) {
            continue;
        }
        let Some(blocked) = blocked(cx, policy, target) else { continue };
        let same = |known: &&mut Blocked<'_>| {
            known.caller == blocked.caller
                && known.target.service.name == target.service.name
                && known.port == blocked.port
        };
        match found.iter_mut().find(same) {
            Some(known) => known.others.push(target),
            None => found.push(blocked),
        }
    }
    for blocked in found {
        report(cx, &blocked, out);
    }
}

/// What a policy answers for, if no pod of a target can be reached.
fn blocked<'a>(cx: &Context<'a>, policy: &NetworkPolicy, target: &'a Target<'a>) -> Option<Blocked<'a>> {
    let caller = Caller::of(cx.index, &target.entry.callers);
    let mut port = None;
    for (number, pod) in target.pods.iter().enumerate() {
        // Seen from the caller, connections are egress.
        let end = FarEnd::new(cx.index, pod, Direction::Egress);
        if number == 0 && answers_for(end.policies())? != policy.name.name {
            return None;
        }
        let protocol = target.port.protocol;
        let listening = match &target.port.target {
            TargetPort::Number(number) => *number,
            TargetPort::Name(name) => pod.named_ports(protocol, name).next()?,
        };
        let listening = PortMatch::number(protocol, listening);
        if end.policies().is_empty() || caller.may_reach(&end, &listening) {
            return None;
        }
        port.get_or_insert(listening);
    }
    let (caller, remedy) = caller.describe();
    Some(Blocked { caller, remedy, target, port: port?, others: Vec::new() })
}

/// The policy to change among those that isolate a pod: the one that asks for most, then the first by name.
fn answers_for(policies: &[&NetworkPolicy]) -> Option<Box<str>> {
    let asks = |policy: &&&NetworkPolicy| policy.pod_selector.requirements().len();
    let first = policies.iter().min_by_key(|policy| (std::cmp::Reverse(asks(policy)), &policy.name.name))?;
    Some(first.name.name.clone())
}

fn report(cx: &Context<'_>, blocked: &Blocked<'_>, out: &mut Reporter<'_>) {
    let Blocked { caller, remedy, target, port, others } = blocked;
    let mut entries: Vec<String> = vec![target.entry.to_string()];
    entries.extend(others.iter().map(|target| target.entry.to_string()));
    entries.dedup();
    let more = entries.len().saturating_sub(3);
    entries.truncate(3);
    if more > 0 {
        entries.push(format!("{more} more"));
    }
    let (lead, pods) =
        (if entries.len() == 1 { "leads" } else { "lead" }, words::pod_names(target.pods.iter().copied()));
    let finding = out.report(
        span(cx),
        "spec.podSelector",
        format!(
            "{} {lead} to Service {}, but no policy lets {caller} in to its pods ({pods}) on {port}",
            words::list(&entries),
            target.service.name
        ),
    );
    finding.label("isolates the backend").help(remedy);
    for target in [*target].into_iter().chain(others.iter().copied()).take(3) {
        finding.at_backend(cx, target.entry, target.backend, "leads here");
    }
}

fn span(cx: &Context<'_>) -> Span {
    let selector = cx.spec().and_then(|spec| spec.pod_selector.present());
    selector.map_or(cx.policy.kind, super::place::of_selector)
}

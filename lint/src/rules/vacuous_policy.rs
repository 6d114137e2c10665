use netpol_policy::model::{Direction, NetworkPolicy};

use super::default_deny_voided;
use super::neighbours;
use crate::context::{Context, Reporter};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds policies that restrict nothing, because other policies of the namespace allow everything to or from the same
    /// pods. Also where this is so for one direction only and the policy has rules for it. Policies of other files count
    /// when both say the namespace and the folder of one file holds the other.
    ///
    /// ## Why it matters
    /// What policies allow adds up. One policy that allows everything takes back whatever the others close, and a policy
    /// that looks like a restriction is none.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db-from-api, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: allow-all, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress: [{}]
    /// ```
    ///
    /// ## Fix
    /// Remove the policy that allows everything, or make it select only the pods that are to be open.
    NP406 "vacuous-policy" {
        severity: Warning,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(voided) = voided(cx) else { return };
    let Some(policy) = &cx.policy.model else { return };
    let (directions, by): (Vec<_>, Vec<_>) = voided.iter().copied().unzip();
    let mut by: Vec<_> = by.iter().map(|other| other.name.to_string()).collect();
    by.dedup();
    let whole = directions.len() == isolated(policy).count();
    let what = words::list(&directions.iter().map(|direction| direction.field()).collect::<Vec<_>>());
    let who = words::list(&by);
    let allow = if by.len() == 1 { "allows" } else { "allow" };
    let (span, path, subject) = match (whole, &directions[..]) {
        (false, [direction]) => {
            let field = cx.spec().and_then(|spec| spec.rules(*direction).present());
            (field.map(|field| field.key), format!("spec.{direction}"), "these rules restrict")
        }
        _ => (None, "metadata.name".to_owned(), "this policy restricts"),
    };
    let name = cx.policy.metadata.name.as_ref().map_or(cx.policy.kind, |name| name.span);
    let finding = out.report(
        span.unwrap_or(name),
        path,
        format!("{subject} nothing: {who} {allow} all {what} of the same pods"),
    );
    finding.label("what policies allow adds up");
    finding.help(format!("remove {who}, or let it select only the pods that are to be open"));
    for (_, other) in &voided {
        neighbours::show(cx, other, "everything is allowed here", finding);
    }
}

/// Whether this rule has something to say about the policy as a whole, so that others needn't.
pub(super) fn explains(cx: &Context<'_>) -> bool {
    let all = |policy: &NetworkPolicy| voided(cx).is_some_and(|v| v.len() == isolated(policy).count());
    cx.selection.contains(&RULE) && cx.policy.model.as_deref().is_some_and(all)
}

/// The directions in which the policy restricts nothing, each with the policy that is why.
fn voided<'a>(cx: &Context<'a>) -> Option<Vec<(Direction, &'a NetworkPolicy)>> {
    let policy = cx.policy.model.as_ref()?;
    let restricts = |direction: &Direction| !policy.allows_all(*direction);
    let mut directions: Vec<_> = isolated(policy).collect();
    let whole = directions.iter().all(restricts);
    directions.retain(restricts);
    let mut voided = Vec::new();
    for direction in directions {
        if !cx.index.has_open_policy(&policy.name.namespace, direction) {
            continue;
        }
        let mut open = neighbours::selecting_the_same(cx, policy, move |other| other.allows_all(direction));
        voided.extend(open.next().map(|other| (direction, other)));
    }
    if whole && voided.len() == isolated(policy).count() {
        // What takes back a default deny may have a rule of its own.
        let told = cx.selection.contains(&default_deny_voided::RULE);
        let default_deny = policy.pod_selector.is_everything()
            && voided.iter().all(|(direction, _)| policy.rules(*direction) == Some(&[]));
        return (!(voided.is_empty() || told && default_deny)).then_some(voided);
    }
    // Closing a direction that another policy opens on purpose is a common way to write both.
    voided.retain(|(direction, _)| policy.rules(*direction).is_some_and(|rules| !rules.is_empty()));
    (!voided.is_empty()).then_some(voided)
}

fn isolated(policy: &NetworkPolicy) -> impl Iterator<Item = Direction> {
    Direction::ALL.into_iter().filter(|direction| policy.rules(*direction).is_some())
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    fn policy(name: &str, spec: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n---\n"
        )
    }

    const FROM_API: &str = "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]}";
    const BOTH: &str = "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {}}]}]}";

    #[test]
    fn fails() {
        let open = policy("open", "{ingress: [{}]}");
        insta::assert_snapshot!(findings("NP406", &(policy("db", FROM_API) + &open)), @"3:18 warning metadata.name: this policy restricts nothing: shop/open allows all ingress of the same pods");
        let open = policy("open", "{podSelector: {matchLabels: {app: db}}, ingress: [{}]}");
        insta::assert_snapshot!(findings("NP406", &(open + &policy("db", FROM_API))), @"8:18 warning metadata.name: this policy restricts nothing: shop/open allows all ingress of the same pods");
        let open = policy("out", "{policyTypes: [Egress], egress: [{}]}");
        insta::assert_snapshot!(findings("NP406", &(policy("db", BOTH) + &open)), @"4:79 warning spec.egress: these rules restrict nothing: shop/out allows all egress of the same pods");
        let open = policy("in", "{ingress: [{}]}") + &open;
        insta::assert_snapshot!(findings("NP406", &(policy("db", BOTH) + &open)), @"3:18 warning metadata.name: this policy restricts nothing: shop/in and shop/out allow all ingress and egress of the same pods");
        let open = policy("open", "{ingress: [{}]}");
        insta::assert_snapshot!(findings("NP406", &(policy("deny", "{}") + &open)), @"3:18 warning metadata.name: this policy restricts nothing: shop/open allows all ingress of the same pods");
    }

    #[test]
    fn passes() {
        let web = policy("web", "{podSelector: {matchLabels: {app: web}}, ingress: [{}]}");
        clean("NP406", &(policy("db", FROM_API) + &web));
        clean("NP406", &(policy("deny", "{}") + &web));
        let port = policy("port", "{ingress: [{ports: [{port: 80}]}]}");
        clean("NP406", &(policy("db", FROM_API) + &port));
        let deny = policy("deny", "{policyTypes: [Ingress, Egress]}");
        let out = policy("out", "{policyTypes: [Egress], egress: [{}]}");
        clean("NP406", &(deny + &out + &policy("db", FROM_API)));
        let elsewhere = policy("open", "{ingress: [{}]}").replace("shop", "office");
        clean("NP406", &(policy("db", FROM_API) + &elsewhere));
    }
}

//! The linter's rules in CEL.

use netpol_lint::{Rule, find_rule};

/// A rule with what finds it in a stored NetworkPolicy.
#[derive(Debug, Clone, Copy)]
pub struct CelRule {
    /// The linter's code.
    pub code: &'static str,
    /// What `cel` is about.
    pub of: Where,
    /// True of what the rule finds. Names: `spec` the policy's spec, and that of [`Where`].
    pub cel: &'static str,
    /// Whether it finds all that the linter finds in the object alone. Else it finds less, and never more.
    pub complete: bool,
}

/// The part of a policy that an expression is about; only parts that have an effect: of directions in `policyTypes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// All of it.
    Policy,
    /// `rules`: the rules of a direction, all in one list.
    Rules,
    /// `rules`: the egress rules, all in one list.
    EgressRules,
    /// `r`: an ingress rule.
    IngressRule,
    /// `r`: an egress rule.
    EgressRule,
    /// `r`: a rule of either direction.
    Rule,
    /// `peers`: the peers of a rule, all in one list.
    Peers,
    /// `s`: a selector of pods, the policy's own or that of a peer.
    PodSelector,
    /// `s`: a selector of namespaces.
    NamespaceSelector,
    /// `c`: a CIDR, of a block or of an exception.
    Cidr,
}

/// By code.
pub static RULES: &[CelRule] = &[
    CelRule {
        code: "NP101",
        of: Where::Peers,
        // Other lists need to know more: what else is in them, the policy's own namespace, and its pods.
        cel: "size(peers) == 2 \
              && peers.exists(p, has(p.namespaceSelector) && !has(p.podSelector) && !has(p.ipBlock)) \
              && peers.exists(p, has(p.podSelector) && !has(p.namespaceSelector) && !has(p.ipBlock) \
              && (has(p.podSelector.matchLabels) || has(p.podSelector.matchExpressions)))",
        complete: false,
    },
    CelRule {
        code: "NP104",
        of: Where::Rules,
        cel: "size(rules) > 0 && rules.all(r, !has(r.from) && !has(r.to) && !has(r.ports))",
        complete: true,
    },
    CelRule {
        code: "NP107",
        of: Where::Policy,
        cel: "(has(spec.ingress) && !('Ingress' in spec.policyTypes)) || (has(spec.egress) && !('Egress' in spec.policyTypes))",
        complete: true,
    },
    CelRule {
        code: "NP110",
        of: Where::Rule,
        cel: "has(r.ports) && r.ports.exists(p, !has(p.port)) \
              && !(size(r.ports) > 1 && r.ports.all(p, !has(p.port)))",
        complete: true,
    },
    CelRule {
        code: "NP114",
        of: Where::Rules,
        cel: "rules.exists(r, !has(r.from) && !has(r.to) && !has(r.ports)) \
              && rules.exists(r, has(r.from) || has(r.to) || has(r.ports))",
        complete: true,
    },
    CelRule {
        code: "NP203",
        of: Where::NamespaceSelector,
        cel: "(has(s.matchLabels) && 'name' in s.matchLabels) || (has(s.matchExpressions) \
              && s.matchExpressions.exists(e, e.key == 'name' && e.operator == 'In'))",
        complete: true,
    },
    CelRule {
        code: "NP204",
        of: Where::PodSelector,
        cel: "(has(s.matchLabels) && 'kubernetes.io/metadata.name' in s.matchLabels) || (has(s.matchExpressions) \
              && s.matchExpressions.exists(e, e.key == 'kubernetes.io/metadata.name' && e.operator in ['In', 'Exists']))",
        complete: true,
    },
    CelRule {
        code: "NP205",
        of: Where::PodSelector,
        cel: "(has(s.matchLabels) && s.matchLabels.exists(k, k in ['pod-template-hash', 'controller-revision-hash', \
              'pod-template-generation', 'controller-uid', 'batch.kubernetes.io/controller-uid', 'helm.sh/chart', \
              'app.kubernetes.io/version'] || (k in ['version', 'chart'] \
              && s.matchLabels[k].matches('^(.*-)?v*[0-9]+[.][0-9]+[.][0-9]+$')))) \
              || (has(s.matchExpressions) && s.matchExpressions.exists(e, e.operator == 'In' \
              && (e.key in ['pod-template-hash', 'controller-revision-hash', 'pod-template-generation', 'controller-uid', \
              'batch.kubernetes.io/controller-uid', 'helm.sh/chart', 'app.kubernetes.io/version'] \
              || (e.key in ['version', 'chart'] \
              && e.values.exists(v, v.matches('^(.*-)?v*[0-9]+[.][0-9]+[.][0-9]+$'))))))",
        complete: true,
    },
    CelRule {
        code: "NP304",
        of: Where::EgressRule,
        cel: "has(r.to) && r.to.exists(p, has(p.ipBlock)) \
              && has(r.ports) && r.ports.exists(p, has(p.port) && type(p.port) == string)",
        complete: true,
    },
    CelRule {
        code: "NP306",
        of: Where::Cidr,
        // Forms that CEL doesn't read, of IPv4 in IPv6 or with leading zeros, are none of the usual ones.
        cel: "!isCIDR(c) || string(cidr(c)) != c",
        complete: true,
    },
    CelRule {
        code: "NP307",
        of: Where::IngressRule,
        cel: "has(r.from) && r.from.exists(p, has(p.ipBlock) && p.ipBlock.cidr.endsWith('/0')) \
              && !(has(r.ports) && r.ports.all(p, has(p.port) && (type(p.port) == int \
              ? (!has(p.endPort) || p.endPort == p.port) && p.protocol in ['TCP', 'UDP'] && p.port in [80, 443, 8000, 8080, 8443] \
              : p.port.startsWith('http') || p.port.startsWith('web') || p.port == 'quic')))",
        complete: true,
    },
    CelRule {
        code: "NP308",
        of: Where::EgressRules,
        cel: "[rules.filter(r, !has(r.ports) || r.ports.exists(p, p.protocol == 'TCP' && (!has(p.port) \
              || (type(p.port) == int && (p.port == 80 || (has(p.endPort) && p.port <= 80 && p.endPort >= 80))))))]\
              .exists(rules, !rules.exists(r, !has(r.to) || r.to.exists(p, has(p.ipBlock) && isCIDR(p.ipBlock.cidr) \
              && cidr(p.ipBlock.cidr).prefixLength() >= 16 && cidr(p.ipBlock.cidr).containsIP('169.254.169.254') \
              && !(has(p.ipBlock.except) && p.ipBlock.except.exists(c, isCIDR(c) && cidr(c).containsIP('169.254.169.254'))))) \
              && rules.exists(r, has(r.to) && r.to.exists(p, has(p.ipBlock) && isCIDR(p.ipBlock.cidr) \
              && cidr(p.ipBlock.cidr).prefixLength() < 16 && cidr(p.ipBlock.cidr).containsIP('169.254.169.254') \
              && !(has(p.ipBlock.except) && p.ipBlock.except.exists(c, isCIDR(c) && cidr(c).containsIP('169.254.169.254'))))))",
        complete: true,
    },
];

impl CelRule {
    /// The linter's rule.
    ///
    /// # Panics
    /// When the linter has no such rule, which a test excludes.
    pub fn rule(&self) -> &'static Rule {
        find_rule(self.code).expect("every code is the linter's")
    }

    /// Whether a policy breaks the rule; `spec` is an expression for its spec.
    pub fn found_in(&self, spec: &str) -> String {
        format!("[{spec}].exists(spec, {})", self.of.wrap(self.cel))
    }
}

impl Where {
    fn wrap(self, cel: &str) -> String {
        let rules = |direction: &str, inner: &str| {
            let (field, name) = (direction.to_lowercase(), direction);
            format!(
                "(has(spec.{field}) && '{name}' in spec.policyTypes && [spec.{field}].exists(rules, {inner}))"
            )
        };
        let both = |inner: &str| format!("{} || {}", rules("Ingress", inner), rules("Egress", inner));
        let peers = |list: &str| {
            let each = |field: &str| format!("(has(r.{field}) && [r.{field}].exists(peers, {list}))");
            let of = |direction, field| rules(direction, &format!("rules.exists(r, {})", each(field)));
            format!("{} || {}", of("Ingress", "from"), of("Egress", "to"))
        };
        let of_peers =
            |field: &str| peers(&format!("peers.exists(p, has(p.{field}) && [p.{field}].exists(s, {cel}))"));
        match self {
            Self::Policy => cel.to_owned(),
            Self::Rules => both(cel),
            Self::EgressRules => rules("Egress", cel),
            Self::IngressRule => rules("Ingress", &format!("rules.exists(r, {cel})")),
            Self::EgressRule => rules("Egress", &format!("rules.exists(r, {cel})")),
            Self::Rule => both(&format!("rules.exists(r, {cel})")),
            Self::Peers => peers(cel),
            Self::PodSelector => {
                let own = format!("(has(spec.podSelector) && [spec.podSelector].exists(s, {cel}))");
                format!("{own} || {}", of_peers("podSelector"))
            }
            Self::NamespaceSelector => of_peers("namespaceSelector"),
            Self::Cidr => peers(&format!(
                "peers.exists(p, has(p.ipBlock) && ([p.ipBlock.cidr] \
                 + (has(p.ipBlock.except) ? p.ipBlock.except : [])).exists(c, {cel}))"
            )),
        }
    }
}

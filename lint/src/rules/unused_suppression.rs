//! NP901

use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds suppressions that suppress nothing: what they name is not found there, is no rule, or they stand where they
    /// can't count. This holds for comments (`# netpol-lint: ignore[NP101] reason`,
    /// `# netpol-lint: ignore-file[NP101] reason`) and for the annotation `netpol.dev/lint-ignore`.
    ///
    /// Rules that look at workloads and at other policies find less when those are not given. Run this one on everything
    /// together; that is why the fix is a safe one only for rules that look at single documents. A suppression that names
    /// NP901 itself is never reported.
    ///
    /// ## Why it matters
    /// A suppression that is left behind hides the next mistake of its kind, and one with a slip of the pen never worked.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from: # netpol-lint: ignore[NP103] nobody is listed yet
    ///         - podSelector: {matchLabels: {app: proxy}}
    /// ```
    ///
    /// ## Fix
    /// Remove it.
    ///
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: proxy}}
    /// ```
    NP901 "unused-suppression" {
        severity: Info,
        scope: Document,
        fix: Safe,
        check: Suppressions,
    }
}

#[cfg(test)]
mod tests {
    use crate::check::check_text;
    use crate::finding::Applicability;
    use crate::rules::testing::{clean, findings, fixed};
    use crate::select::Selection;

    const ANNOTATED: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: a
  namespace: b
  annotations:
    netpol.dev/lint-ignore: NP103, NP106 for now
spec:
  podSelector: {}
";

    #[test]
    fn fails() {
        let comment = |comment: &str| {
            findings("NP901", &format!("podSelector: {{}}\npolicyTypes: [Ingress] {comment}\n"))
        };
        insta::assert_snapshot!(comment("# netpol-lint: ignore[NP103]"), @"6:26 info : the suppression of `NP103` is not needed: nothing of it is found here");
        insta::assert_snapshot!(comment("# ours # netpol-lint:ignore[NP103, np106,NPx] why"), @"6:33 info : the suppression of `NP103` and `np106` is not needed: nothing of it is found here; `NPx` is no rule");
        insta::assert_snapshot!(comment("# netpol-lint: ignore[split-peer-selector]"), @"6:26 info : `split-peer-selector` is no rule: nothing is suppressed by it");
        insta::assert_snapshot!(comment("# netpol-lint: ignore"), @"6:26 info : this is no suppression: it lacks `ignore[…]` or `ignore-file[…]`");
        insta::assert_snapshot!(comment("# netpol-lint: ignore[NP103"), @"6:26 info : this is no suppression: it lacks `ignore[…]` or `ignore-file[…]`");
        insta::assert_snapshot!(comment("# netpol-lint: disable[NP103]"), @"6:26 info : this is no suppression: it lacks `ignore[…]` or `ignore-file[…]`");
        insta::assert_snapshot!(comment("# netpol-lint: ignore[NP1]"), @"6:26 info : the suppression of `NP1` is not needed: nothing of it is found here");
        insta::assert_snapshot!(comment("# netpol-lint: ignore[ALL]"), @"6:26 info : the suppression of `ALL` is not needed: nothing of it is found here");
        insta::assert_snapshot!(comment("\n# netpol-lint: ignore-file[NP103]"), @"7:3 info : the suppression suppresses nothing here: for the whole file it must come before everything else, for a finding above it or on its line");
        insta::assert_snapshot!(findings("NP901", ANNOTATED), @"7:29 info metadata.annotations: the suppression of `NP103` is not needed: nothing of it is found here");
        // One line only, and not the list that begins there.
        insta::assert_snapshot!(findings("NP901", "podSelector: {}\ningress: # netpol-lint: ignore[NP103]\n- from: []\n"), @"6:12 info : the suppression of `NP103` is not needed: nothing of it is found here");
    }

    #[test]
    fn passes() {
        clean(
            "NP901",
            "podSelector: {}\npolicyTypes: [Ingress]\n# netpol-lint is fine; netpol-lint: ignore[NP103]\n",
        );
        clean("NP901", "podSelector: {}\npolicyTypes: [Ingress] # netpol-lint: ignore[NP103,NP901] later\n");
        for suppressed in [
            "- from: [] # netpol-lint: ignore[NP103]",
            "# netpol-lint: ignore[empty-peer-list]\n# why\n- from: []",
            "# netpol-lint: ignore[NP1]\n-\n  from: []",
        ] {
            clean("NP901", &format!("policyTypes: [Ingress]\npodSelector: {{}}\ningress:\n{suppressed}\n"));
        }
        clean(
            "NP901",
            "policyTypes: [Ingress]\npodSelector: {}\n# netpol-lint: ignore[ALL]\ningress:\n- from: []\n",
        );
        clean("NP901", &ANNOTATED.replace("NP103, NP106", "NP106"));
        let file = "# netpol-lint: ignore-file[NP106] older than the linter\n---\n";
        clean("NP901", &format!("{file}{}", ANNOTATED.replace("NP103, NP106 for now", "NP901")));
    }

    #[test]
    fn broken_documents_may_need_theirs() {
        clean(
            "NP901",
            &format!("{ANNOTATED}---\nkind: NetworkPolicy\nspec: {{ # netpol-lint: ignore[NP103]\n"),
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP901", "
podSelector: {}   # all # netpol-lint: ignore[NP101] why
policyTypes: [Ingress] # netpol-lint: ignore[NP101]
ingress:
  # netpol-lint: ignore[NP105] no
  # stays
  - from: [] # netpol-lint: ignore[NP101, NP103, NPx] really
"), @"
            podSelector: {}   # all
            policyTypes: [Ingress]
            ingress:
              # stays
              - from: [] # netpol-lint: ignore[NP103] really
            ");
        insta::assert_snapshot!(fixed("NP901", "# netpol-lint: ignore-file[NP101]
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: b}
spec: {podSelector: {}, ingress: [null]}
"), @"
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {name: a, namespace: b}
            spec: {podSelector: {}, ingress: [null]}
            ");
        insta::assert_snapshot!(fixed("NP901", ANNOTATED), @"
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata:
              name: a
              namespace: b
              annotations:
                netpol.dev/lint-ignore: NP106 for now
            spec:
              podSelector: {}
            ");
        insta::assert_snapshot!(fixed("NP901", &ANNOTATED.replace("NP106 ", "")), @"
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata:
              name: a
              namespace: b
            spec:
              podSelector: {}
            ");
        let other = ANNOTATED.replace("NP106 ", "").replace("annotations:\n", "annotations:\n    a: b\n");
        insta::assert_snapshot!(fixed("NP901", &other), @"
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata:
              name: a
              namespace: b
              annotations:
                a: b
            spec:
              podSelector: {}
            ");
    }

    #[test]
    fn suppressions_of_rules_about_others_may_be_needed() {
        let text = ANNOTATED.replace("NP103, NP106", "NP106, dangling-target");
        let report = check_text("test.yaml", &text, &Selection::new(&["NP901"], &[]).unwrap().into());
        let [finding] = &report.findings[..] else { panic!("{:?}", report.findings) };
        assert_eq!(finding.fix.as_ref().unwrap().applicability, Applicability::Unsafe);
        assert!(finding.help.as_ref().unwrap().contains("workloads"));
        assert_eq!(fixed("NP901", &text), ANNOTATED.replace("NP103, NP106", "NP106"));
    }
}

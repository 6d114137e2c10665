use netpol_policy::syntax::{SyntaxError, SyntaxErrorKind};

use crate::context::Reporter;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds documents that can't be read: wrong indentation, tabs, unclosed quotes, aliases without an anchor. A
    /// manifest that lost its indentation on the way, as in a chat or a mail, is recognised and said so.
    ///
    /// ## Why it matters
    /// `kubectl apply` refuses the document but still applies the others of the same file, so half of the policies may be
    /// in place.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}
    ///   policyTypes: [Ingress]
    /// ```
    ///
    /// ## Fix
    /// Correct the YAML at the place shown. Templates of Helm become YAML by `helm template` and are skipped here.
    NP013 "broken-yaml" {
        severity: Error,
        scope: Document,
        fix: None,
        check: Unreadable(check),
    }
}

fn check(error: &SyntaxError, out: &mut Reporter<'_>) {
    // A template is no manifest yet; the command says that it was skipped.
    if error.kind == SyntaxErrorKind::HelmTemplate {
        return;
    }
    let finding = out.report(error.span, "", &*error.message);
    finding.help = error.help.as_deref().map(str::to_owned);
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP013", r"
kind: NetworkPolicy
spec: {podSelector: {}
"), @"2:7 error : unclosed bracket '{'");
        insta::assert_snapshot!(findings("NP013", r"
kind: NetworkPolicy
spec: *none
"), @"2:7 error : while parsing node, found unknown anchor");
        insta::assert_snapshot!(findings("NP013", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
name: a
spec:
podSelector:
matchLabels:
app: db
"), @"4:1 error : the indentation is lost: `name` belongs under `metadata`");
    }

    #[test]
    fn passes() {
        for text in [
            r"
podSelector: {}
",
            r"
kind: NetworkPolicy
metadata:
  name: {{ .Values.name }}
",
        ] {
            clean("NP013", text);
        }
    }
}

//! Which findings a change brings, and which were there before.

use netpol_lint::Finding;

/// For each finding whether it is new: none of those before of the same rule is left that it could be. One before stands for
/// one after, whose place may have moved in a list.
pub(super) fn are_new(after: &[Finding], before: &[Finding]) -> Vec<bool> {
    let mut left: Vec<_> = before.iter().collect();
    let mut new = vec![true; after.len()];
    let alike: [fn(&Finding, &Finding) -> bool; 3] = [
        |a, b| a.path == b.path && a.message == b.message,
        |a, b| a.message == b.message,
        |a, b| without_numbers(&a.path) == without_numbers(&b.path),
    ];
    // First those that nothing happened to, so that a moved one doesn't take their place.
    for alike in alike {
        for (finding, new) in after.iter().zip(&mut new).filter(|(_, new)| **new) {
            let same = |known: &&Finding| known.rule == finding.rule && alike(known, finding);
            if let Some(at) = left.iter().position(same) {
                left.swap_remove(at);
                *new = false;
            }
        }
    }
    new
}

/// `spec.ingress[].from[]` of `spec.ingress[0].from[12]`.
fn without_numbers(path: &str) -> String {
    let mut inside = false;
    let kept = |c: &char| {
        inside = match c {
            '[' => true,
            ']' => false,
            _ => inside,
        };
        !(inside && c.is_ascii_digit())
    };
    path.chars().filter(kept).collect()
}

#[cfg(test)]
mod tests {
    use netpol_lint::{Selection, check_text};

    use super::*;

    fn findings(cidrs: &[&str]) -> Vec<Finding> {
        let peers: Vec<_> = cidrs.iter().map(|cidr| format!("{{ipBlock: {{cidr: '{cidr}'}}}}")).collect();
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: n}}\n\
             spec: {{podSelector: {{}}, policyTypes: [Ingress], ingress: [{{from: [{}]}}]}}\n",
            peers.join(", ")
        );
        let selection = Selection::new(&["NP010", "NP305"], &[]).unwrap();
        check_text("p", &text, &selection.into()).findings
    }

    #[test]
    fn what_moves_is_not_new() {
        let new = |before: &[&str], after: &[&str]| are_new(&findings(after), &findings(before));
        assert_eq!(new(&[], &["10.0.0.0/33"]), [true]);
        assert_eq!(new(&["10.0.0.0/33"], &["10.0.0.0/33"]), [false]);
        assert_eq!(new(&["10.0.0.0/33", "10.0.0.0/34"], &["10.0.0.0/34"]), [false]);
        assert_eq!(new(&["10.0.0.0/33"], &["10.0.0.0/34", "10.0.0.0/33"]), [true, false]);
        assert_eq!(new(&["10.0.0.0/8", "10.0.0.0/33"], &["10.0.0.0/35"]), [false]);
        assert_eq!(new(&["10.0.0.5/8"], &["10.0.0.0/33"]), [true], "another rule");
    }
}

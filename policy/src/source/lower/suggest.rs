//! What a misspelt or misplaced field was meant to be.

/// Fields of a NetworkPolicy and where they belong.
const PLACES: [(&str, &str); 18] = [
    ("podSelector", "in `spec` or in an item of `from` or `to`"),
    ("namespaceSelector", "in an item of `from` or `to`"),
    ("ipBlock", "in an item of `from` or `to`"),
    ("matchLabels", "in a selector"),
    ("matchExpressions", "in a selector"),
    ("from", "in a rule of `ingress`"),
    ("to", "in a rule of `egress`"),
    ("ports", "in a rule, beside `from` or `to`"),
    ("port", "in an item of `ports`"),
    ("endPort", "in an item of `ports`"),
    ("protocol", "in an item of `ports`"),
    ("ingress", "in `spec`"),
    ("egress", "in `spec`"),
    ("policyTypes", "in `spec`"),
    ("cidr", "in `ipBlock`"),
    ("except", "in `ipBlock`"),
    ("labels", "in `metadata`"),
    ("namespace", "in `metadata`"),
];

/// A field like `key`: one of this place, or one that belongs elsewhere.
pub(super) fn field(key: &str, known: &[&str]) -> Option<String> {
    if let Some(near) = nearest(key, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    if let Some((name, place)) = PLACES.iter().find(|(name, _)| *name == key) {
        return Some(format!("`{name}` belongs {place}; check the indentation"));
    }
    let near = nearest(key, PLACES.iter().map(|(name, _)| *name))?;
    let (name, place) = PLACES.iter().find(|(name, _)| *name == near)?;
    Some(format!("did you mean `{name}`? It belongs {place}"))
}

/// The name that is a slip or two away from a word, whatever the case. Two neighbours swapped count as one slip.
pub fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if word.len() > 40 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let close = names.filter_map(|name| {
        let distance = distance(&word, &name.to_ascii_lowercase());
        (distance <= (name.len() / 4).clamp(1, 3)).then_some((distance, name))
    });
    close.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Levenshtein's distance in characters, where two neighbours swapped count as one edit.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        let spec = ["podSelector", "policyTypes", "ingress", "egress"];
        assert_eq!(field("podselector", &spec).unwrap(), "did you mean `podSelector`?");
        assert_eq!(field("polcyTypes", &spec).unwrap(), "did you mean `policyTypes`?");
        assert_eq!(
            field("ports", &spec).unwrap(),
            "`ports` belongs in a rule, beside `from` or `to`; check the indentation"
        );
        assert_eq!(
            field("matchLabel", &spec).unwrap(),
            "did you mean `matchLabels`? It belongs in a selector"
        );
        assert_eq!(field("replicas", &spec), None);
    }
}

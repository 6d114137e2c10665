//! Label selectors as `kubectl -l` takes them.

use kube::core::{Expression, Selector};

/// Reads `team=shop,tier!=db,env in (prod,stage),!legacy` and the like; all of it must hold.
///
/// # Errors
/// Which part isn't understood.
pub(crate) fn parse(text: &str) -> Result<Selector, String> {
    let mut selector = Selector::default();
    for part in parts(text) {
        selector
            .extend([expression(part.trim()).ok_or_else(|| format!("{part:?} is no label requirement"))?]);
    }
    Ok(selector)
}

/// What stands between commas that aren't in parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn expression(part: &str) -> Option<Expression> {
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Expression::NotEqual(self::key(key)?, self::value(value)?));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Expression::Equal(self::key(key)?, self::value(value)?));
    }
    if let Some(key) = part.strip_prefix('!') {
        return Some(Expression::DoesNotExist(self::key(key)?));
    }
    let Some((head, list)) = part.split_once('(') else {
        return Some(Expression::Exists(key(part)?));
    };
    let values = list.strip_suffix(')')?.split(',').map(value).collect::<Option<_>>()?;
    match head.split_whitespace().collect::<Vec<_>>()[..] {
        [name, "in"] => Some(Expression::In(key(name)?, values)),
        [name, "notin"] => Some(Expression::NotIn(key(name)?, values)),
        _ => None,
    }
}

fn key(text: &str) -> Option<String> {
    netpol_policy::model::LabelKey::new(text.trim()).ok().map(|_| text.trim().to_owned())
}

fn value(text: &str) -> Option<String> {
    netpol_policy::model::LabelValue::new(text.trim()).ok().map(|_| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::SelectorExt;

    use super::*;

    #[test]
    fn selectors_are_kubectl_s() {
        let labels: BTreeMap<_, _> = [("team", "shop"), ("env", "prod"), ("a.b/c", "")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        for (text, matches) in [
            ("team=shop", Some(true)),
            ("team == shop", Some(true)),
            ("team=bank", Some(false)),
            ("team!=bank,env", Some(true)),
            ("env in (stage, prod),team=shop", Some(true)),
            ("env notin (stage,prod)", Some(false)),
            ("other notin (stage)", Some(true)),
            ("!legacy", Some(true)),
            ("!team", Some(false)),
            ("a.b/c=", Some(true)),
            ("", None),
            ("team=shop,", None),
            ("env in prod", None),
            ("env within (prod)", None),
            ("env in (prod", None),
            ("te am", None),
            ("team=sh op", None),
        ] {
            let read = parse(text).ok().map(|selector| selector.matches(&labels));
            assert_eq!(read, matches, "{text}");
        }
    }
}

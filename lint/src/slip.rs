//! Names that are probably the same name with a slip.

use netpol_policy::source::nearest;

/// More names than this are no choice to look for a similar one in.
const MANY: usize = 500;

/// The name that a word probably was meant to be, among some that exist. Names of a series, such as `team-a` and
/// `team-b` or `zone1` and `zone2`, are no slips of each other.
pub(crate) fn meant<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let first = |text: &str| text.chars().next().map(|c| c.to_ascii_lowercase());
    let alike = |name: &&str| first(name) == first(word) && name.len().abs_diff(word.len()) <= 3;
    let mut names: Vec<_> = names.filter(alike).take(MANY + 1).collect();
    if names.len() > MANY {
        return None;
    }
    names.sort_unstable();
    nearest(word, names.into_iter()).filter(|name| is_slip(word, name))
}

fn is_slip(word: &str, name: &str) -> bool {
    let letters = |text: &str| {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect::<String>()
    };
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    if digits(word) != digits(name) || word.len().min(name.len()) < 4 {
        return false;
    }
    if letters(word) == letters(name) {
        return true;
    }
    let parts = |text: &str| text.split(['-', '.', '_']).map(str::to_owned).collect::<Vec<_>>();
    let (words, names) = (parts(word), parts(name));
    let mut differing = words.iter().zip(&names).filter(|(a, b)| a != b);
    let (Some((a, b)), None) = (differing.next(), differing.next()) else { return false };
    words.len() == names.len()
        && a.len().min(b.len()) >= 4
        && a.chars().next() == b.chars().next()
        && nearest(a, [b.as_str()].into_iter()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips() {
        for (word, name) in [
            ("monitorng", "monitoring"),
            ("offcie", "office"),
            ("kubesystem", "kube-system"),
            ("ingress-ngnix", "ingress-nginx"),
            ("Office", "office"),
        ] {
            assert_eq!(meant(word, [name, "zebra"].into_iter()), Some(name), "{word}");
        }
    }

    #[test]
    fn series() {
        for (word, name) in [
            ("team-a", "team-b"),
            ("zone1", "zone2"),
            ("shop-dev", "shop-dex"),
            ("shop-east", "shop-west"),
            ("ns-01", "ns-02"),
            ("app", "apps"),
            ("payments-api", "payments-app"),
            ("internal-orders", "internal-others"),
            ("office", "monitoring"),
        ] {
            assert_eq!(meant(word, [name].into_iter()), None, "{word}");
        }
    }
}

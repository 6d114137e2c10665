//! Selectors, peers and addresses in words.

use std::net::IpAddr;

use netpol_policy::model::{
    IpBlock, LabelSelector, LabelValue, METADATA_NAME, Peer, PodNamespaces, Requirement,
};

use crate::words::list;

/// Pods of some namespaces: `every pod of namespace shop`, `the pods with app=web in every namespace`.
pub(super) fn pods(namespaces: &PodNamespaces, own: &str, pods: &LabelSelector) -> String {
    let several = match namespaces {
        PodNamespaces::Own => format!("namespace {own}"),
        PodNamespaces::Selected(selector) => self::namespaces(selector),
    };
    if pods.is_everything() {
        return format!("every pod of {several}");
    }
    let both = matches!(namespaces, PodNamespaces::Selected(selector) if !selector.is_everything());
    let both = if both { " (both must hold)" } else { "" };
    format!("the pods with {} in {several}{both}", labels(pods))
}

/// A peer of a policy in the namespace `own`, without the workloads that it means.
pub(super) fn peer(peer: &Peer, own: &str) -> String {
    match peer {
        Peer::Block(block) => self::block(block),
        Peer::Pods { namespaces, pods } => self::pods(namespaces, own, pods),
    }
}

fn namespaces(selector: &LabelSelector) -> String {
    if selector.is_everything() {
        return "every namespace".to_owned();
    }
    let mut requirements = selector.requirements();
    if let (Some(requirement), None) = (requirements.next(), requirements.next())
        && requirement.key().as_str() == METADATA_NAME
    {
        let names: Vec<_> = requirement.values().map(LabelValue::as_str).collect();
        match (requirement.operator(), &names[..]) {
            ("In", [name]) => return format!("namespace {name}"),
            ("In", _) => return format!("the namespaces {}", list(&names)),
            ("NotIn", _) => return format!("every namespace except {}", list(&names)),
            _ => {}
        }
    }
    format!("the namespaces with {}", labels(selector))
}

/// What labels must be like: `app=web, tier=a or b, and no label old`.
pub(super) fn labels(selector: &LabelSelector) -> String {
    let all: Vec<_> = selector.requirements().map(requirement).collect();
    match &all[..] {
        [] => "any labels".to_owned(),
        [one] => one.clone(),
        [first, last] => format!("{first} and {last}"),
        [rest @ .., last] => format!("{}, and {last}", rest.join(", ")),
    }
}

fn requirement(requirement: &Requirement) -> String {
    let key = requirement.key();
    let value = |value: &LabelValue| match value.as_str() {
        "" => "\"\"".to_owned(),
        text => text.to_owned(),
    };
    let values: Vec<_> = requirement.values().map(value).collect();
    let values = match &values[..] {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => values.concat(),
    };
    match requirement.operator() {
        "In" => format!("{key}={values}"),
        "NotIn" => format!("{key} other than {values} (or no {key})"),
        "Exists" => format!("any {key}"),
        _ => format!("no {key}"),
    }
}

fn block(block: &IpBlock) -> String {
    let cidr = block.cidr();
    let what = match (cidr.prefix_len(), cidr.addr()) {
        (0, IpAddr::V4(_)) => format!("every IPv4 address ({cidr})"),
        (0, IpAddr::V6(_)) => format!("every IPv6 address ({cidr})"),
        (32, IpAddr::V4(address)) => format!("the address {address}"),
        (128, IpAddr::V6(address)) => format!("the address {address}"),
        _ => format!("the addresses {cidr}"),
    };
    let except: Vec<_> = block.except().iter().map(ToString::to_string).collect();
    if except.is_empty() { what } else { format!("{what} except {}", list(&except)) }
}

#[cfg(test)]
mod tests {
    use netpol_policy::model::LabelKey;

    use super::*;

    fn selector(requirements: &[(&str, &str, &[&str])]) -> LabelSelector {
        LabelSelector::new(requirements.iter().map(|(key, operator, values)| {
            let values = values.iter().map(|value| LabelValue::new(value).unwrap());
            Requirement::new(LabelKey::new(key).unwrap(), operator, values).unwrap()
        }))
    }

    #[test]
    fn every_operator_reads_well() {
        for (requirements, expected) in [
            (&[("app", "In", &["web"][..])][..], "app=web"),
            (&[("app", "In", &["a", "b", "c"])], "app=a, b or c"),
            (&[("app", "In", &[""])], "app=\"\""),
            (&[("app", "NotIn", &["a", "b"])], "app other than a or b (or no app)"),
            (&[("app", "Exists", &[])], "any app"),
            (&[("app", "DoesNotExist", &[])], "no app"),
            (&[("a", "In", &["1"]), ("b", "Exists", &[])], "a=1 and any b"),
            (
                &[("a", "In", &["1"]), ("b", "Exists", &[]), ("c", "DoesNotExist", &[])],
                "a=1, any b, and no c",
            ),
        ] {
            assert_eq!(labels(&selector(requirements)), expected);
        }
    }

    #[test]
    fn namespaces_by_name() {
        let name = |values| selector(&[(METADATA_NAME, "In", values)]);
        assert_eq!(namespaces(&name(&["shop"])), "namespace shop");
        assert_eq!(namespaces(&name(&["a", "b"])), "the namespaces a and b");
        assert_eq!(namespaces(&selector(&[("env", "In", &["prod"])])), "the namespaces with env=prod");
        let not = selector(&[(METADATA_NAME, "NotIn", &["a", "b"])]);
        assert_eq!(namespaces(&not), "every namespace except a and b");
        assert_eq!(namespaces(&LabelSelector::everything()), "every namespace");
    }

    #[test]
    fn blocks() {
        let show = |cidr: &str, except: &[&str]| {
            let except = except.iter().map(|except| except.parse().unwrap());
            block(&IpBlock::new(cidr.parse().unwrap(), except).unwrap())
        };
        assert_eq!(show("0.0.0.0/0", &[]), "every IPv4 address (0.0.0.0/0)");
        assert_eq!(show("::/0", &["fd00::/8"]), "every IPv6 address (::/0) except fd00::/8");
        assert_eq!(show("192.0.2.7/32", &[]), "the address 192.0.2.7");
        assert_eq!(show("2001:db8::1/128", &[]), "the address 2001:db8::1");
        assert_eq!(
            show("10.0.0.0/8", &["10.1.0.0/16", "10.2.0.0/16"]),
            "the addresses 10.0.0.0/8 except 10.1.0.0/16 and 10.2.0.0/16"
        );
    }
}

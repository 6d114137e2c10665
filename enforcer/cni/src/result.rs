//! What the plugins before did, as far as it matters here. All versions from 0.3.0 on have the same fields for it.

use std::net::IpAddr;

use serde::Deserialize;

use crate::error::Error;
use crate::protocol::code;

/// The addresses and interfaces of a result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) host_interfaces: Vec<String>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    interfaces: Option<Vec<Interface>>,
    #[serde(default)]
    ips: Option<Vec<Ip>>,
}

#[derive(Deserialize)]
struct Interface {
    name: String,
    #[serde(default)]
    sandbox: Option<String>,
}

#[derive(Deserialize)]
struct Ip {
    /// `10.244.1.7/24`.
    address: String,
    #[serde(default)]
    interface: Option<usize>,
}

/// Reads a `prevResult`. `interface` is the container's.
pub(crate) fn read(result: &str, interface: &str) -> Result<Made, Error> {
    let undecodable = |what: String| Error::new(code::UNDECODABLE, format!("prevResult {what}"), "");
    let written: Written =
        serde_json::from_str(result).map_err(|error| undecodable(format!("can't be read: {error}")))?;
    let interfaces = written.interfaces.unwrap_or_default();
    // A plugin may list addresses of other interfaces that it made in the container.
    let elsewhere = |ip: &Ip| {
        let holder = ip.interface.and_then(|index| interfaces.get(index));
        holder.is_some_and(|holder| {
            holder.sandbox.as_deref().is_some_and(|s| !s.is_empty()) && holder.name != interface
        })
    };
    let mut addresses = Vec::new();
    for ip in written.ips.iter().flatten().filter(|ip| !elsewhere(ip)) {
        let address = ip.address.split('/').next().unwrap_or_default();
        addresses.push(
            address.parse().map_err(|_| undecodable(format!("has {:?}, which is no address", ip.address)))?,
        );
    }
    let on_host = interfaces
        .into_iter()
        .filter(|interface| interface.sandbox.as_deref().unwrap_or_default().is_empty());
    Ok(Made { addresses, host_interfaces: on_host.map(|interface| interface.name).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_the_reference_plugins() {
        let bridge = r#"{
            "cniVersion": "1.0.0",
            "interfaces": [
                {"name": "cni0", "mac": "0a:58:0a:f4:01:01"},
                {"name": "veth4d8a", "mac": "02:00:00:00:00:01"},
                {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/x"}
            ],
            "ips": [
                {"address": "10.244.1.7/24", "gateway": "10.244.1.1", "interface": 2},
                {"address": "fd00::7/64", "interface": 2}
            ],
            "dns": {}
        }"#;
        let expected = Made {
            addresses: vec!["10.244.1.7".parse().expect("v4"), "fd00::7".parse().expect("v6")],
            host_interfaces: vec!["cni0".into(), "veth4d8a".into()],
        };
        assert_eq!(read(bridge, "eth0"), Ok(expected));
        // Version 0.3.1 also says the family; and interfaces may be left out.
        let old = r#"{"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.1.2.3/32"}]}"#;
        let made = read(old, "eth0").expect("it is fine");
        assert_eq!((made.addresses.len(), made.host_interfaces.len()), (1, 0));
        assert_eq!(read("{}", "eth0").map(|made| made.addresses.len()), Ok(0));
    }

    #[test]
    fn addresses_of_other_interfaces_are_not_the_pods() {
        let result = r#"{"interfaces":[{"name":"net1","sandbox":"/x"},{"name":"eth0","sandbox":"/x"}],
            "ips":[{"address":"10.9.9.9/24","interface":0},{"address":"10.1.1.1/24","interface":1}]}"#;
        let made = read(result, "eth0").expect("it is fine");
        assert_eq!(made.addresses, ["10.1.1.1".parse::<IpAddr>().expect("an address")]);
    }

    #[test]
    fn nonsense() {
        for result in ["[1]", r#"{"ips":[{"address":"here"}]}"#, r#"{"ips":[{}]}"#] {
            assert_eq!(read(result, "eth0").expect_err(result).0.code, code::UNDECODABLE);
        }
    }
}

//! How the runtime calls: by environment variables.

use std::env;

use crate::error::Error;
use crate::protocol::{AttachmentId, code};

/// A pod, by `CNI_ARGS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// A variable that must be set.
pub(crate) fn required(name: &str) -> Result<String, Error> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        Ok(_) | Err(env::VarError::NotPresent) => {
            Err(wrong(format!("the environment variable {name} is missing")))
        }
        Err(env::VarError::NotUnicode(_)) => {
            Err(wrong(format!("the environment variable {name} is not UTF-8")))
        }
    }
}

/// The container's interface.
pub(crate) fn attachment() -> Result<AttachmentId, Error> {
    Ok(AttachmentId { container: required("CNI_CONTAINERID")?, interface: required("CNI_IFNAME")? })
}

/// The pod, if the container belongs to one.
pub(crate) fn pod() -> Option<Pod> {
    pod_in(&env::var("CNI_ARGS").unwrap_or_default())
}

/// `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=db;…`
fn pod_in(arguments: &str) -> Option<Pod> {
    let value = |wanted: &str| {
        let pairs = arguments.split(';').filter_map(|pair| pair.split_once('='));
        let mut found = pairs.rev().filter(|(key, value)| *key == wanted && !value.is_empty());
        found.next().map(|(_, value)| value.to_owned())
    };
    Some(Pod { namespace: value("K8S_POD_NAMESPACE")?, name: value("K8S_POD_NAME")? })
}

fn wrong(message: String) -> Error {
    Error::new(code::ENVIRONMENT, message, "a container runtime sets it; see the CNI specification")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_of_arguments() {
        let pod = |namespace: &str, name: &str| Some(Pod { namespace: namespace.into(), name: name.into() });
        for (arguments, expected) in [
            ("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=db;K8S_POD_UID=1-2", pod("shop", "db")),
            ("K8S_POD_NAME=db;K8S_POD_NAMESPACE=shop", pod("shop", "db")),
            ("", None),
            ("K8S_POD_NAME=db", None),
            ("K8S_POD_NAMESPACE=;K8S_POD_NAME=db", None),
            ("nonsense;;=;K8S_POD_NAME", None),
        ] {
            assert_eq!(pod_in(arguments), expected, "{arguments}");
        }
    }
}

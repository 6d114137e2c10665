//! A quick look whether a file can matter.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Kinds that say something about policies or about the pods that they select.
const KINDS: [&[u8]; 22] = [
    b"APIService",
    b"CronJob",
    b"DaemonSet",
    b"Deployment",
    b"EndpointSlice",
    b"GRPCRoute",
    b"HTTPRoute",
    b"Ingress",
    b"Job",
    b"List",
    b"MutatingWebhookConfiguration",
    b"Namespace",
    b"NetworkPolicy",
    b"Node",
    b"Pod",
    b"ReplicaSet",
    b"ReplicationController",
    b"Service",
    b"StatefulSet",
    b"TCPRoute",
    b"TLSRoute",
    b"ValidatingWebhookConfiguration",
];

static KIND: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"kind"));
static POLICY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"NetworkPolicy"));

/// Whether a text may hold an object of interest. May say yes where there is none, never the reverse for manifests that
/// write `kind` and its value without escapes on one line.
pub(super) fn may_matter(text: &[u8]) -> bool {
    KIND.find_iter(text).any(|at| names_a_kind(&text[at + b"kind".len()..])) || mentions_policies(text)
}

/// Whether a text names the kind NetworkPolicy anywhere.
pub(crate) fn mentions_policies(text: &[u8]) -> bool {
    POLICY.find(text).is_some()
}

/// Whether what follows `kind` is a colon and one of the kinds, quoted or not.
fn names_a_kind(rest: &[u8]) -> bool {
    let skip = |bytes: &[u8]| bytes.iter().take_while(|b| b" \t\"':".contains(b)).count();
    let value = &rest[skip(rest)..];
    KINDS.iter().any(|kind| {
        value.strip_prefix(*kind).is_some_and(|after| after.first().is_none_or(|b| !b.is_ascii_alphanumeric()))
            // Lists of one kind: `PodList`.
            || value.strip_prefix(*kind).is_some_and(|after| after.starts_with(b"List"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for yes in [
            "kind: Pod\n",
            "a: b\nkind:   'NetworkPolicy'",
            r#"{"kind":"List","items":[]}"#,
            "kind: PodList\r\n",
        ] {
            assert!(may_matter(yes.as_bytes()), "{yes}");
        }
        for no in ["", "kind: IngressClass", "kind: PodMonitor", "kind: ServiceAccount", "Pod", "kind"] {
            assert!(!may_matter(no.as_bytes()), "{no}");
        }
    }
}

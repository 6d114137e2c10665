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
    if let Some(plain) = utf16_as_ascii(text) {
        return may_matter(&plain);
    }
    KIND.find_iter(text).any(|at| names_a_kind(&text[at + b"kind".len()..])) || mentions_policies(text)
}

/// Whether a text names the kind NetworkPolicy anywhere.
pub(crate) fn mentions_policies(text: &[u8]) -> bool {
    POLICY.find(text).is_some() || utf16_as_ascii(text).is_some_and(|plain| POLICY.find(&plain).is_some())
}

/// What a text in UTF-16 says as far as it is ASCII. It can't be read, but its reader is to be told so. `None` for other texts.
fn utf16_as_ascii(text: &[u8]) -> Option<Vec<u8>> {
    /// The mark at the beginning in either byte order, and what is left of it in a text that was made UTF-8.
    const MARKS: [&[u8]; 3] = [b"\xff\xfe", b"\xfe\xff", "\u{fffd}\u{fffd}".as_bytes()];
    let rest = MARKS.iter().find_map(|mark| text.strip_prefix(*mark))?;
    Some(rest.iter().copied().filter(|byte| *byte != 0).collect())
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
        for text in ["kind: NetworkPolicy\n", "{\"kind\": \"Pod\"}"] {
            let bytes = |of: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(of).collect::<Vec<_>>();
            let little = [&b"\xff\xfe"[..], &bytes(u16::to_le_bytes)].concat();
            let big = [&b"\xfe\xff"[..], &bytes(u16::to_be_bytes)].concat();
            for utf16 in [little, big] {
                assert!(may_matter(&utf16), "{text}");
                let lossy = String::from_utf8_lossy(&utf16);
                assert_eq!(mentions_policies(lossy.as_bytes()), text.contains("Policy"), "{text}");
            }
        }
        assert!(!may_matter(b"\xff\xfek\0i\0n\0d\0:\0 \0X\0"));
        for no in ["", "kind: IngressClass", "kind: PodMonitor", "kind: ServiceAccount", "Pod", "kind"] {
            assert!(!may_matter(no.as_bytes()), "{no}");
        }
    }
}

//! Names for findings that survive changes elsewhere in the file.

use std::collections::HashMap;

use crate::check::Report;

/// The fingerprints of a report.
pub(crate) struct Fingerprints {
    /// Of its findings, in their order.
    pub(crate) findings: Vec<String>,
    /// Of what is suppressed.
    pub(crate) suppressed: Vec<String>,
}

/// A fingerprint for each finding of a report: 16 hexadecimal digits, each different.
///
/// It is made of the file, the rule, the object and the path in it, not of lines or words: a finding keeps it when text
/// is added above it, and when another like it is suppressed.
pub(crate) fn fingerprints(report: &Report) -> Fingerprints {
    let (shown, suppressed) = (&report.findings, &report.suppressed);
    let all = shown.iter().chain(suppressed.iter().map(|suppressed| &suppressed.finding)).enumerate();
    let mut in_order: Vec<_> = all.collect();
    in_order.sort_by_key(|(_, finding)| finding.place);
    let mut fingerprints = vec![String::new(); in_order.len()];
    let mut seen: HashMap<u64, u32> = HashMap::new();
    for (index, finding) in in_order {
        let object = finding.object.as_ref();
        let namespace = object.and_then(|object| object.namespace.as_deref()).unwrap_or_default();
        let name = object.and_then(|object| object.name.as_deref()).unwrap_or_default();
        let file = &report.file_of(finding).name;
        let hash = hash(&[finding.rule.code, file, namespace, name, &finding.path]);
        let count = seen.entry(hash).or_default();
        *count += 1;
        // The second of its kind and so on.
        let hash = if *count == 1 { hash } else { continued(hash, &count.to_le_bytes()) };
        fingerprints[index] = format!("{hash:016x}");
    }
    let suppressed = fingerprints.split_off(shown.len());
    Fingerprints { findings: fingerprints, suppressed }
}

fn hash(parts: &[&str]) -> u64 {
    // FNV-1a: the same in every version and on every machine.
    parts
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, part| continued(continued(hash, part.as_bytes()), &[0xff]))
}

fn continued(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

//! The `podSelector` of a policy.

use netpol_policy::source::{Field, Slot, SpecSource};

use super::{column, fill_null, line_end, newline, write_flow_field};
use crate::finding::Edit;

/// Writes an empty `podSelector` into a spec where it is absent, as the first field, or null.
pub(crate) fn write_pod_selector(text: &str, spec: &Field<SpecSource>) -> Option<Vec<Edit>> {
    match &spec.value.pod_selector {
        Slot::Null(field) => return fill_null(text, field, "{}"),
        Slot::Absent => {}
        _ => return None,
    }
    if spec.shared {
        return None;
    }
    if text[spec.span.range()].starts_with('{') {
        return write_flow_field(text, spec.span, "podSelector", "{}");
    }
    // Above the comments of the field that is the first so far.
    let next = line_end(text, spec.key.end);
    if next > spec.span.start as usize {
        return None;
    }
    let indent = " ".repeat(column(text, spec.span.start));
    Some(vec![Edit::insert(next as u32, format!("{indent}podSelector: {{}}{}", newline(text)))])
}

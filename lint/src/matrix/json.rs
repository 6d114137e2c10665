//! The matrix for machines.

use std::io::{self, Write};

use serde::Serialize;

use super::{Matrix, Who};
use crate::reach::connections::ConnectionsJson;

/// Writes a JSON list of `{"src", "dst", "connections"}`, one line each.
///
/// `src` and `dst` are `namespace/Kind/name` or a CIDR. `connections` is `"all"` or a list of
/// `{"protocol": "TCP", "ports": ["80", "8000-8100"]}`, as [`ConnectionsJson`] describes it. Pairs with nothing allowed
/// are left out, and so are pods to themselves, which always reach themselves.
///
/// A CIDR stands for its addresses that are in no narrower CIDR of the list, as in a routing table: where an address is
/// in several, the narrowest counts. So a narrower CIDR with nothing allowed inside a wider one with something is in
/// the list, with `"connections": []`.
pub fn write(matrix: &Matrix<'_, '_>, out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<_> = matrix.ends().iter().map(super::End::name).collect();
    let mut separator = "[\n  ";
    for source in 0..names.len() {
        for destination in matrix.destinations(source) {
            let Some(connections) = matrix.connections(source, destination) else { continue };
            if connections.is_none() && !hides_wider(matrix, source, destination) {
                continue;
            }
            let (src, dst) = (&*names[source], &*names[destination]);
            out.write_all(separator.as_bytes())?;
            serde_json::to_writer(&mut *out, &Pair { src, dst, connections: ConnectionsJson(connections) })?;
            separator = ",\n  ";
        }
    }
    out.write_all(if separator.starts_with('[') { b"[]\n" } else { b"\n]\n" })
}

#[derive(Serialize)]
struct Pair<'a> {
    src: &'a str,
    dst: &'a str,
    connections: ConnectionsJson<'a>,
}

/// Whether a block around this one has something allowed with the same other end.
fn hides_wider(matrix: &Matrix<'_, '_>, source: usize, destination: usize) -> bool {
    let open = |source, destination| matrix.connections(source, destination).is_some_and(|c| !c.is_none());
    let (mut from, mut to) = (source, destination);
    loop {
        match (matrix.ends()[from].who, matrix.ends()[to].who) {
            (Who::Block { within: Some(wider), .. }, _) => from = wider,
            (_, Who::Block { within: Some(wider), .. }) => to = wider,
            _ => return false,
        }
        if open(from, to) {
            return true;
        }
    }
}

//! Every workload with what isolates it and whom it reaches, as text.

use std::collections::BTreeMap;
use std::io::{self, Write};

use netpol_policy::model::Direction;

use super::escape::Html;
use crate::matrix::{Matrix, Who};

pub(super) fn write(matrix: &Matrix<'_, '_>, out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<_> = matrix.ends().iter().map(crate::matrix::End::name).collect();
    write!(out, "<section id=\"people\">\n<h2>Workloads</h2>\n")?;
    for (index, end) in matrix.ends().iter().enumerate() {
        let Who::Pod(pod) = end.who else { continue };
        let state = match (end.is_host_network(), end.ingress_isolated, end.egress_isolated) {
            (true, ..) => "on the host network",
            (_, true, true) => "isolated both ways",
            (_, true, false) => "isolated for ingress",
            (_, false, true) => "isolated for egress",
            (_, false, false) => "not isolated",
        };
        let mark = if end.ingress_isolated || end.egress_isolated { "yes" } else { "no" };
        write!(
            out,
            "<details data-ns=\"{}\"><summary>{} <i class=\"{mark}\">{state}</i></summary><dl>",
            Html(&pod.name.namespace),
            Html(&names[index])
        )?;
        for (direction, word) in
            [(Direction::Ingress, "Ingress isolated by"), (Direction::Egress, "Egress isolated by")]
        {
            let isolation = matrix.evaluator.isolation(pod, direction);
            if !isolation.is_empty() {
                let by: Vec<_> = isolation.iter().map(ToString::to_string).collect();
                write!(out, "<dt>{word}</dt><dd>{}</dd>", Html(crate::words::list(&by)))?;
            }
        }
        let others = 0..names.len();
        let reached: Vec<_> =
            others.clone().filter_map(|to| Some((to, matrix.connections(index, to)?.to_string()))).collect();
        let reaching: Vec<_> =
            others.filter_map(|from| Some((from, matrix.connections(from, index)?.to_string()))).collect();
        for (word, found) in [("Reaches", reached), ("Reached by", reaching)] {
            write!(out, "<dt>{word}</dt>")?;
            for (connections, who) in grouped(matrix, &names, &found) {
                let label = if connections == "all" { String::new() } else { format!(" ({connections})") };
                write!(out, "<dd>{}{}</dd>", Html(who), Html(label))?;
            }
        }
        writeln!(out, "</dl></details>")?;
    }
    writeln!(out, "</section>")
}

/// Who has which connections, with whole namespaces as one.
fn grouped(matrix: &Matrix<'_, '_>, names: &[String], found: &[(usize, String)]) -> Vec<(String, String)> {
    let open = found.iter().filter(|(_, connections)| connections != "none");
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (end, connections) in open {
        groups.entry(connections).or_default().push(*end);
    }
    if groups.is_empty() {
        return vec![("all".to_owned(), "nobody".to_owned())];
    }
    let mut of_namespace: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for (end, _) in found {
        *of_namespace.entry(matrix.ends()[*end].namespace()).or_default() += 1;
    }
    let words = |ends: &[usize]| -> String {
        if ends.len() == found.len() {
            return "everyone".to_owned();
        }
        let mut here: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
        for end in ends {
            here.entry(matrix.ends()[*end].namespace()).or_default().push(*end);
        }
        let words: Vec<_> = here
            .into_iter()
            .flat_map(|(namespace, ends)| match namespace {
                Some(namespace)
                    if ends.len() > 3 && of_namespace.get(&Some(namespace)) == Some(&ends.len()) =>
                {
                    vec![format!("all {} of namespace {namespace}", ends.len())]
                }
                _ => ends.iter().map(|end| names[*end].clone()).collect(),
            })
            .collect();
        crate::words::list(&words)
    };
    groups.iter().map(|(connections, ends)| ((*connections).to_owned(), words(ends))).collect()
}

//! The table.

use std::io::{self, Write};

use netpol_policy::evaluate::Connections;

use super::escape::Html;
use crate::matrix::{End, Matrix, Who};

pub(super) fn write(matrix: &Matrix<'_, '_>, out: &mut dyn Write) -> io::Result<()> {
    let ends = matrix.ends();
    write!(
        out,
        "<main><div class=\"scroll\">\n<table id=\"matrix\">\n<caption>Rows open connections, columns are whom they are opened \
         to. <span class=\"a\">●</span> everything, <span class=\"s\">◐</span> some ports, <span class=\"n\">·</span> nothing. \
         <i class=\"in\">in</i> isolated for ingress, <i class=\"out\">out</i> for egress.</caption>\n\
         <thead><tr><td class=\"corner\">from ╲ to</td>"
    )?;
    for (index, end) in ends.iter().enumerate() {
        write!(out, "<th scope=\"col\"{}><div>", attributes(ends, index))?;
        head(matrix, end, end.ingress_isolated.then_some("in"), out)?;
        write!(out, "</div></th>")?;
    }
    write!(out, "</tr></thead>\n<tbody>\n")?;
    for (row, end) in ends.iter().enumerate() {
        write!(out, "<tr{}><th scope=\"row\">", attributes(ends, row))?;
        head(matrix, end, end.egress_isolated.then_some("out"), out)?;
        write!(out, "</th>")?;
        for column in 0..ends.len() {
            match matrix.connections(row, column) {
                None => write!(out, "<td class=\"x{}\">", edge(ends, column))?,
                Some(connections) => cell(connections, edge(ends, column), out)?,
            }
        }
        writeln!(out)?;
    }
    write!(out, "</tbody>\n</table>\n</div></main>\n")
}

/// Where it belongs, for the filters, and where a namespace begins.
fn attributes(ends: &[End<'_>], index: usize) -> String {
    let class = edge(ends, index).trim_start();
    format!(" data-ns=\"{}\" class=\"{class}\"", Html(ends[index].namespace().unwrap_or("/")))
}

/// The class of what begins a namespace.
fn edge(ends: &[End<'_>], index: usize) -> &'static str {
    let begins = index > 0 && ends[index - 1].namespace() != ends[index].namespace();
    if begins { " first" } else { "" }
}

fn head(
    matrix: &Matrix<'_, '_>,
    end: &End<'_>,
    isolated: Option<&str>,
    out: &mut dyn Write,
) -> io::Result<()> {
    match end.who {
        Who::Pod(pod) => {
            let (namespace, kind) = (Html(&pod.name.namespace), pod.name.kind.as_str());
            write!(out, "<small>{namespace} · {kind}</small><b>{}</b>", Html(&pod.name.name))?;
        }
        Who::Block { cidr, within } => {
            let has_narrower = matrix.ends().iter().any(|other| {
                matches!(other.who, Who::Block { within: Some(wider), .. } if matrix.ends()[wider].who == end.who)
            });
            let note = match (within, has_narrower) {
                (None, false) => "outside · everywhere",
                (None, true) => "outside · everywhere else",
                (Some(_), false) => "outside",
                (Some(_), true) => "outside · the rest of",
            };
            write!(out, "<small>{note}</small><b>{cidr}</b>")?;
        }
    }
    if end.is_host_network() {
        write!(out, "<i title=\"on the network of its node: no policy counts\">host</i>")?;
    }
    match isolated {
        Some("in") => write!(out, "<i class=\"in\" title=\"isolated for ingress\">in</i>"),
        Some(_) => write!(out, "<i class=\"out\" title=\"isolated for egress\">out</i>"),
        None => Ok(()),
    }
}

fn cell(connections: &Connections, edge: &str, out: &mut dyn Write) -> io::Result<()> {
    if connections.is_all() {
        return write!(out, "<td class=\"a{edge}\">●");
    }
    if connections.is_none() {
        return write!(out, "<td class=\"n{edge}\">·");
    }
    let text = connections.to_string();
    let short = text.strip_prefix("TCP ").filter(|ports| !ports.contains(';')).unwrap_or(&text);
    if short.len() <= 6 {
        write!(out, "<td class=\"s{edge}\" title=\"{}\">{}", Html(&text), Html(short))
    } else {
        write!(out, "<td class=\"s{edge}\" title=\"{}\">◐", Html(&text))
    }
}

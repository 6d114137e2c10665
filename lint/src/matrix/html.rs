//! The matrix as one page for a browser, with the reasons.
//!
//! The page needs nothing but itself. Without scripts it shows the table and, below, every workload with what isolates
//! it; scripts add the reasons of each cell, filters and the keyboard.

mod data;
mod escape;
mod people;
mod table;

use std::io::{self, Write};

use super::{Matrix, Who};
use crate::file::SourceFile;
use crate::output::plural;

/// More ends than this are too many for a table that a browser handles well: the page has the workloads only.
const TABLE_LIMIT: usize = 200;

const STYLE: &str = include_str!("html/page.css");
const TABLE_SCRIPT: &str = include_str!("html/table.js");
const LIST_SCRIPT: &str = include_str!("html/list.js");

/// Writes the page. `files` are the places of the policies.
pub fn write(matrix: &Matrix<'_, '_>, files: &[SourceFile], out: &mut dyn Write) -> io::Result<()> {
    let with_table = matrix.ends().len() <= TABLE_LIMIT;
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Who reaches whom</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n"
    )?;
    header(matrix, out)?;
    controls(matrix, with_table, out)?;
    if with_table {
        table::write(matrix, out)?;
        writeln!(
            out,
            "<aside id=\"why\" aria-live=\"polite\" hidden><button type=\"button\" id=\"close\" aria-label=\"Close\">×</button>\
             <div id=\"reason\"></div></aside>"
        )?;
    }
    people::write(matrix, out)?;
    writeln!(out, "<script>\n{LIST_SCRIPT}</script>")?;
    if with_table {
        write!(out, "<script type=\"application/json\" id=\"data\">")?;
        data::write(matrix, files, out)?;
        write!(out, "</script>\n<script>\n{TABLE_SCRIPT}</script>\n")?;
    }
    writeln!(out, "</body>\n</html>")
}

fn header(matrix: &Matrix<'_, '_>, out: &mut dyn Write) -> io::Result<()> {
    let ends = matrix.ends();
    let pods = ends.iter().filter(|end| matches!(end.who, Who::Pod(_)));
    let isolated = |by: fn(&super::End<'_>) -> bool| pods.clone().filter(|end| by(end)).count();
    let (mut all, mut some, mut none) = (0, 0, 0);
    for source in 0..ends.len() {
        for connections in
            matrix.destinations(source).filter_map(|destination| matrix.connections(source, destination))
        {
            match (connections.is_all(), connections.is_none()) {
                (true, _) => all += 1,
                (_, true) => none += 1,
                _ => some += 1,
            }
        }
    }
    let workloads = plural(pods.clone().count(), "workload");
    let policies = matrix.evaluator.cluster().policies.len();
    let policies = if policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") };
    let (ingress, egress) = (isolated(|end| end.ingress_isolated), isolated(|end| end.egress_isolated));
    write!(
        out,
        "<header>\n<h1>Who reaches whom</h1>\n<p>{workloads}, {policies}. {ingress} isolated for ingress, {egress} for \
         egress.</p>\n<ul class=\"sum\"><li class=\"a\"><b>{all}</b> open</li><li class=\"s\"><b>{some}</b> some ports</li>\
         <li class=\"n\"><b>{none}</b> closed</li></ul>\n</header>\n"
    )
}

fn controls(matrix: &Matrix<'_, '_>, with_table: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<form id=\"filter\" hidden>")?;
    let hint = if with_table {
        namespaces(matrix, out)?;
        "Click a cell, or move with the arrow keys, to see why."
    } else {
        "Too many for a table: give fewer files to see one."
    };
    writeln!(
        out,
        "<label>Name <input id=\"name\" type=\"search\" placeholder=\"part of a name\" autocomplete=\"off\"></label>\n\
         <span class=\"hint\">{hint}</span>\n</form>"
    )
}

fn namespaces(matrix: &Matrix<'_, '_>, out: &mut dyn Write) -> io::Result<()> {
    let mut namespaces: Vec<_> = matrix.ends().iter().filter_map(super::End::namespace).collect();
    namespaces.dedup();
    for (id, label) in [("from", "From"), ("to", "To")] {
        write!(out, "<label>{label} <select id=\"{id}\"><option value=\"\">everywhere</option>")?;
        for namespace in &namespaces {
            write!(out, "<option>{}</option>", escape::Html(namespace))?;
        }
        writeln!(out, "<option value=\"/\">outside</option></select></label>")?;
    }
    Ok(())
}

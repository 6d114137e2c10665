//! The matrix for terminals.

use std::io::{self, Write};

use netpol_policy::evaluate::Connections;
use netpol_policy::model::Protocol;

use super::Matrix;
use crate::output::full::Look;

/// The most characters of a cell; what needs more gets a letter and a line below.
const CELL: usize = 9;

/// Writes a table, sources in rows; where that is wider than the terminal, a list by source.
pub fn write(matrix: &Matrix<'_, '_>, look: Look, out: &mut dyn Write) -> io::Result<()> {
    if matrix.ends().iter().all(|end| end.namespace().is_none()) {
        return Ok(());
    }
    // Not even empty cells would fit: a table of many ends isn't made in vain.
    let table = (matrix.ends().len() * NARROWEST <= look.width).then(|| Table::new(matrix));
    match table.filter(|table| table.width() <= look.width) {
        Some(table) => table.write(matrix, look, out),
        None => list(matrix, look, out),
    }
}

/// The width of a column with a number of one digit.
const NARROWEST: usize = 3;

struct Table {
    names: Vec<String>,
    /// Row by row.
    cells: Vec<String>,
    /// Of each column.
    widths: Vec<usize>,
    /// What letters stand for.
    notes: Vec<String>,
}

impl Table {
    fn new(matrix: &Matrix<'_, '_>) -> Self {
        let count = matrix.ends().len();
        let names: Vec<_> = matrix.ends().iter().map(|end| label(end)).collect();
        let mut notes: Vec<String> = Vec::new();
        let mut cells = Vec::with_capacity(count * count);
        let mut widths: Vec<_> = (1..=count).map(|number| number.to_string().len()).collect();
        for source in 0..count {
            for (destination, width) in widths.iter_mut().enumerate() {
                let cell = match matrix.connections(source, destination) {
                    None => String::new(),
                    Some(connections) => cell(connections, &mut notes),
                };
                *width = (*width).max(cell.chars().count());
                cells.push(cell);
            }
        }
        Self { names, cells, widths, notes }
    }

    fn name_width(&self) -> usize {
        self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0)
    }

    fn number_width(&self) -> usize {
        self.names.len().to_string().len()
    }

    fn width(&self) -> usize {
        self.number_width() + 2 + self.name_width() + self.widths.iter().map(|width| width + 2).sum::<usize>()
    }

    fn write(&self, matrix: &Matrix<'_, '_>, look: Look, out: &mut dyn Write) -> io::Result<()> {
        let (numbers, names) = (self.number_width(), self.name_width());
        let mut line = format!("{:numbers$}  {:names$}", "", "from \\ to");
        for (index, &width) in self.widths.iter().enumerate() {
            line.push_str(&format!("  {:>width$}", index + 1));
        }
        writeln!(out, "{}", line.trim_end())?;
        for (row, name) in self.names.iter().enumerate() {
            let mut line = format!("{:>numbers$}  {name:names$}", row + 1);
            for (column, &width) in self.widths.iter().enumerate() {
                let cell = &self.cells[row * self.names.len() + column];
                let colour = match matrix.connections(row, column) {
                    _ if !look.colour => None,
                    None => None,
                    Some(connections) if connections.is_all() => Some(32),
                    Some(connections) if connections.is_none() => Some(31),
                    Some(_) => Some(33),
                };
                let cell = format!("{cell:>width$}");
                match colour {
                    Some(colour) => line.push_str(&format!("  \x1b[{colour}m{cell}\x1b[0m")),
                    None => line.push_str(&format!("  {cell}")),
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        for (index, note) in self.notes.iter().enumerate() {
            writeln!(out, "{} {}  {note}", if index == 0 { "\n" } else { "" }.to_owned(), letter(index))?;
        }
        writeln!(
            out,
            "\nall: everything passes; -: nothing; ports without a protocol: TCP; *: isolated for ingress; ^: for egress"
        )
    }
}

fn list(matrix: &Matrix<'_, '_>, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let arrow = if look.unicode { "→" } else { "->" };
    let names: Vec<_> = matrix.ends().iter().map(super::End::name).collect();
    for (source, end) in matrix.ends().iter().enumerate() {
        writeln!(out, "{}", label(end))?;
        let asked =
            || matrix.destinations(source).filter_map(|to| matrix.connections(source, to).map(|c| (to, c)));
        if asked().all(|(_, connections)| connections.is_all()) {
            writeln!(out, "  {arrow} everyone: all")?;
            continue;
        }
        let mut alone = true;
        for (to, connections) in asked().filter(|(_, connections)| !connections.is_none()) {
            writeln!(out, "  {arrow} {}: {connections}", names[to])?;
            alone = false;
        }
        if alone {
            writeln!(out, "  {arrow} nobody")?;
        }
    }
    writeln!(out, "\n*: isolated for ingress; ^: isolated for egress")
}

/// The name with its marks.
fn label(end: &super::End<'_>) -> String {
    let marks = [(end.ingress_isolated, '*'), (end.egress_isolated, '^')];
    let marks: String = marks.into_iter().filter(|(on, _)| *on).map(|(_, mark)| mark).collect();
    let name = end.name();
    if marks.is_empty() { name } else { format!("{name} {marks}") }
}

fn cell(connections: &Connections, notes: &mut Vec<String>) -> String {
    if connections.is_none() {
        return "-".to_owned();
    }
    let text = connections.to_string();
    let others = [Protocol::Udp, Protocol::Sctp].into_iter().all(|other| connections.ports(other).is_empty());
    let short = if others { text.strip_prefix("TCP ").unwrap_or(&text) } else { &text };
    if short.len() <= CELL {
        return short.to_owned();
    }
    let index = notes.iter().position(|note| *note == text).unwrap_or_else(|| {
        notes.push(text);
        notes.len() - 1
    });
    format!("({})", letter(index))
}

/// a, b, …, z, a1, b1, …
fn letter(index: usize) -> String {
    let letter = char::from(b'a' + (index % 26) as u8);
    if index < 26 { letter.to_string() } else { format!("{letter}{}", index / 26) }
}

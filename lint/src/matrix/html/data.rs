//! What the page's script needs to explain cells.

use std::collections::HashMap;
use std::io::{self, Write};

use netpol_policy::evaluate::Connections;
use netpol_policy::model::Direction;
use serde::Serialize;

use super::escape::json;
use crate::file::SourceFile;
use crate::matrix::why::Why;
use crate::matrix::{Matrix, have_common_family};

#[derive(Serialize)]
struct Data {
    ends: Vec<EndData>,
    /// Each text once.
    texts: Vec<String>,
    /// By `row * ends + column`: what passes, what the source says, what the destination says, as indexes of texts; -1
    /// where that end has no say. Cells without an entry have nothing to explain.
    cells: HashMap<usize, [i64; 3]>,
}

#[derive(Serialize)]
struct EndData {
    name: String,
    egress: Option<String>,
    ingress: Option<String>,
}

pub(super) fn write(matrix: &Matrix<'_, '_>, files: &[SourceFile], out: &mut dyn Write) -> io::Result<()> {
    let why = Why::new(matrix, files);
    let ends = matrix.ends();
    let mut texts = Texts::default();
    let mut cells = HashMap::new();
    for row in 0..ends.len() {
        for column in 0..ends.len() {
            let Some(connections) = matrix.connections(row, column) else { continue };
            if !have_common_family(ends[row].endpoint, ends[column].endpoint) {
                let text = "nothing passes: they have no addresses of one family".to_owned();
                cells.insert(row * ends.len() + column, [texts.index(text), -1, -1]);
                continue;
            }
            let (egress, ingress) = (ends[row].egress_isolated, ends[column].ingress_isolated);
            if !egress && !ingress {
                continue;
            }
            let mut side = |isolated: bool, direction| {
                if isolated { texts.index(why.side(row, column, direction)) } else { -1 }
            };
            let (egress, ingress) = (side(egress, Direction::Egress), side(ingress, Direction::Ingress));
            cells.insert(row * ends.len() + column, [texts.index(passes(connections)), egress, ingress]);
        }
    }
    let end = |(index, end): (usize, &crate::matrix::End<'_>)| EndData {
        name: end.name(),
        egress: why.isolation(index, Direction::Egress),
        ingress: why.isolation(index, Direction::Ingress),
    };
    let data = Data { ends: ends.iter().enumerate().map(end).collect(), texts: texts.list, cells };
    out.write_all(json(&serde_json::to_string(&data)?).as_bytes())
}

fn passes(connections: &Connections) -> String {
    match connections {
        all if all.is_all() => "everything passes".to_owned(),
        none if none.is_none() => "nothing passes".to_owned(),
        some => some.to_string(),
    }
}

#[derive(Default)]
struct Texts {
    list: Vec<String>,
    known: HashMap<String, i64>,
}

impl Texts {
    fn index(&mut self, text: String) -> i64 {
        let next = self.list.len() as i64;
        *self.known.entry(text).or_insert_with_key(|text| {
            self.list.push(text.clone());
            next
        })
    }
}

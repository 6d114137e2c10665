//! Flow collections, as in JSON.

use super::super::node::{ScalarStyle, Style};
use super::narrow;
use super::scan::Scan;
use super::tree::Tree;

impl<'t> Tree<'t> {
    /// A flow collection; where to go on. It ends on the line on which it begins, unless it may go over several
    /// `lines`, as the root may however they are indented.
    pub(super) fn flow(&mut self, scan: &Scan<'t>, at: usize, lines: bool) -> Option<usize> {
        let is_sequence = scan.byte(at) == b'[';
        self.open(is_sequence, Style::Flow, narrow(at))?;
        let close = if is_sequence { b']' } else { b'}' };
        let skip = |at| if lines { scan.skip_lines(at) } else { scan.skip(at) };
        let mut at = skip(at + 1)?;
        let mut first = true;
        while scan.byte(at) != close || !first {
            if !is_sequence {
                let key = scan.flow_scalar(at)?;
                // A blank must follow the colon, unless the key is in quotes.
                let apart = scan.byte(key.next + 1) == b' ' || key.style == ScalarStyle::DoubleQuoted;
                if scan.byte(key.next) != b':' || !apart {
                    return None;
                }
                self.key(&key)?;
                at = scan.skip(key.next + 1)?;
            }
            at = match scan.byte(at) {
                b'[' | b'{' => self.flow(scan, at, lines)?,
                _ => {
                    let value = scan.flow_scalar(at)?;
                    self.scalar(value.text, value.style, value.span)?;
                    value.next
                }
            };
            at = skip(at)?;
            first = false;
            match scan.byte(at) {
                b',' => at = skip(at + 1)?,
                byte if byte == close => break,
                _ => return None,
            }
        }
        self.close(Some(narrow(at + 1)))?;
        Some(at + 1)
    }
}

//! The text around a place, as miette asks for it.
//!
//! Of a long line, as compact JSON has it, only what is near is shown: nobody reads the rest, and a place beyond column 65,535
//! can't be drawn.

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use netpol_policy::span::Span;

use crate::file::SourceFile;
use crate::output::printable::one_line;

/// Bytes of a line that is still shown as a whole.
const LONG: u32 = 512;
/// Bytes before and after a place in a longer one.
const AROUND: u32 = 60;
/// Bytes of a place that are marked there.
const MARKED: u32 = 80;

/// The text of a file with its name.
#[derive(Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a SourceFile);

impl Text<'_> {
    /// What to mark of a place: all of it, or its beginning where it has to do with a long line.
    pub(crate) fn shown(&self, span: Span) -> SourceSpan {
        let (first, last) = self.lines(span);
        let span = if (first..=last).any(|line| self.is_long(line)) {
            let line_end = self.0.line(first).map_or(span.end, |line| line.end);
            Span::new(
                span.start,
                self.boundary(span.end.min(line_end).min(span.start + MARKED)).max(span.start),
            )
        } else {
            span
        };
        (span.start as usize, span.len()).into()
    }

    /// The numbers of the lines where a span begins and ends.
    fn lines(&self, span: Span) -> (u32, u32) {
        let line_of = |offset: u32| self.0.position(offset).line;
        (line_of(span.start), line_of(span.end))
    }

    fn is_long(&self, line: u32) -> bool {
        self.0.line(line).is_some_and(|line| line.end - line.start > LONG)
    }

    /// The next place before an offset, or there, where no character is cut in two.
    fn boundary(&self, offset: u32) -> u32 {
        self.0.text.floor_char_boundary(offset as usize) as u32
    }

    /// Whole lines, so many more before and after those of a span, but no long ones.
    fn neighbours(&self, span: Span, before: u32, after: u32) -> Option<Excerpt> {
        let (first, last) = self.lines(span);
        let short = |line: &u32| self.0.line(*line).is_some() && !self.is_long(*line);
        let top = (1..first).rev().take(before as usize).take_while(short).last().unwrap_or(first);
        let bottom = (last + 1..).take(after as usize).take_while(short).last().unwrap_or(last);
        let (start, end) = (self.0.line(top)?.start, self.0.line(bottom)?.end);
        Some(Excerpt { span: Span::new(start, end), line: top, lines: bottom })
    }

    /// What is near a span in its line, which is long.
    fn window(&self, span: Span, line: u32) -> Option<Excerpt> {
        // Several places that are far from each other are shown one by one.
        if span.len() > MARKED as usize {
            return None;
        }
        let whole = self.0.line(line)?;
        let start = self.boundary(span.start.saturating_sub(AROUND).max(whole.start));
        let end = self.boundary((span.end + AROUND).min(whole.end));
        Some(Excerpt { span: Span::new(start, end.max(span.end)), line, lines: line })
    }
}

/// What is shown.
struct Excerpt {
    span: Span,
    /// The number of its first line, counted from 1.
    line: u32,
    /// The number of its last one.
    lines: u32,
}

impl SourceCode for Text<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let file = self.0;
        let offset = |at: usize| u32::try_from(at).ok().filter(|at| *at as usize <= file.text.len());
        let ends = offset(span.offset()).zip(offset(span.offset() + span.len()));
        let asked = ends.map(|(start, end)| Span::new(start, end)).ok_or(MietteError::OutOfBounds)?;
        let (first, last) = self.lines(asked);
        let start = file.position(asked.start);
        // Only the lines around the span are looked at: a file may be long and have many findings.
        let excerpt = if before == 0 && after == 0 {
            Some(Excerpt { span: asked, line: first, lines: last })
        } else if (first..=last).any(|line| self.is_long(line)) {
            self.window(asked, first)
        } else {
            self.neighbours(asked, before as u32, after as u32)
        };
        let excerpt = excerpt.ok_or(MietteError::OutOfBounds)?;
        let shown = file.text.get(excerpt.span.range()).ok_or(MietteError::OutOfBounds)?;
        Ok(Box::new(MietteSpanContents::new_named(
            one_line(&file.name).into_owned(),
            shown.as_bytes(),
            (excerpt.span.start as usize, shown.len()).into(),
            excerpt.line as usize - 1,
            if excerpt.span.start == asked.start { start.column as usize - 1 } else { 0 },
            // Counted from the start of the text, whatever its name says.
            excerpt.lines as usize,
        )))
    }
}

//! Mistakes in the configuration, with the text around them.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use crate::config::{ConfigProblem, InvalidConfig};
use crate::output::full::{Look, handler};
use crate::output::printable::{drawing, one_line};

/// Shows every mistake on standard error.
pub(super) fn show(invalid: &InvalidConfig) -> io::Result<()> {
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let handler = handler(Look { colour, unicode: false, width: 100 });
    let source = NamedSource::new(one_line(&invalid.name), invalid.text.to_string());
    let mut err = io::stderr().lock();
    for problem in &invalid.problems {
        let mut text = String::new();
        let shown = Shown { problem, source: &source };
        if handler.render_report(&mut text, &shown).is_err() {
            text.clear();
            let _ = write!(text, "{invalid}");
        }
        writeln!(err, "{}\n", drawing(text.trim_end(), colour))?;
    }
    writeln!(err, "netpol-lint: the configuration {} can't count", one_line(&invalid.name))
}

#[derive(Debug)]
struct Shown<'a> {
    problem: &'a ConfigProblem,
    source: &'a NamedSource<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.problem.message))
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(one_line(help)) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.problem.span.range();
        Some(Box::new(std::iter::once(LabeledSpan::underline((span.start, span.len())))))
    }
}

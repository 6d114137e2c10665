//! The manifests that a question is about.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use netpol_policy::model::Cluster;

use crate::file::SourceFile;
use crate::input::{self, Source};
use crate::output::plural;
use crate::output::printable::one_line;

/// Which manifests to read.
#[derive(Debug, clap::Args)]
pub(super) struct Given {
    /// Files and folders with the manifests; `-` reads standard input
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// The namespace of objects and names without one
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    pub(super) namespace: String,
}

impl Given {
    /// Reads everything. What can't count, because the API server would refuse it or because it can't be read, is named
    /// on standard error: the answer is about the rest.
    pub(super) fn read(&self) -> anyhow::Result<(Cluster, Vec<SourceFile>)> {
        let source = |path: &PathBuf| {
            if path == Path::new("-") { Source::Stdin("<stdin>".into()) } else { Source::Path(path.clone()) }
        };
        let sources: Vec<_> = self.paths.iter().map(source).collect();
        let mut input = input::read(&sources, &self.namespace);
        // The answer would be about something else.
        if !input.unreadable.is_empty() {
            return Err(input.unreadable.swap_remove(0).into());
        }
        let mut err = io::stderr().lock();
        if let Some(first) = input.templates.first() {
            let more = match input.templates.len() - 1 {
                0 => String::new(),
                more => format!(" and {}", plural(more, "other file")),
            };
            writeln!(
                err,
                "netpol-lint: left out {first}{more}: a Helm template is no manifest before it is rendered"
            )?;
        }
        for file in &input.files {
            warn(file, &mut err)?;
        }
        Ok((input.cluster(), input.files))
    }
}

fn warn(file: &SourceFile, err: &mut dyn Write) -> io::Result<()> {
    let place = |offset| {
        let position = file.position(offset);
        format!("{}:{}:{}", file.name, position.line, position.column)
    };
    for error in &file.manifest.errors {
        let at = place(error.span.start);
        writeln!(err, "netpol-lint: left out a document: {at}: {}", one_line(&error.to_string()))?;
    }
    for (_, policy) in file.policies().filter(|(_, policy)| policy.model.is_none()) {
        let name = policy.metadata.name.as_ref().map_or("without a name", |name| &*name.value);
        let problem = policy.problems.iter().find(|problem| problem.kind.rejects());
        let (at, why) = match problem {
            Some(problem) => (problem.span, &*problem.message),
            None => (policy.kind, "it is invalid"),
        };
        writeln!(
            err,
            "netpol-lint: left out policy {}, which the API server would reject: {}: {}",
            one_line(name),
            place(at.start),
            one_line(why)
        )?;
    }
    Ok(())
}

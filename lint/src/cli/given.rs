//! The manifests that a question is about.

mod twice;

use std::io::{self, Write};

use netpol_policy::model::Cluster;
use netpol_policy::source;

use super::cluster::Beside;
use super::inputs::Inputs;
use super::{Outcome, complain};
use crate::config::{Config, Options};
use crate::file::SourceFile;
use crate::input::{self, Sources};
use crate::output::plural;
use crate::output::printable::one_line;

/// Which manifests to read.
#[derive(Debug, clap::Args)]
pub(super) struct Given {
    #[command(flatten)]
    inputs: Inputs,
    /// Answer even when something can't be read: a file, a document, a Helm template
    #[arg(long)]
    lenient: bool,
}

/// What was read.
pub(super) struct Manifests {
    pub(super) cluster: Cluster,
    pub(super) files: Vec<SourceFile>,
    pub(super) config: Config,
    /// For the index.
    pub(super) beside: Beside,
}

impl Given {
    /// Reads everything. What can't count, because the API server would refuse it or because it can't be read, is named
    /// on standard error. Where something can't be read there is no answer, unless it is asked for all the same.
    pub(super) fn read(&self) -> anyhow::Result<Result<Manifests, Outcome>> {
        let config = match self.inputs.config(Options::default())? {
            Ok(config) => config,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let mut input = input::read(&Sources { every_object: true, ..self.inputs.sources(&config) });
        let mut complete =
            input.unreadable.is_empty() && input.templates.is_empty() && input.patches.is_empty();
        for error in std::mem::take(&mut input.unreadable) {
            complain(&error.into());
        }
        let mut err = io::stderr().lock();
        left_out(&input.templates, "a Helm template is no manifest before it is rendered", &mut err)?;
        left_out(&input.patches, "a patch of Kustomize is a part of an object", &mut err)?;
        for file in &input.files {
            complete &= file.manifest.errors.is_empty();
            warn(file, &mut err)?;
        }
        if !complete && !self.lenient {
            writeln!(
                err,
                "netpol-lint: no answer without what can't be read; correct it, leave it out with --exclude, \
                 or ask about the rest with --lenient"
            )?;
            return Ok(Err(Outcome::Incomplete));
        }
        drop(err);
        let mut beside = self.inputs.cluster.read(self.inputs.is_about_cluster())?;
        let mut files = input.files;
        beside.join(&mut files, self.inputs.is_about_cluster());
        let ordered = input::in_order(&files);
        twice::tell(&ordered, &mut io::stderr().lock())?;
        let of_files = source::cluster(ordered.into_iter().map(|file| &file.manifest));
        let cluster = beside.around(&files, of_files);
        Ok(Ok(Manifests { cluster, files, config, beside }))
    }
}

fn left_out(files: &[Box<str>], why: &str, err: &mut dyn Write) -> io::Result<()> {
    let Some((first, more)) = files.split_first() else { return Ok(()) };
    let more = match more.len() {
        0 => String::new(),
        more => format!(" and {}", plural(more, "other file")),
    };
    writeln!(err, "netpol-lint: left out {}{more}: {why}", one_line(first))
}

fn warn(file: &SourceFile, err: &mut dyn Write) -> io::Result<()> {
    let place = |offset| {
        let position = file.position(offset);
        format!("{}:{}:{}", one_line(&file.name), position.line, position.column)
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

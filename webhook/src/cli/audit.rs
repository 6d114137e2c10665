//! `netpol-webhook audit`.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use netpol_lint::live::{self, Target};
use netpol_lint::output::{self, Counts, Format};
use netpol_lint::{Index, check};
use netpol_policy::source;

use crate::config::{Config, Effect};

/// Exit code 1 is for findings.
const FAILED: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct Audit {
    /// The configuration of the webhook.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The kubeconfig to use instead of $KUBECONFIG, ~/.kube/config or the pod's own ServiceAccount.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, in the place of its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Say only what would refuse a policy if it were created now.
    #[arg(long)]
    refused_only: bool,
    /// The form of the output.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Full)]
    output_format: Format,
}

impl Audit {
    /// 0: nothing was found; 1: something; 2: it can't be done.
    pub(super) fn run(self) -> ExitCode {
        self.audit().unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::from(FAILED)
        })
    }

    fn audit(self) -> anyhow::Result<ExitCode> {
        let config = match &self.config {
            Some(file) => Config::read(file)
                .with_context(|| format!("the configuration {} doesn't do", file.display()))?,
            None => Config::default(),
        };
        let target = Target { kubeconfig: self.kubeconfig, context: self.context };
        let mut cluster = live::read(&target, &mut |_, _| {})?;
        for kind in &cluster.forbidden {
            eprintln!("warning: you may not list {kind}: rules that need them are silent");
        }
        if cluster.forbidden.contains(&"networkpolicies") {
            anyhow::bail!("without networkpolicies there is nothing to look at");
        }
        let mut files = Vec::new();
        cluster.join(&mut files, true);
        let all = cluster.around(&files, source::cluster(files.iter().map(|file| &file.manifest)));
        let index = Index::new(&all).with_facts(&cluster.facts);
        let mut report = check(files, &index, &config.settings);
        let least = if self.refused_only { Effect::Deny } else { Effect::Audit };
        report.findings.retain(|finding| {
            let namespace = finding.object.as_ref().and_then(|object| object.namespace.as_deref());
            let namespace = namespace.unwrap_or_default();
            let effects = config.effects(namespace, |selector| index.namespace_matches(namespace, selector));
            effects.of(finding) >= least
        });
        let mut out = BufWriter::new(io::stdout().lock());
        match self.output_format {
            Format::Full => {
                let look =
                    output::full::Look { colour: io::stdout().is_terminal(), unicode: true, width: 100 };
                output::full::write(&report, look, &mut out)?;
            }
            Format::Concise => output::concise::write(&report, &mut out)?,
            Format::Grouped => output::grouped::write(&report, &mut out)?,
            Format::Json => output::json::write(&report, &mut out)?,
            Format::Sarif => output::sarif::write(&report, &mut out)?,
            Format::Github => output::github::write(&report, &mut out)?,
            Format::Gitlab => output::gitlab::write(&report, &mut out)?,
            Format::Junit => output::junit::write(&report, &mut out)?,
            Format::Rdjson => output::rdjson::write(&report, &mut out)?,
        }
        out.flush()?;
        let found = Counts::of(&report);
        let words = if found.total() == 0 { "nothing".to_owned() } else { found.to_string() };
        eprintln!("found {words} in {} policies", report.files.len());
        Ok(ExitCode::from(u8::from(found.total() > 0)))
    }
}

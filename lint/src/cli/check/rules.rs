//! Options of `netpol-lint check` that stand for keys of the configuration.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::str::FromStr;

use crate::cli::inputs::HEADING;
use crate::config::Options;
use crate::finding::Severity;
use crate::output::Format;
use crate::select::RuleSelector;
use crate::settings::{ExternalNamespaces, ExternalPods, Pattern};

/// What to look for, and what to make of it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(super) struct Rules {
    /// The form of the output [default: full]
    #[arg(long, value_enum, value_name = "FORMAT", hide_default_value = true)]
    output_format: Option<Format>,
    /// Only findings of at least this severity make the exit status 1 [default: info]
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
    /// Only these rules: codes (NP101), names (split-peer-selectors), groups (NP1), severities (info) or ALL
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    select: Option<Vec<RuleSelector>>,
    /// These rules too
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    extend_select: Option<Vec<RuleSelector>>,
    /// Not these rules
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    ignore: Option<Vec<RuleSelector>>,
    /// Not these rules in some files: a pattern as in .gitignore, a colon and a rule
    #[arg(long, value_name = "PATTERN:RULE", value_delimiter = ',')]
    per_file_ignores: Option<Vec<InFiles>>,
    /// Another severity than the rules' own
    #[arg(long, value_name = "RULE=SEVERITY", value_delimiter = ',')]
    severity: Option<Vec<AsSeverity>>,
    /// A namespace of which the files don't show everything: a name, or labels
    #[arg(long, value_name = "NAME|LABELS")]
    external_namespaces: Option<Vec<ExternalNamespaces>>,
    /// Pods that the files don't show: labels, perhaps after a namespace and a colon
    #[arg(long, value_name = "[NS:]LABELS")]
    external_pods: Option<Vec<ExternalPods>>,
    /// The cluster has IPv4 and IPv6
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    dual_stack: Option<bool>,
    /// A range of more ports than this is wide [default: 1000]
    #[arg(long, value_name = "PORTS", value_parser = ports)]
    wide_port_range: Option<NonZeroU16>,
}

/// `legacy/:NP101`
#[derive(Debug, Clone)]
struct InFiles(Pattern, RuleSelector);

/// `NP101=error`
#[derive(Debug, Clone)]
struct AsSeverity(RuleSelector, Severity);

impl Rules {
    /// The keys that are given.
    pub(super) fn options(&self) -> Options {
        let rules = self.clone();
        Options {
            select: rules.select,
            extend_select: rules.extend_select,
            ignore: rules.ignore,
            per_file_ignores: rules.per_file_ignores.map(|ignores| {
                let mut by_pattern: BTreeMap<_, Vec<_>> = BTreeMap::new();
                for InFiles(pattern, rule) in ignores {
                    by_pattern.entry(pattern).or_default().push(rule);
                }
                by_pattern
            }),
            severity: rules
                .severity
                .map(|all| all.into_iter().map(|AsSeverity(rules, severity)| (rules, severity)).collect()),
            fail_on: rules.fail_on,
            output_format: rules.output_format,
            external_namespaces: rules.external_namespaces,
            external_pods: rules.external_pods,
            dual_stack: rules.dual_stack,
            wide_port_range: rules.wide_port_range,
            ..Options::default()
        }
    }
}

impl FromStr for InFiles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pattern, rule) = text.rsplit_once(':').ok_or("write `PATTERN:RULE`, such as `legacy/:NP101`")?;
        let pattern = pattern.parse().map_err(|error: crate::settings::PatternError| error.to_string())?;
        let rule = rule.parse().map_err(|error: crate::select::UnknownSelector| error.to_string())?;
        Ok(Self(pattern, rule))
    }
}

fn ports(text: &str) -> Result<NonZeroU16, String> {
    text.parse().map_err(|_| "use a number of ports from 1 to 65535".to_owned())
}

impl FromStr for AsSeverity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rules, severity) = text.split_once('=').ok_or("write `RULE=SEVERITY`, such as `NP106=info`")?;
        let rules = rules.parse().map_err(|error: crate::select::UnknownSelector| error.to_string())?;
        let severity = clap::ValueEnum::from_str(severity, false)
            .map_err(|_| format!("`{severity}` is no severity: use error, warning or info"))?;
        Ok(Self(rules, severity))
    }
}

//! Scenarios: a folder of manifests with the expected connectivity beside it.
//!
//! `expected.yaml` says by hand what must be open and what closed, stage by stage. The same flows are then asked of
//! the evaluator and tried with real packets.

pub mod flow;
pub mod measure;
pub mod predict;

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use self::flow::Flow;
use crate::cluster::Cluster;

/// A scenario's folder.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The folder's name.
    pub name: String,
    /// Where it is.
    pub folder: PathBuf,
    /// What `expected.yaml` says.
    pub expected: Expected,
}

/// `expected.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// What the scenario shows, in a few sentences.
    pub about: String,
    /// Whether an agent runs on the nodes.
    #[serde(default = "yes")]
    pub agent: bool,
    /// Policy files that must be refused as a whole.
    #[serde(default)]
    pub refused: Vec<String>,
    /// What the linter finds in the folder: `FILE:LINE CODE` each, sorted.
    #[serde(default)]
    pub lint: Vec<String>,
    /// The stages, one after the other on the same cluster.
    pub stages: Vec<Stage>,
}

/// One state of the cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What it is called.
    pub name: String,
    /// Files of objects other than policies.
    pub objects: Vec<String>,
    /// Files of policies.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Flows that must connect.
    #[serde(default)]
    pub open: Vec<String>,
    /// Flows that must time out.
    #[serde(default)]
    pub closed: Vec<String>,
    /// What is expected of every other flow from a pod to a declared port of a pod or to a Service.
    pub rest: Option<Verdict>,
}

/// What is expected of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It connects.
    Open,
    /// It times out: its packets are dropped without a word.
    Closed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Closed => "closed",
        })
    }
}

fn yes() -> bool {
    true
}

/// The folder with all scenarios.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// All scenarios, sorted by name.
///
/// # Errors
/// When one can't be read.
pub fn all() -> Result<Vec<Scenario>> {
    let mut names = fs::read_dir(folder())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    names.iter().map(|name| Scenario::read(name)).collect()
}

impl Scenario {
    /// Reads a scenario of [`folder`].
    ///
    /// # Errors
    /// When there is none of that name, or its `expected.yaml` is wrong.
    pub fn read(name: &str) -> Result<Self> {
        let folder = folder().join(name);
        let path = folder.join("expected.yaml");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let expected =
            serde_saphyr::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self { name: name.to_owned(), folder, expected })
    }

    /// The objects of a stage.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn cluster(&self, stage: &Stage) -> Result<Cluster> {
        let texts = stage.objects.iter().map(|name| self.text(name)).collect::<Result<Vec<_>>>()?;
        Cluster::read(texts.iter().map(String::as_str))
            .with_context(|| format!("{}, {}", self.name, stage.name))
    }

    /// The policy files of a stage: name and text.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn policies<'s>(&self, stage: &'s Stage) -> Result<Vec<(&'s str, String)>> {
        stage.policies.iter().map(|name| Ok((name.as_str(), self.text(name)?))).collect()
    }

    /// A stage's flows with what is expected of them, in a stable order.
    ///
    /// # Errors
    /// When a flow names something that isn't there, or is listed twice.
    pub fn flows(&self, stage: &Stage, cluster: &Cluster) -> Result<Vec<(Flow, Verdict)>> {
        let mut flows: Vec<(Flow, Verdict)> = Vec::new();
        for (verdict, lines) in [(Verdict::Open, &stage.open), (Verdict::Closed, &stage.closed)] {
            for flow in
                lines.iter().map(|line| flow::parse(line, cluster)).collect::<Result<Vec<_>>>()?.concat()
            {
                ensure!(
                    flows.iter().all(|(listed, _)| *listed != flow),
                    "{}, {}: {flow} is listed twice",
                    self.name,
                    stage.name
                );
                flows.push((flow, verdict));
            }
        }
        if let Some(rest) = stage.rest {
            let listed = flows.iter().map(|(flow, _)| flow.clone()).collect::<Vec<_>>();
            let others = flow::between_pods(cluster).into_iter().filter(|flow| !listed.contains(flow));
            // Nobody can keep a pod from itself.
            flows.extend(others.map(|flow| {
                let verdict = if flow.is_to_itself(cluster) { Verdict::Open } else { rest };
                (flow, verdict)
            }));
        }
        ensure!(!flows.is_empty(), "{}, {}: no flow is checked", self.name, stage.name);
        Ok(flows)
    }

    fn text(&self, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }
}

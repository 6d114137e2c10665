//! `netpol-webhook render`.

use std::process::ExitCode;

use clap::Args;

use super::namespaces::Isolation;
use super::print;
use crate::admission;

/// What is said in front of the objects.
const HEAD: &str = "\
# Made by `netpol-webhook render`. The core of the protection with no webhook in the path: the API server evaluates it itself.
# From Kubernetes 1.36, which has mutating admission policies in v1.
";

#[derive(Debug, Args)]
pub(super) struct Render {
    #[command(flatten)]
    isolation: Isolation,
}

impl Render {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let objects = admission::objects(&self.isolation.for_admission_policies());
        print(&format!("{HEAD}{}", admission::to_yaml(&objects)))?;
        Ok(ExitCode::SUCCESS)
    }
}

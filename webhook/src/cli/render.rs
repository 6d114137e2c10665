//! `netpol-webhook render`.

use std::process::ExitCode;

use clap::Args;

use super::namespaces::Isolation;
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
    pub(super) fn run(&self) -> ExitCode {
        print!("{HEAD}{}", admission::to_yaml(&admission::objects(&self.isolation.for_admission_policies())));
        ExitCode::SUCCESS
    }
}

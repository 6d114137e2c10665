//! An eBPF agent that enforces Kubernetes NetworkPolicies.

use std::process::ExitCode;

fn main() -> ExitCode {
    netpol_enforcer::commands::main()
}

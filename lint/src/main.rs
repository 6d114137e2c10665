//! The command `netpol-lint`.

fn main() -> std::process::ExitCode {
    netpol_lint::cli::main()
}

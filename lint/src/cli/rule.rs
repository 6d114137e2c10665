//! `netpol-lint rule`

use std::io::{self, Write};

use anyhow::bail;

use super::{Outcome, Terminal};
use crate::registry::find_rule;
use crate::select::nearest;

/// Explain a rule
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its code or name, such as NP101 or split-peer-selectors
    #[arg(value_name = "CODE|NAME")]
    rule: String,
}

pub(super) fn run(args: &Args, terminal: Terminal) -> anyhow::Result<Outcome> {
    let Some(rule) = find_rule(&args.rule) else {
        match nearest(&args.rule) {
            Some(near) => bail!("there is no rule `{}`, did you mean `{near}`?", args.rule),
            None => bail!("there is no rule `{}`; `netpol-lint rules` lists them", args.rule),
        }
    };
    let page = rule.titled_page();
    let page =
        if terminal.interactive || terminal.colour { for_terminal(&page, terminal.colour) } else { page };
    io::stdout().lock().write_all(page.as_bytes())?;
    Ok(Outcome::Clean)
}

/// Headings stand out, fences go.
fn for_terminal(page: &str, colour: bool) -> String {
    let (bold, dim, plain) = if colour { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let mut shown = String::new();
    let mut in_code = false;
    for line in page.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            shown.push_str(&format!("    {dim}{line}{plain}\n"));
        } else if line.starts_with('#') {
            shown.push_str(&format!("{bold}{}{plain}\n", line.trim_start_matches('#').trim_start()));
        } else {
            shown.push_str(line);
            shown.push('\n');
        }
    }
    shown
}

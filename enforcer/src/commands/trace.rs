//! `netpol-enforcer trace`.

use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::{connect, print};
use crate::cli::{Output, Trace};
use crate::monitor::Request;
use crate::trace::{Answer, Question, text};

/// Asks the agent, and shows what it says.
pub(super) fn trace(trace: &Trace) -> Result<ExitCode> {
    let question = Question { from: trace.from.clone(), to: trace.to.clone(), port: trace.port.clone() };
    let mut stream = connect(&trace.places)?;
    let mut request = serde_json::to_vec(&Request::Trace(question))?;
    request.push(b'\n');
    stream.write_all(&request)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("reading from the agent")?;
    let answer: Answer = serde_json::from_str(&answer).context("the agent is of another version")?;
    let shown = match trace.output_format {
        Output::Json => serde_json::to_string_pretty(&answer)? + "\n",
        Output::Text => text(&answer, io::stdout().is_terminal()),
    };
    print(shown.as_bytes())?;
    Ok(ExitCode::from(answer.outcome.code()))
}

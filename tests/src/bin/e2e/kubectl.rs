//! The cluster, by way of kubectl.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// How the cluster is reached.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    words: Vec<String>,
}

impl Kubectl {
    /// By a command, which may have arguments.
    pub(crate) fn new(command: &str) -> Self {
        Self { words: command.split_whitespace().map(str::to_owned).collect() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.words.iter();
        let mut command = Command::new(words.next().map_or("kubectl", String::as_str));
        command.args(words).args(arguments);
        command
    }

    /// Runs it; what it wrote to its standard output.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        self.with_input(arguments, "")
    }

    /// Runs it with something on its standard input.
    pub(crate) fn with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = self.command(arguments);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {}", self.words.join(" ")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may end without having read everything.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts it and lets it run.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.command(arguments);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().with_context(|| format!("starting {}", self.words.join(" ")))
    }

    /// `get … --output=json`.
    pub(crate) fn get(&self, arguments: &[&str]) -> Result<Value> {
        let arguments = [&["get", "--output=json"], arguments].concat();
        Ok(serde_json::from_str(&self.run(&arguments)?)?)
    }

    /// `apply` of objects.
    pub(crate) fn apply(&self, objects: &[Value]) -> Result<()> {
        if objects.is_empty() {
            return Ok(());
        }
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        self.with_input(&["apply", "-f", "-"], &list.to_string()).map(drop)
    }
}

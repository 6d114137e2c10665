//! The commands.

use std::env;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use crate::agent::{self, Outcome};
use crate::config::{Config, NEWEST, Unavailable, VERSIONS};
use crate::error::Error;
use crate::invocation;
use crate::protocol::{Attachment, Call, code};
use crate::result;

/// Does what the environment asks for with the configuration on standard input, and writes the result or the error to standard
/// output, as the CNI specification has it.
#[must_use]
pub fn run() -> ExitCode {
    let mut input = String::new();
    let read = io::stdin().read_to_string(&mut input);
    let mut version = NEWEST.to_owned();
    let done = read
        .map_err(|error| Error::new(code::IO, format!("reading the configuration: {error}"), ""))
        .and_then(|_| command(&input, &mut version));
    let (text, exit) = match done {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(error) => (error.json(&version), ExitCode::FAILURE),
    };
    // The runtime may have given up waiting: nobody is left to hear of it.
    let _ = io::stdout().write_all(text.as_bytes());
    exit
}

/// Runs the command; `version` becomes the configuration's once that is known.
fn command(input: &str, version: &mut String) -> Result<String, Error> {
    if env::args_os().len() > 1 && env::var_os("CNI_COMMAND").is_none() {
        return Ok(format!(
            "netpol-cni {}: a CNI plugin, run by container runtimes\n",
            env!("CARGO_PKG_VERSION")
        ));
    }
    let command = invocation::required("CNI_COMMAND")?;
    let config = Config::read(input)?;
    if !config.cni_version.is_empty() {
        version.clone_from(&config.cni_version);
    }
    if command == "VERSION" {
        let version = serde_json::Value::from(version.as_str());
        return Ok(serde_json::json!({"cniVersion": version, "supportedVersions": VERSIONS}).to_string());
    }
    config.check_version()?;
    match command.as_str() {
        "ADD" => add(&config),
        "DEL" => del(&config),
        "CHECK" => check(&config),
        "STATUS" => status(&config),
        "GC" => collect(&config),
        other => Err(Error::new(
            code::ENVIRONMENT,
            format!("CNI_COMMAND is {other:?}, which this plugin does not know"),
            "it knows ADD, DEL, CHECK, STATUS, GC and VERSION",
        )),
    }
}

fn add(config: &Config) -> Result<String, Error> {
    let result = previous(config)?.to_owned();
    let Some(attachment) = attachment(config)? else { return Ok(result) };
    match agent::ask(&config.socket, &Call::Add(attachment), config.timeout()?) {
        Outcome::Done => Ok(result),
        Outcome::Away(_) if config.on_unavailable == Unavailable::Allow => Ok(result),
        Outcome::Away(error) | Outcome::Refused(error) => Err(error),
    }
}

/// Never fails for the agent's sake: a pod must be able to end. The agent notices by itself that the interface is gone.
fn del(config: &Config) -> Result<String, Error> {
    let id = invocation::attachment()?;
    drop(agent::ask(&config.socket, &Call::Del(id), BRIEF));
    Ok(String::new())
}

fn check(config: &Config) -> Result<String, Error> {
    previous(config)?;
    let Some(attachment) = attachment(config)? else { return Ok(String::new()) };
    match agent::ask(&config.socket, &Call::Check(attachment), config.timeout()?) {
        Outcome::Done => Ok(String::new()),
        Outcome::Away(_) if config.on_unavailable == Unavailable::Allow => Ok(String::new()),
        Outcome::Away(error) | Outcome::Refused(error) => Err(error),
    }
}

/// A runtime that hears of an error takes the node out of service, and its pods out of their Services. So an agent that is away for a
/// moment, as when it is upgraded, is no error once it has programmed this node: ADD waits for it.
fn status(config: &Config) -> Result<String, Error> {
    let unavailable = |error: Error| Error::new(code::NOT_AVAILABLE, error.0.message, error.0.details);
    match agent::ask(&config.socket, &Call::Status, BRIEF) {
        Outcome::Done => Ok(String::new()),
        Outcome::Away(_) if config.on_unavailable == Unavailable::Allow => Ok(String::new()),
        Outcome::Away(_) if config.socket.with_file_name(PROGRAMMED).exists() => Ok(String::new()),
        Outcome::Away(error) | Outcome::Refused(error) => Err(unavailable(error)),
    }
}

fn collect(config: &Config) -> Result<String, Error> {
    // Without the list nothing is known to be unused.
    let Some(valid) = &config.valid_attachments else { return Ok(String::new()) };
    let call = Call::Gc { network: config.name.clone(), valid: valid.clone() };
    match agent::ask(&config.socket, &call, BRIEF) {
        Outcome::Refused(error) => Err(error),
        // The agent forgets by itself what has no interface any more.
        Outcome::Done | Outcome::Away(_) => Ok(String::new()),
    }
}

/// How long the agent is waited for where nothing depends on its answer.
const BRIEF: Duration = Duration::from_secs(1);

/// The file beside the socket that is there when the agent has programmed the node since it booted.
const PROGRAMMED: &str = "state.json";

fn previous(config: &Config) -> Result<&str, Error> {
    config
        .prev_result
        .as_deref()
        .map(serde_json::value::RawValue::get)
        .filter(|text| *text != "null")
        .ok_or_else(|| {
            Error::new(
                code::INVALID,
                "there is no prevResult: netpol-cni makes no network of its own",
                "put it after the plugins that do, in the `plugins` of a .conflist file",
            )
        })
}

/// The pod's interface; `None` for a container that is no pod's.
fn attachment(config: &Config) -> Result<Option<Attachment>, Error> {
    let id = invocation::attachment()?;
    let Some(pod) = invocation::pod() else { return Ok(None) };
    let made = result::read(previous(config)?, &id.interface)?;
    Ok(Some(Attachment {
        id,
        network: config.name.clone(),
        namespace: pod.namespace,
        name: pod.name,
        addresses: made.addresses,
        host_interfaces: made.host_interfaces,
    }))
}

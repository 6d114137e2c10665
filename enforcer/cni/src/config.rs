//! The plugin's configuration, from standard input.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::protocol::{AttachmentId, code};

/// The plugin's `type`: the name of its file.
pub const PLUGIN_TYPE: &str = "netpol-cni";

/// How long a pod's start waits for the agent if the configuration does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The versions of the specification whose configurations are understood. Before 0.3.0 plugins could not be chained.
pub(crate) const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// The newest of them.
pub(crate) const NEWEST: &str = "1.1.0";

/// What happens to a pod's start when the agent is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unavailable {
    /// It fails, and the kubelet tries again.
    #[default]
    Fail,
    /// The pod starts. What the agent left enforces what it knows of; the new pod is not among that.
    Allow,
}

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    /// The version in which results and errors are written.
    #[serde(default)]
    pub(crate) cni_version: String,
    /// The network.
    #[serde(default)]
    pub(crate) name: String,
    /// The agent's socket.
    #[serde(default = "default_socket")]
    pub(crate) socket: PathBuf,
    /// How long to wait for the agent, in seconds.
    #[serde(default)]
    pub(crate) timeout_seconds: Option<f64>,
    /// What to do when the agent is away.
    #[serde(default)]
    pub(crate) on_unavailable: Unavailable,
    /// The result of the plugins before, as it came.
    #[serde(default)]
    pub(crate) prev_result: Option<Box<RawValue>>,
    /// For GC: what is still in use.
    #[serde(default, rename = "cni.dev/valid-attachments")]
    pub(crate) valid_attachments: Option<Vec<AttachmentId>>,
}

impl Config {
    /// Reads it.
    pub(crate) fn read(input: &str) -> Result<Self, Error> {
        serde_json::from_str(input).map_err(|error| {
            Error::new(code::UNDECODABLE, format!("the configuration can't be read: {error}"), "")
        })
    }

    /// Checks the version: what is written must be in it.
    pub(crate) fn check_version(&self) -> Result<(), Error> {
        if VERSIONS.contains(&&*self.cni_version) {
            return Ok(());
        }
        let asked = if self.cni_version.is_empty() { "no version" } else { &self.cni_version };
        Err(Error::new(
            code::INCOMPATIBLE,
            format!("the configuration has cniVersion {asked:?}, which is not supported"),
            format!("supported are {}", VERSIONS.join(", ")),
        ))
    }

    /// How long to wait for the agent.
    pub(crate) fn timeout(&self) -> Result<Duration, Error> {
        let Some(seconds) = self.timeout_seconds else { return Ok(DEFAULT_TIMEOUT) };
        Duration::try_from_secs_f64(seconds).ok().filter(|timeout| *timeout <= LONGEST).ok_or_else(|| {
            Error::new(
                code::INVALID,
                format!("timeoutSeconds is {seconds}, and must be between 0 and {}", LONGEST.as_secs()),
                "",
            )
        })
    }
}

/// Runtimes give up after a few minutes themselves.
const LONGEST: Duration = Duration::from_secs(600);

fn default_socket() -> PathBuf {
    "/run/netpol-enforcer/cni.sock".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults() {
        let config =
            Config::read(r#"{"cniVersion":"1.0.0","name":"pods","type":"netpol-cni"}"#).expect("fine");
        assert_eq!(config.timeout(), Ok(DEFAULT_TIMEOUT));
        assert_eq!(config.on_unavailable, Unavailable::Fail);
        assert_eq!(config.socket, PathBuf::from("/run/netpol-enforcer/cni.sock"));
        assert!(config.prev_result.is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let code_of = |input: &str| -> u32 {
            let read = Config::read(input).and_then(|config| {
                config.check_version()?;
                config.timeout().map(drop)
            });
            read.expect_err(input).0.code
        };
        for (input, expected) in [
            ("", code::UNDECODABLE),
            ("[1]", code::UNDECODABLE),
            (r#"{"cniVersion":"1.0.0","onUnavailable":"perhaps"}"#, code::UNDECODABLE),
            (r#"{"cniVersion":"0.2.0"}"#, code::INCOMPATIBLE),
            ("{}", code::INCOMPATIBLE),
            (r#"{"cniVersion":"2.0.0"}"#, code::INCOMPATIBLE),
            (r#"{"cniVersion":"1.1.0","timeoutSeconds":-1}"#, code::INVALID),
            (r#"{"cniVersion":"1.1.0","timeoutSeconds":1e300}"#, code::INVALID),
        ] {
            assert_eq!(code_of(input), expected, "{input}");
        }
    }
}

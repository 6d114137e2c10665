//! A container runtime as far as CNI is concerned: it reads the first configuration of a directory, and calls the plugins in it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{env, fmt, fs, io};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::lab::netns::NetNs;

/// A runtime, and what it remembers of what it made.
#[derive(Debug)]
pub struct Runtime {
    configurations: PathBuf,
    plugins: Vec<PathBuf>,
    results: Mutex<BTreeMap<String, Value>>,
}

/// A pod's sandbox.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox<'n> {
    /// The container's id.
    pub container: &'n str,
    /// `namespace/name` of the pod; none for a container that is no pod's.
    pub pod: Option<&'n str>,
    /// Its network namespace.
    pub namespace: &'n NetNs,
}

/// What a plugin says when it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The plugin.
    pub plugin: String,
    /// The error code.
    pub code: u64,
    /// `msg` and `details`.
    pub message: String,
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with code {}: {}", self.plugin, self.code, self.message)
    }
}

impl Runtime {
    /// A runtime with this directory of configurations; plugins are looked for in these directories, in order.
    #[must_use]
    pub fn new(configurations: &Path, plugins: &[&Path]) -> Self {
        Self {
            configurations: configurations.to_owned(),
            plugins: plugins.iter().map(|path| path.to_path_buf()).collect(),
            results: Mutex::default(),
        }
    }

    /// Connects a sandbox: ADD of every plugin in turn. The result is the last one's.
    ///
    /// # Errors
    /// With a [`Failure`] when a plugin fails.
    pub fn add(&self, node: &NetNs, sandbox: Sandbox<'_>) -> Result<Value> {
        Ok(self.timed_add(node, sandbox)?.0)
    }

    /// The same, with how long each plugin took, by its type.
    ///
    /// # Errors
    /// As [`Runtime::add`].
    pub fn timed_add(&self, node: &NetNs, sandbox: Sandbox<'_>) -> Result<(Value, Vec<(String, Duration)>)> {
        let list = self.list()?;
        let (mut result, mut times) = (Value::Null, Vec::new());
        for plugin in &list.plugins {
            let start = Instant::now();
            result =
                self.call(node, "ADD", &list, plugin, Some(sandbox), &result)?.context("ADD has a result")?;
            times.push((plugin["type"].as_str().unwrap_or_default().to_owned(), start.elapsed()));
        }
        self.results
            .lock()
            .expect("nobody panics with the lock")
            .insert(sandbox.container.into(), result.clone());
        Ok((result, times))
    }

    /// Asks every plugin whether the sandbox is still as it was made.
    ///
    /// # Errors
    /// With a [`Failure`] when one says no.
    pub fn check(&self, node: &NetNs, sandbox: Sandbox<'_>) -> Result<()> {
        let (list, result) = (self.list()?, self.result(sandbox));
        list.plugins
            .iter()
            .try_for_each(|plugin| self.call(node, "CHECK", &list, plugin, Some(sandbox), &result).map(drop))
    }

    /// Disconnects a sandbox: DEL of every plugin, the last one first.
    ///
    /// # Errors
    /// With a [`Failure`] when a plugin fails.
    pub fn del(&self, node: &NetNs, sandbox: Sandbox<'_>) -> Result<()> {
        let (list, result) = (self.list()?, self.result(sandbox));
        list.plugins
            .iter()
            .rev()
            .try_for_each(|plugin| self.call(node, "DEL", &list, plugin, Some(sandbox), &result).map(drop))
    }

    /// One command of one plugin of the list that has to do with no sandbox: STATUS, GC, VERSION. `more` is added to its configuration.
    ///
    /// # Errors
    /// With a [`Failure`] when it fails.
    pub fn ask(&self, node: &NetNs, plugin: &str, command: &str, more: &Value) -> Result<Option<Value>> {
        let list = self.list()?;
        let found = list.plugins.iter().find(|entry| entry["type"] == plugin).context("it is in the list")?;
        let mut entry = found.clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            entry[key] = value.clone();
        }
        self.call(node, command, &list, &entry, None, &Value::Null)
    }

    /// The types of the plugins in the first configuration.
    ///
    /// # Errors
    /// When there is none that can be read.
    pub fn chain(&self) -> Result<Vec<String>> {
        Ok(self
            .list()?
            .plugins
            .iter()
            .map(|entry| entry["type"].as_str().unwrap_or_default().into())
            .collect())
    }

    fn result(&self, sandbox: Sandbox<'_>) -> Value {
        let results = self.results.lock().expect("nobody panics with the lock");
        results.get(sandbox.container).cloned().unwrap_or_default()
    }

    fn list(&self) -> Result<List> {
        let mut paths = fs::read_dir(&self.configurations)?.collect::<io::Result<Vec<_>>>()?;
        paths.sort_by_key(fs::DirEntry::file_name);
        let known =
            |path: &PathBuf| path.extension().is_some_and(|e| e == "conf" || e == "conflist" || e == "json");
        let path = paths.iter().map(fs::DirEntry::path).find(known).context("there is no configuration")?;
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let value: Value =
            serde_json::from_str(&text).with_context(|| format!("{}: {text:?}", path.display()))?;
        let plugins = match value["plugins"].as_array() {
            Some(plugins) => plugins.clone(),
            None => vec![value.clone()],
        };
        Ok(List { name: value["name"].clone(), version: value["cniVersion"].clone(), plugins })
    }

    fn call(
        &self,
        node: &NetNs,
        command: &str,
        list: &List,
        entry: &Value,
        sandbox: Option<Sandbox<'_>>,
        previous: &Value,
    ) -> Result<Option<Value>> {
        let kind = entry["type"].as_str().context("a plugin has a type")?.to_owned();
        let mut candidates = self.plugins.iter().map(|directory| directory.join(&kind));
        let program =
            candidates.find(|path| path.exists()).with_context(|| format!("there is no plugin {kind}"))?;
        let mut configuration = entry.clone();
        configuration["name"] = list.name.clone();
        configuration["cniVersion"] = list.version.clone();
        if !previous.is_null() {
            configuration["prevResult"] = previous.clone();
        }
        let mut invocation = Command::new(program);
        invocation
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("CNI_COMMAND", command)
            .env("CNI_PATH", env::join_paths(&self.plugins)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(sandbox) = sandbox {
            let arguments = sandbox.pod.and_then(|pod| pod.split_once('/')).map(|(namespace, name)| {
                format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_UID=0")
            });
            invocation
                .env("CNI_CONTAINERID", sandbox.container)
                .env("CNI_NETNS", sandbox.namespace.path())
                .env("CNI_IFNAME", "eth0")
                .env("CNI_ARGS", arguments.unwrap_or_default());
        }
        let output = node.run(|| -> Result<_> {
            let mut child = invocation.spawn().with_context(|| format!("starting {kind}"))?;
            child
                .stdin
                .take()
                .context("the input is a pipe")?
                .write_all(&serde_json::to_vec(&configuration)?)?;
            Ok(child.wait_with_output()?)
        })?;
        let said = String::from_utf8_lossy(&output.stdout);
        let parsed = || {
            serde_json::from_str::<Value>(&said)
                .with_context(|| format!("{kind} said {said:?} {}", String::from_utf8_lossy(&output.stderr)))
        };
        if !output.status.success() {
            let error = parsed()?;
            let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
            let message = format!("{}; {}", text("msg"), text("details"));
            bail!(Failure {
                plugin: kind,
                code: error["code"].as_u64().context("an error has a code")?,
                message
            });
        }
        if said.trim().is_empty() { Ok(None) } else { parsed().map(Some) }
    }
}

#[derive(Debug)]
struct List {
    name: Value,
    version: Value,
    plugins: Vec<Value>,
}

/// The directory of the reference plugins, built first if need be; or why there is none.
///
/// # Errors
/// See above.
pub fn reference_plugins() -> Result<&'static Path, String> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/cni-plugins");
        let built = Command::new(&script).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let built = built.map_err(|error| format!("{}: {error}", script.display()))?;
        if !built.status.success() {
            return Err(
                "scripts/cni-plugins can't build them (it needs Go, and the network once); see above".into(),
            );
        }
        Ok(PathBuf::from(String::from_utf8_lossy(&built.stdout).trim()))
    });
    folder.as_deref().map_err(Clone::clone)
}

/// A configuration of the bridge plugin, or the ptp plugin, for the pods of the first node of a lab. Their addresses are in a part of the
/// node's range that the lab does not use: from [`FIRST`] on, one after another.
#[must_use]
pub fn network(plugin: &str, version: &str, data: &Path) -> Value {
    let range = |subnet: &str, first: String, last: String| json!([{ "subnet": subnet, "rangeStart": first, "rangeEnd": last }]);
    let [v4, v6] = crate::lab::address::pod_ranges(0);
    let [(first4, first6), (last4, last6)] = [FIRST, 250].map(|number| {
        let pair = crate::lab::address::pod(0, number);
        (pair.v4.to_string(), pair.v6.to_string())
    });
    json!({
        "cniVersion": version,
        "name": "lab",
        "plugins": [
            {
                "type": plugin,
                "bridge": "cni0",
                "isGateway": true,
                "hairpinMode": true,
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": data,
                    "ranges": [range(&v4, first4, last4), range(&v6, first6, last6)],
                    "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

/// The number of the first address that [`network`] gives.
pub const FIRST: u8 = 100;

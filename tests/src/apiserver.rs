//! A real API server with a real etcd, for tests that need one. Nothing but these two runs: no controller, no scheduler,
//! no kubelet. So pods, nodes and agents are whatever a test says they are.
//!
//! Where they come from, in this order:
//!
//! 1. `NETPOL_TEST_KUBECONFIG` names a kubeconfig: that cluster is used as it is, with its current context.
//! 2. `KUBEBUILDER_ASSETS` names a folder with `kube-apiserver`, `etcd` and `kubectl`.
//! 3. `scripts/apiserver` builds them, once, from `tests/apiserver/go.mod`.
//!
//! All of it listens on loopback, keeps its data in a temporary directory, and ends with this process, in whatever way
//! that ends.

mod apply;
mod directory;
mod etcd;
mod kubeconfig;
mod namespace;
mod pki;
mod ports;
mod programs;
mod server;

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;
use std::{env, io};

use anyhow::{Context as _, Result, bail, ensure};
use kube::Client;
use tokio::runtime::Runtime;

use self::etcd::Etcd;
use self::kubeconfig::Identity;
pub use self::namespace::TempNamespace;
use self::server::Server;

/// How long each of the two may take until it is ready. A busy machine with two cores needs some ten seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// An API server that tests may ask. Dropping it ends it; the data stays as long as another one uses the same etcd.
#[derive(Debug)]
pub struct ApiServer {
    kubeconfig: PathBuf,
    /// What runs; nothing when somebody else runs it.
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    server: Server,
    etcd: Arc<Etcd>,
}

impl ApiServer {
    /// The one that all tests of a program share; started by the first that asks. Use namespaces of your own in it.
    ///
    /// `None` where there is none: the reason has been said, and the test is to be skipped. With
    /// `NETPOL_REQUIRE_APISERVER=1` that is a failure instead.
    ///
    /// # Panics
    /// See above; and when it can't be started.
    #[must_use]
    pub fn shared(test: &str) -> Option<&'static Self> {
        static SHARED: OnceLock<ApiServer> = OnceLock::new();
        if skip(test) {
            return None;
        }
        Some(SHARED.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("no API server: {error:#}"))))
    }

    /// Starts an etcd and an API server. With `NETPOL_TEST_KUBECONFIG` it is the cluster named there.
    ///
    /// # Errors
    /// When they are missing or don't become ready; with their last words.
    pub fn start() -> Result<Self> {
        if let Some(kubeconfig) = given() {
            return Ok(Self { kubeconfig, own: None });
        }
        Self::of(&Arc::new(Etcd::start()?), &[])
    }

    /// Starts an etcd and an API server with further arguments; files that these name belong into the directory that is given,
    /// and go with it.
    ///
    /// # Errors
    /// When they are missing or don't become ready; and with `NETPOL_TEST_KUBECONFIG`.
    pub fn start_with(arguments: impl FnOnce(&Path) -> Result<Vec<String>>) -> Result<Self> {
        ensure!(given().is_none(), "a given cluster can't be told how to run");
        let etcd = Arc::new(Etcd::start()?);
        let arguments = arguments(etcd.directory.path())?;
        Self::of(&etcd, &arguments)
    }

    /// Another API server on the same etcd: what is written to one can be read from the other.
    ///
    /// # Errors
    /// When it doesn't become ready, or when this one isn't ours.
    pub fn another(&self) -> Result<Self> {
        Self::of(&self.own()?.etcd, &[])
    }

    fn of(etcd: &Arc<Etcd>, arguments: &[String]) -> Result<Self> {
        let server = Server::start(etcd, arguments)?;
        let kubeconfig = server.kubeconfig().to_owned();
        Ok(Self { kubeconfig, own: Some(Own { server, etcd: etcd.clone() }) })
    }

    /// Kills the API server and starts it again at the same address; watches break, the data stays.
    ///
    /// # Errors
    /// When it doesn't become ready again, or when it isn't ours.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        let own = self.own()?;
        own.server.run(&own.etcd)
    }

    /// Kills the API server; [`Self::restart`] brings it back.
    ///
    /// # Errors
    /// When it isn't ours.
    pub fn stop(&self) -> Result<()> {
        self.own()?.server.stop();
        Ok(())
    }

    fn own(&self) -> Result<&Own> {
        self.own.as_ref().context("this API server is somebody else's: NETPOL_TEST_KUBECONFIG is set")
    }

    /// A kubeconfig with every right.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubeconfig that acts as a user who has no rights but those given to it or to its groups.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn kubeconfig_as(&self, user: &str, groups: &[&str]) -> Result<TempKubeconfig> {
        kubeconfig::impersonating(&self.kubeconfig, &Identity::new(user, groups))
    }

    /// A client with every right, for [`block_on`].
    ///
    /// # Errors
    /// When the kubeconfig doesn't do.
    pub fn client(&self) -> Result<Client> {
        kubeconfig::client(&self.kubeconfig, None)
    }

    /// A client that acts as a user who has no rights but those given to it or to its groups, for [`block_on`].
    ///
    /// # Errors
    /// When the kubeconfig doesn't do.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client> {
        kubeconfig::client(&self.kubeconfig, Some(&Identity::new(user, groups)))
    }

    /// A new namespace whose name begins so. Dropping it deletes it.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub fn namespace(&self, prefix: &str) -> Result<TempNamespace> {
        TempNamespace::new(self.client()?, prefix)
    }

    /// Creates or changes all objects of a text, `status` included, as `kubectl apply --server-side` does. Objects that
    /// name no namespace go to `namespace`.
    ///
    /// # Errors
    /// When the text can't be read or the API server refuses something.
    pub fn apply(&self, namespace: &str, text: &str) -> Result<()> {
        block_on(apply::apply(&self.client()?, namespace, text))
    }

    /// Runs `kubectl` with every right; with what it printed when it failed.
    ///
    /// # Errors
    /// When there is none, and when it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let own = programs::find().map(|folder| folder.join("kubectl"));
        // With a cluster given there may be no programs of ours.
        let mut command = Command::new(own.unwrap_or_else(|_| "kubectl".into()));
        // Its cache of what the API server knows belongs to nobody else.
        let cache = tempfile::tempdir()?;
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--cache-dir").arg(cache.path());
        let output = command.args(arguments).stdin(Stdio::null()).output().context("running kubectl")?;
        let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        ensure!(output.status.success(), "kubectl {} failed:\n{}", arguments.join(" "), printed.concat());
        Ok(printed.concat())
    }

    /// Deletes all objects of a text; those that aren't there don't matter.
    ///
    /// # Errors
    /// When the text can't be read or the API server refuses something.
    pub fn delete(&self, namespace: &str, text: &str) -> Result<()> {
        block_on(apply::delete(&self.client()?, namespace, text))
    }
}

pub use kubeconfig::TempKubeconfig;

/// Whether a test must be skipped because there is no API server; says so, and why, where it is seen. With
/// `NETPOL_REQUIRE_APISERVER=1` it fails instead.
///
/// # Panics
/// See above.
#[must_use]
pub fn skip(test: &str) -> bool {
    let Err(missing) = available() else { return false };
    let required = env::var_os("NETPOL_REQUIRE_APISERVER").is_some_and(|value| value == "1");
    assert!(!required, "NETPOL_REQUIRE_APISERVER=1, but {test} can't run here: {missing}");
    // Not by a macro: the test harness would swallow it.
    let _ = writeln!(io::stderr(), "skipped: {test}; no API server: {missing}");
    true
}

/// Waits for something asynchronous, on the runtime that the clients of this module belong to.
///
/// # Panics
/// From inside another runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().expect("a thread can be started")
    });
    &RUNTIME
}

fn available() -> Result<(), String> {
    if given().is_some() { Ok(()) } else { programs::find().map(|_| ()) }
}

fn given() -> Option<PathBuf> {
    env::var_os("NETPOL_TEST_KUBECONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Asks until the answer is yes; `ended` says whether there is no hope left.
fn wait_until_ready(what: &str, mut ready: impl FnMut() -> bool, ended: impl Fn() -> bool) -> Result<()> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if ready() {
            return Ok(());
        }
        if ended() {
            bail!("{what} ended");
        }
        ensure!(std::time::Instant::now() < deadline, "{what} is not ready after {PATIENCE:?}");
        // Each question costs a connection; nothing is won by asking faster.
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

//! Putting the plugin on the node: its file beside the other plugins, and its name into the runtime's configuration.
//!
//! The runtime uses the first configuration in its directory. That file belongs to the network plugin, which may write it again at any
//! time; so it is looked at again and again. It is only ever replaced as a whole, never by one that could not be read back.

mod conflist;
mod files;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use netpol_cni::{PLUGIN_TYPE, protocol};
use serde::Serialize;

use self::conflist::Conflist;
use crate::log;

/// Where the plugin goes.
#[derive(Clone, Debug, clap::Args)]
pub struct CniPlaces {
    /// Where the runtime's CNI plugins are.
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    pub cni_bin_dir: PathBuf,
    /// Where the runtime's CNI configuration is.
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,
}

/// The plugin's entry in the runtime's configuration.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    r#type: &'static str,
    socket: PathBuf,
    timeout_seconds: u32,
    on_unavailable: &'static str,
}

impl Entry {
    /// One that leads to the agent with this state directory.
    #[must_use]
    pub fn new(state_dir: &Path, timeout_seconds: u32, allow_when_away: bool) -> Self {
        Self {
            r#type: PLUGIN_TYPE,
            socket: state_dir.join(protocol::SOCKET),
            timeout_seconds,
            on_unavailable: if allow_when_away { "allow" } else { "fail" },
        }
    }
}

/// What is to be on the node.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The plugin's own file, from which it is copied.
    pub program: PathBuf,
    /// Where to.
    pub places: CniPlaces,
    /// Its entry.
    pub entry: Entry,
}

/// How often the runtime's configuration is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

impl Installation {
    /// The plugin's file: given, or beside the agent's own.
    ///
    /// # Errors
    /// When it is not there.
    pub fn program(given: Option<PathBuf>) -> Result<PathBuf> {
        let path = match given {
            Some(path) => path,
            None => std::env::current_exe()
                .context("looking for the agent's own file")?
                .with_file_name(PLUGIN_TYPE),
        };
        if !path.is_file() {
            bail!(
                "{} is missing: --install-cni copies it to the node; name another with --cni-plugin",
                path.display()
            );
        }
        Ok(path)
    }

    /// Installs, and sees to it on a thread of its own that it stays installed.
    ///
    /// # Errors
    /// When the thread can't be started. What goes wrong later is logged, once each time it changes, and tried again.
    pub fn keep(self) -> io::Result<()> {
        thread::Builder::new().name("cni-install".into()).spawn(move || {
            let mut before = None;
            loop {
                let now = self.install();
                let text = match &now {
                    Ok(Some(path)) => Some(Ok(path.display().to_string())),
                    Ok(None) => None,
                    Err(error) => Some(Err(format!("{error:#}"))),
                };
                if text.is_some() && text != before {
                    match &text {
                        Some(Ok(path)) => log::info("CNI plugin chained", &[("configuration", path)]),
                        Some(Err(error)) => {
                            log::warn("the CNI plugin can't be chained yet", &[("error", error)]);
                        }
                        None => {}
                    }
                }
                // Nothing to do says nothing new, unless something went wrong before.
                if text.is_some() || before.as_ref().is_some_and(Result::is_err) {
                    before = text;
                }
                thread::sleep(INTERVAL);
            }
        })?;
        Ok(())
    }

    /// Installs what is missing. Returns the configuration that was changed, if one had to be.
    ///
    /// # Errors
    /// When a file can't be read or written, or there is no configuration that the plugin can be chained into. Nothing is half done then.
    pub fn install(&self) -> Result<Option<PathBuf>> {
        files::copy_program(&self.program, &self.places.cni_bin_dir)?;
        let Some(first) = files::configurations(&self.places.cni_conf_dir)?.into_iter().next() else {
            bail!("there is no configuration in {} yet", self.places.cni_conf_dir.display());
        };
        let entry = serde_json::to_string(&self.entry)?;
        if first.extension().is_some_and(|extension| extension == "conflist") {
            let changed = files::edit(&first, |text| Conflist::read(text)?.with(PLUGIN_TYPE, &entry))?;
            return Ok(changed.then_some(first));
        }
        // A configuration of one plugin, which takes precedence as long as it is there.
        let text = fs::read_to_string(&first).with_context(|| format!("reading {}", first.display()))?;
        let list = Conflist::of_one(&text)
            .and_then(|list| list.with(PLUGIN_TYPE, &entry))
            .with_context(|| first.display().to_string())?
            .context("a plugin can't be chained to itself")?;
        let chained = first.with_extension("conflist");
        files::write(&chained, &list, Some(&first))?;
        fs::rename(&first, files::aside(&first))
            .with_context(|| format!("moving {} aside", first.display()))?;
        Ok(Some(chained))
    }
}

impl CniPlaces {
    /// Takes the plugin that leads to the agent with this state directory out of every configuration, and its file away if no other
    /// agent's is left. Returns the configurations that were changed.
    ///
    /// # Errors
    /// When a file can't be read or written.
    pub fn remove(&self, state_dir: &Path) -> Result<Vec<PathBuf>> {
        let socket = state_dir.join(protocol::SOCKET);
        let mut changed = Vec::new();
        let mut others = false;
        for path in files::configurations(&self.cni_conf_dir)? {
            // What can't be read as a list has no plugin of ours.
            let Ok(list) =
                fs::read_to_string(&path).map_err(Into::into).and_then(|text| Conflist::read(&text))
            else {
                continue;
            };
            match list.socket_of(PLUGIN_TYPE) {
                Some(its) if Path::new(&its) == socket => {}
                Some(_) => {
                    others = true;
                    continue;
                }
                None => continue,
            }
            if files::restore(&path)?
                || files::edit(&path, |text| Ok(Conflist::read(text)?.without(PLUGIN_TYPE)))?
            {
                changed.push(path);
            }
        }
        if !others {
            files::remove_program(&self.cni_bin_dir)?;
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests;

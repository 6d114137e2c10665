//! `netpol-enforcer cleanup`.

use anyhow::{Context, Result, bail};

use super::print;
use crate::cli::Cleanup;
use crate::cni::Attachments;
use crate::kernel::{Pins, forget_layouts};
use crate::lock;
use crate::monitor;
use crate::report::Report;
use crate::signal;

/// Takes the CNI plugin out, and removes all programs and maps.
pub(super) fn cleanup(Cleanup { places, cni, stay }: &Cleanup) -> Result<()> {
    let signals = if *stay { Some(signal::block().context("blocking signals")?) } else { None };
    let Some(_lock) = lock::take(&places.state_dir)? else {
        bail!("the agent runs: stop it first, it would attach its programs again");
    };
    // First: without the agent no pod would start any more.
    for configuration in cni.remove(&places.state_dir)? {
        print(format!("removed netpol-cni from {}\n", configuration.display()).as_bytes())?;
    }
    Attachments::remove(&places.state_dir).context("removing what the CNI plugin said")?;
    let pins = Pins::at(&places.bpffs);
    let (mut links, mut maps) = (0, 0);
    for pins in std::iter::once(pins.clone()).chain(pins.others()?) {
        let removed = pins.remove_all()?;
        (links, maps) = (links + removed.0, maps + removed.1);
    }
    forget_layouts(&places.state_dir, None).context("removing the description of the maps")?;
    Report::remove(&places.state_dir).context("removing the state file")?;
    // Left by an agent that was killed.
    let _ = std::fs::remove_file(monitor::socket(&places.state_dir));
    let _ = std::fs::remove_file(places.state_dir.join(netpol_cni::protocol::SOCKET));
    let done = if links == 0 && maps == 0 {
        format!("nothing was pinned under {}\n", places.bpffs.display())
    } else {
        format!("removed {links} hooks and {maps} maps: nothing is enforced on this node any more\n")
    };
    print(done.as_bytes())?;
    if let Some(signals) = signals {
        signals.wait();
    }
    Ok(())
}

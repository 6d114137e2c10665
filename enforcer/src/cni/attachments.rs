//! The interfaces of pods that the CNI plugin has told of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use netpol_cni::protocol::{Attachment, AttachmentId};
use netpol_policy::model::{WorkloadKind, WorkloadName};
use serde::{Deserialize, Serialize};

use crate::netlink::{Link, LinkKind};

/// A pod's interface, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// What the plugin said.
    #[serde(flatten)]
    pub attachment: Attachment,
    /// The veth on the node, once it was found.
    pub link: Option<u32>,
    /// Grows with every attachment: of two with the same pod or address, the later one holds.
    pub number: u64,
}

/// All of them. They are kept in a file: a pod that was told of is not told of again when the agent is restarted, and the cluster
/// may not say its addresses yet.
#[derive(Debug)]
pub struct Attachments {
    file: PathBuf,
    /// Interface indexes mean something in one network namespace only.
    network_namespace: u64,
    known: Vec<Attached>,
}

#[derive(Deserialize, Serialize)]
struct Stored {
    network_namespace: u64,
    attachments: Vec<Attached>,
}

impl Attachments {
    /// Those that an earlier run in this network namespace left; none if it left none that can be read.
    #[must_use]
    pub fn open(state_dir: &Path, network_namespace: u64) -> Self {
        let file = state_dir.join("attachments.json");
        let stored = fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Stored>(&text).ok());
        let stored = stored.filter(|stored| stored.network_namespace == network_namespace);
        Self { file, network_namespace, known: stored.map_or_else(Vec::new, |stored| stored.attachments) }
    }

    /// Removes the file.
    ///
    /// # Errors
    /// When it is there and can't be removed.
    pub fn remove(state_dir: &Path) -> io::Result<()> {
        match fs::remove_file(state_dir.join("attachments.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Adds one, in the place of any that it contradicts: of the same interface, the same pod, or with the same address.
    ///
    /// # Errors
    /// When it can't be written down.
    pub fn add(&mut self, attachment: Attachment) -> io::Result<()> {
        self.known.retain(|known| {
            let known = &known.attachment;
            known.id != attachment.id
                && (&known.namespace, &known.name) != (&attachment.namespace, &attachment.name)
                && !known.addresses.iter().any(|address| attachment.addresses.contains(address))
        });
        let number = self.known.iter().map(|known| known.number + 1).max().unwrap_or(1);
        self.known.push(Attached { attachment, link: None, number });
        self.write()
    }

    /// Forgets one. Returns whether it was known.
    ///
    /// # Errors
    /// When that can't be written down.
    pub fn release(&mut self, id: &AttachmentId) -> io::Result<bool> {
        self.retain(|known| known.attachment.id != *id)
    }

    /// Forgets those of a network that are not in use.
    ///
    /// # Errors
    /// When that can't be written down.
    pub fn collect(&mut self, network: &str, valid: &[AttachmentId]) -> io::Result<bool> {
        let valid: BTreeSet<&AttachmentId> = valid.iter().collect();
        self.retain(|known| known.attachment.network != network || valid.contains(&known.attachment.id))
    }

    /// Finds the veths, and forgets those whose veth is gone.
    ///
    /// # Errors
    /// When a change can't be written down.
    pub fn find_links(&mut self, links: &[Link]) -> io::Result<()> {
        if self.known.is_empty() {
            return Ok(());
        }
        let present: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        let mut changed = self.forget(|known| known.link.is_none_or(|link| present.contains(&link)));
        let mut taken: BTreeSet<u32> = self.known.iter().filter_map(|known| known.link).collect();
        for known in self.known.iter_mut().filter(|known| known.link.is_none()) {
            if let Some(link) = find(links, &known.attachment, &taken) {
                known.link = Some(link);
                taken.insert(link);
                changed = true;
            }
        }
        if changed { self.write() } else { Ok(()) }
    }

    /// The pods by the veths that lead to them.
    #[must_use]
    pub fn by_link(&self) -> BTreeMap<u32, WorkloadName> {
        self.known.iter().filter_map(|known| Some((known.link?, pod(&known.attachment)))).collect()
    }

    /// The addresses of the pods whose veth is there.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<WorkloadName, BTreeSet<IpAddr>> {
        let found = self.known.iter().filter(|known| known.link.is_some());
        found
            .map(|known| (pod(&known.attachment), known.attachment.addresses.iter().copied().collect()))
            .collect()
    }

    /// The one with an id.
    #[must_use]
    pub fn get(&self, id: &AttachmentId) -> Option<&Attached> {
        self.known.iter().find(|known| known.attachment.id == *id)
    }

    fn retain(&mut self, keep: impl Fn(&Attached) -> bool) -> io::Result<bool> {
        let changed = self.forget(keep);
        if changed {
            self.write()?;
        }
        Ok(changed)
    }

    fn forget(&mut self, keep: impl Fn(&Attached) -> bool) -> bool {
        let before = self.known.len();
        self.known.retain(keep);
        self.known.len() != before
    }

    fn write(&self) -> io::Result<()> {
        let stored = Stored { network_namespace: self.network_namespace, attachments: self.known.clone() };
        let fresh = self.file.with_extension("json.new");
        fs::write(&fresh, serde_json::to_vec(&stored)?)?;
        fs::rename(fresh, &self.file)
    }
}

/// The pod of an attachment.
#[must_use]
pub(crate) fn pod(attachment: &Attachment) -> WorkloadName {
    WorkloadName::new(&*attachment.namespace, WorkloadKind::Pod, &*attachment.name)
}

/// The veth of an attachment: one that the plugins name, whose other end holds its addresses; else any with its addresses.
fn find(links: &[Link], attachment: &Attachment, taken: &BTreeSet<u32>) -> Option<u32> {
    let named = |link: &&Link| attachment.host_interfaces.contains(&link.name);
    let holds = |link: &&Link| {
        let there = link.peer.as_ref().and_then(|peer| peer.addresses.as_ref());
        there.is_some_and(|there| attachment.addresses.iter().any(|address| there.contains(address)))
    };
    // A namespace that can't be asked: then what the plugins say must do.
    let silent = |link: &&Link| link.peer.as_ref().is_some_and(|peer| peer.addresses.is_none());
    let veths = || {
        let free =
            |link: &&Link| link.kind == LinkKind::Veth && link.peer.is_some() && !taken.contains(&link.index);
        links.iter().filter(free)
    };
    let found = veths()
        .find(|link| named(link) && holds(link))
        .or_else(|| veths().find(|link| named(link) && silent(link)))
        .or_else(|| veths().find(holds));
    found.map(|link| link.index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Peer;

    fn attachment(container: &str, name: &str, address: &str, interface: &str) -> Attachment {
        Attachment {
            id: id(container),
            network: "pods".into(),
            namespace: "shop".into(),
            name: name.into(),
            addresses: vec![address.parse().expect("an address")],
            host_interfaces: vec!["cni0".into(), interface.into()],
        }
    }

    fn id(container: &str) -> AttachmentId {
        AttachmentId { container: container.into(), interface: "eth0".into() }
    }

    fn veth(index: u32, address: Option<&str>) -> Link {
        let addresses = address.map(|address| vec![address.parse().expect("an address")]);
        Link {
            index,
            name: format!("veth{index}"),
            kind: LinkKind::Veth,
            ethernet: true,
            master: None,
            overlay: None,
            peer: Some(Peer { netns: 0, index: 2, addresses, link_local: vec![], mac: None }),
            addresses: vec![],
        }
    }

    fn bound(attachments: &Attachments) -> Vec<(u32, String)> {
        attachments.by_link().into_iter().map(|(link, pod)| (link, pod.name.to_string())).collect()
    }

    #[test]
    fn they_live_as_long_as_their_veth_and_survive_the_agent() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut attachments = Attachments::open(directory.path(), 1);
        attachments.add(attachment("c1", "db", "10.0.0.2", "veth4")).expect("written");
        attachments.add(attachment("c2", "web", "10.0.0.3", "veth5")).expect("written");
        // No veth yet: nothing is bound, nothing is forgotten.
        attachments.find_links(&[]).expect("written");
        assert_eq!(bound(&attachments), []);
        let links = [veth(4, Some("10.0.0.2")), veth(5, None), veth(6, Some("10.0.0.9"))];
        attachments.find_links(&links).expect("written");
        let both = [(4, "db".to_owned()), (5, "web".to_owned())];
        assert_eq!(bound(&attachments), both);
        assert_eq!(bound(&Attachments::open(directory.path(), 1)), both);
        assert_eq!(bound(&Attachments::open(directory.path(), 2)), []);
        attachments.find_links(&links[..1]).expect("written");
        assert_eq!(bound(&attachments), both[..1]);
        assert!(attachments.release(&id("c1")).expect("written"));
        assert!(!attachments.release(&id("c1")).expect("nothing to write"));
        assert_eq!(bound(&Attachments::open(directory.path(), 1)), []);
    }

    #[test]
    fn the_later_one_holds() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut attachments = Attachments::open(directory.path(), 1);
        attachments.add(attachment("c1", "db", "10.0.0.2", "veth4")).expect("written");
        // The address is given again before the first pod's DEL came, and the pod gets a new sandbox.
        attachments.add(attachment("c2", "web", "10.0.0.2", "veth5")).expect("written");
        attachments.add(attachment("c3", "web", "10.0.0.4", "veth6")).expect("written");
        assert!(attachments.get(&id("c1")).is_none() && attachments.get(&id("c2")).is_none());
        attachments.find_links(&[veth(5, Some("10.0.0.2")), veth(6, Some("10.0.0.4"))]).expect("written");
        assert_eq!(bound(&attachments), [(6, "web".to_owned())]);
    }

    #[test]
    fn what_is_not_in_use_is_collected_for_one_network() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut attachments = Attachments::open(directory.path(), 1);
        let other = Attachment { network: "other".into(), ..attachment("c3", "c", "10.0.0.4", "veth6") };
        for one in
            [attachment("c1", "a", "10.0.0.2", "veth4"), attachment("c2", "b", "10.0.0.3", "veth5"), other]
        {
            attachments.add(one).expect("written");
        }
        assert!(attachments.collect("pods", &[id("c2")]).expect("written"));
        let left = ["c1", "c2", "c3"].map(|container| attachments.get(&id(container)).is_some());
        assert_eq!(left, [false, true, true]);
    }

    #[test]
    fn a_veth_that_plugins_do_not_name_is_found_by_its_address() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut attachments = Attachments::open(directory.path(), 1);
        let silent = Attachment { host_interfaces: vec![], ..attachment("c1", "db", "10.0.0.2", "") };
        attachments.add(silent).expect("written");
        attachments.find_links(&[veth(4, Some("10.0.0.3")), veth(7, Some("10.0.0.2"))]).expect("written");
        assert_eq!(bound(&attachments), [(7, "db".to_owned())]);
    }
}

//! Where pods listen, as far as they and the Services in front of them say.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use netpol_policy::model::{ObjectName, Pod, PortName, Protocol, Service, ServicePort, TargetPort};

/// The ports of some pods.
#[derive(Debug, Default)]
pub struct Listening {
    /// How many pods these are.
    pub pods: usize,
    /// Every pod declares at least one port.
    pub all_declare: bool,
    /// Every pod declares at least one port or is behind a Service.
    pub all_known: bool,
    /// Ports that a container declares.
    pub declared: BTreeSet<(Protocol, NonZeroU16)>,
    /// Ports by the names that containers give them.
    pub named: BTreeMap<PortName, BTreeSet<(Protocol, NonZeroU16)>>,
    /// Ports of the pods that a Service leads to.
    pub targets: BTreeSet<(Protocol, NonZeroU16)>,
    /// Ports of Services in front of the pods, with where they lead.
    pub services: BTreeMap<(Protocol, NonZeroU16), BTreeSet<(ObjectName, NonZeroU16)>>,
}

impl Listening {
    /// Of no pods.
    pub(super) fn nowhere() -> Self {
        Self { all_declare: true, all_known: true, ..Self::default() }
    }

    /// Adds what a pod says, without counting it.
    pub(super) fn add<'c>(&mut self, pod: &Pod, services: impl Iterator<Item = &'c Service>) {
        for port in &pod.ports {
            self.declared.insert((port.protocol, port.port));
            if let Some(name) = &port.name {
                // Pods of one kind have the same names: most are there already.
                match self.named.get_mut(name) {
                    Some(ports) => _ = ports.insert((port.protocol, port.port)),
                    None => {
                        self.named.insert(name.clone(), [(port.protocol, port.port)].into());
                    }
                }
            }
        }
        let mut behind = false;
        for service in services {
            for port in &service.ports {
                let Some(target) = target(pod, port) else { continue };
                behind = true;
                self.targets.insert((port.protocol, target));
                let fronts = self.services.entry((port.protocol, port.port)).or_default();
                if !fronts.iter().any(|(name, known)| *name == service.name && *known == target) {
                    fronts.insert((service.name.clone(), target));
                }
            }
        }
        self.all_declare &= !pod.ports.is_empty();
        self.all_known &= behind || !pod.ports.is_empty();
    }

    /// Whether a pod says that it listens on one of some ports, or a Service leads there.
    pub fn on(&self, protocol: Protocol, first: NonZeroU16, last: NonZeroU16) -> bool {
        let range = (protocol, first)..=(protocol, last);
        self.declared.range(range.clone()).next().is_some() || self.targets.range(range).next().is_some()
    }
}

/// Where a Service port leads at a pod.
fn target(pod: &Pod, port: &ServicePort) -> Option<NonZeroU16> {
    match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => pod.named_ports(port.protocol, name).next(),
    }
}

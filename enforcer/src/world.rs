//! The cluster's objects as they are now, changed one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use netpol_policy::model::{
    Cluster, EndpointSlice, Namespace, NetworkPolicy, Node, ObjectName, Pod, Service,
};

/// Every object that matters, by kind and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    namespaces: BTreeMap<ObjectName, Namespace>,
    nodes: BTreeMap<ObjectName, Node>,
    pods: BTreeMap<ObjectName, Pod>,
    services: BTreeMap<ObjectName, Service>,
    slices: BTreeMap<ObjectName, EndpointSlice>,
    policies: BTreeMap<ObjectName, NetworkPolicy>,
    unreadable: BTreeMap<(Kind, ObjectName), Box<str>>,
}

/// The kinds of objects that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the Kubernetes kinds")]
pub enum Kind {
    Namespace,
    Node,
    Pod,
    Service,
    EndpointSlice,
    NetworkPolicy,
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the Kubernetes kinds")]
pub enum Object {
    Namespace(Namespace),
    Node(Node),
    Pod(Box<Pod>),
    Service(Box<Service>),
    EndpointSlice(EndpointSlice),
    NetworkPolicy(Box<NetworkPolicy>),
}

/// A change of one object, or of all of a kind. Names of objects without a namespace have an empty one.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// This is what the object is now.
    Put(ObjectName, Object),
    /// It is gone.
    Gone(Kind, ObjectName),
    /// It is there, but can't be read: why.
    Unreadable(Kind, ObjectName, Box<str>),
    /// These are all objects of a kind; each of them a [`Change::Put`] or a [`Change::Unreadable`].
    All(Kind, Vec<Change>),
}

impl World {
    /// Makes a change. Returns whether anything is other than before.
    pub fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::Put(name, object) => {
                let readable = self.unreadable.remove(&(object.kind(), name.clone())).is_some();
                self.put(name, object) || readable
            }
            Change::Gone(kind, name) => {
                let unreadable = self.unreadable.remove(&(kind, name.clone())).is_some();
                self.remove(kind, &name) || unreadable
            }
            Change::Unreadable(kind, name, why) => self.unreadable(kind, name, why),
            Change::All(kind, changes) => self.replace(kind, changes),
        }
    }

    /// What can't be read, and why: `NetworkPolicy shop/db: …`.
    pub fn complaints(&self) -> impl Iterator<Item = String> {
        self.unreadable.iter().map(|((kind, name), why)| format!("{kind} {}: {why}", shown(name)))
    }

    /// All objects together.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        Cluster {
            namespaces: self
                .namespaces
                .values()
                .map(|namespace| (namespace.name().into(), namespace.clone()))
                .collect(),
            nodes: self.nodes.values().cloned().collect(),
            pods: self.pods.values().cloned().collect(),
            services: self.services.values().cloned().collect(),
            endpoint_slices: self.slices.values().cloned().collect(),
            entry_points: Vec::new(),
            policies: self.policies.values().cloned().collect(),
        }
    }

    fn put(&mut self, name: ObjectName, object: Object) -> bool {
        match object {
            Object::Namespace(object) => put(&mut self.namespaces, name, object),
            Object::Node(object) => put(&mut self.nodes, name, object),
            Object::Pod(object) => put(&mut self.pods, name, *object),
            Object::Service(object) => put(&mut self.services, name, *object),
            Object::EndpointSlice(object) => put(&mut self.slices, name, object),
            Object::NetworkPolicy(object) => put(&mut self.policies, name, *object),
        }
    }

    fn remove(&mut self, kind: Kind, name: &ObjectName) -> bool {
        match kind {
            Kind::Namespace => self.namespaces.remove(name).is_some(),
            Kind::Node => self.nodes.remove(name).is_some(),
            Kind::Pod => self.pods.remove(name).is_some(),
            Kind::Service => self.services.remove(name).is_some(),
            Kind::EndpointSlice => self.slices.remove(name).is_some(),
            Kind::NetworkPolicy => self.policies.remove(name).is_some(),
        }
    }

    /// An object that can't be read is not there, and so a pod is closed. A policy isolates somebody, nobody knows whom:
    /// it isolates its whole namespace and allows nothing.
    fn unreadable(&mut self, kind: Kind, name: ObjectName, why: Box<str>) -> bool {
        if kind == Kind::NetworkPolicy {
            self.put(name.clone(), Object::NetworkPolicy(Box::new(closing(&name))));
        } else {
            self.remove(kind, &name);
        }
        put(&mut self.unreadable, (kind, name), why)
    }

    /// Nothing is removed for a moment only: a list read anew changes what differs and no more.
    fn replace(&mut self, kind: Kind, changes: Vec<Change>) -> bool {
        let mut left: BTreeSet<ObjectName> = self.names(kind);
        left.extend(self.unreadable.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name.clone()));
        let mut changed = false;
        for change in changes {
            if let Change::Put(name, _) | Change::Unreadable(_, name, _) = &change {
                left.remove(name);
                changed |= self.apply(change);
            }
        }
        for name in left {
            changed |= self.apply(Change::Gone(kind, name));
        }
        changed
    }

    fn names(&self, kind: Kind) -> BTreeSet<ObjectName> {
        match kind {
            Kind::Namespace => self.namespaces.keys().cloned().collect(),
            Kind::Node => self.nodes.keys().cloned().collect(),
            Kind::Pod => self.pods.keys().cloned().collect(),
            Kind::Service => self.services.keys().cloned().collect(),
            Kind::EndpointSlice => self.slices.keys().cloned().collect(),
            Kind::NetworkPolicy => self.policies.keys().cloned().collect(),
        }
    }
}

impl Object {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Namespace(_) => Kind::Namespace,
            Self::Node(_) => Kind::Node,
            Self::Pod(_) => Kind::Pod,
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::NetworkPolicy(_) => Kind::NetworkPolicy,
        }
    }
}

/// As in a manifest's `kind`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

fn put<K: Ord, V: PartialEq>(objects: &mut BTreeMap<K, V>, name: K, object: V) -> bool {
    if objects.get(&name) == Some(&object) {
        return false;
    }
    objects.insert(name, object);
    true
}

fn closing(name: &ObjectName) -> NetworkPolicy {
    NetworkPolicy {
        name: name.clone(),
        pod_selector: netpol_policy::model::LabelSelector::default(),
        ingress: Some(Vec::new()),
        egress: Some(Vec::new()),
    }
}

fn shown(name: &ObjectName) -> String {
    if name.namespace.is_empty() { name.name.to_string() } else { name.to_string() }
}

#[cfg(test)]
mod tests {
    use netpol_policy::model::{Labels, WorkloadKind, WorkloadName};

    use super::*;

    fn pod(name: &str, node: &str) -> Change {
        let mut pod = Pod::new(WorkloadName::new("shop", WorkloadKind::Pod, name), Labels::new());
        pod.node = Some(node.into());
        Change::Put(ObjectName::new("shop", name), Object::Pod(Box::new(pod)))
    }

    fn names(world: &World) -> Vec<String> {
        world.cluster().pods.iter().map(|pod| pod.name.name.to_string()).collect()
    }

    #[test]
    fn only_differences_are_changes() {
        let mut world = World::default();
        assert!(world.apply(pod("a", "one")));
        assert!(!world.apply(pod("a", "one")));
        assert!(world.apply(pod("a", "two")));
        assert!(!world.apply(Change::Gone(Kind::Pod, ObjectName::new("shop", "b"))));
        assert!(world.apply(Change::All(Kind::Pod, vec![pod("a", "two"), pod("b", "one")])));
        assert!(!world.apply(Change::All(Kind::Pod, vec![pod("b", "one"), pod("a", "two")])));
        assert_eq!(names(&world), ["a", "b"]);
        assert!(world.apply(Change::All(Kind::Pod, vec![pod("b", "one")])));
        assert_eq!(names(&world), ["b"]);
    }

    #[test]
    fn what_cannot_be_read_closes_and_is_told() {
        let mut world = World::default();
        let name = ObjectName::new("shop", "db");
        assert!(world.apply(Change::Unreadable(Kind::NetworkPolicy, name.clone(), "odd".into())));
        assert!(!world.apply(Change::Unreadable(Kind::NetworkPolicy, name.clone(), "odd".into())));
        assert_eq!(world.complaints().collect::<Vec<_>>(), ["NetworkPolicy shop/db: odd"]);
        let policies = world.cluster().policies;
        assert_eq!(policies, [closing(&name)]);
        assert!(world.apply(Change::Gone(Kind::NetworkPolicy, name)));
        assert_eq!(world, World::default());

        world.apply(pod("a", "one"));
        world.apply(Change::Unreadable(Kind::Pod, ObjectName::new("shop", "a"), "odd".into()));
        assert_eq!(names(&world), Vec::<String>::new());
        assert!(world.apply(pod("a", "one")));
        assert_eq!(world.complaints().count(), 0);
    }
}

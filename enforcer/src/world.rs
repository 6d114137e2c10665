//! The cluster's objects as they are now, changed one by one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use netpol_policy::model::{
    Cluster, EndpointSlice, Namespace, NetworkPolicy, Node, ObjectName, Pod, Service, WorkloadKind,
    WorkloadName,
};

/// Every object that matters, by kind and name.
///
/// Where namespaces are always known, a pod whose namespace isn't known yet is not known yet either: what its namespace asks
/// for could not be enforced.
#[derive(Clone, Debug, Default)]
pub struct World {
    needs_namespaces: bool,
    touched: Touched,
    namespaces: BTreeMap<Box<str>, Namespace>,
    nodes: BTreeMap<ObjectName, Node>,
    pods: BTreeMap<WorkloadName, Pod>,
    services: BTreeMap<ObjectName, Service>,
    slices: BTreeMap<ObjectName, EndpointSlice>,
    policies: BTreeMap<ObjectName, Arc<NetworkPolicy>>,
    unreadable: BTreeMap<(Kind, ObjectName), Box<str>>,
}

/// What changed since somebody last looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Pods that are other than before, came or went.
    pub pods: BTreeSet<WorkloadName>,
    /// Namespaces with other labels.
    pub namespaces: BTreeSet<Box<str>>,
    /// Namespaces with other policies.
    pub policies: BTreeSet<Box<str>>,
    /// Services are other than before.
    pub services: bool,
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
    NetworkPolicy(Arc<NetworkPolicy>),
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
    /// Nothing, in a cluster that says all of its namespaces.
    #[must_use]
    pub fn with_all_namespaces() -> Self {
        Self { needs_namespaces: true, ..Self::default() }
    }

    /// What changed since this was last called.
    pub fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    /// A pod, if it can be told what holds for it.
    #[must_use]
    pub fn pod(&self, name: &WorkloadName) -> Option<&Pod> {
        self.pods.get(name).filter(|pod| self.is_placed(pod))
    }

    /// All pods.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values().filter(|pod| self.is_placed(pod))
    }

    /// The pods of a namespace.
    pub fn pods_of(&self, namespace: &str) -> impl Iterator<Item = &Pod> {
        let first = WorkloadName::new(namespace, WorkloadKind::ALL[0], "");
        let pods = self.pods.range(first..).map(|(_, pod)| pod);
        pods.take_while(move |pod| *pod.name.namespace == *namespace).filter(|pod| self.is_placed(pod))
    }

    /// The namespace of that name; one without an object has no labels but its name.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Cow<'_, Namespace> {
        let known = self.namespaces.get(name);
        known.map_or_else(|| Cow::Owned(Namespace::new(name, Default::default())), Cow::Borrowed)
    }

    /// The policies of a namespace.
    pub fn policies_of<'w>(&'w self, namespace: &'w str) -> impl Iterator<Item = &'w NetworkPolicy> {
        let policies = self.policies.range(ObjectName::new(namespace, "")..);
        policies.take_while(move |(name, _)| *name.namespace == *namespace).map(|(_, policy)| &**policy)
    }

    /// All Services.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// Whether there is an object of this namespace.
    #[must_use]
    pub fn knows(&self, namespace: &str) -> bool {
        self.namespaces.contains_key(namespace)
    }

    /// How many objects there are of each kind, by the kind's name in lower case.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, usize); 6] {
        [
            ("namespace", self.namespaces.len()),
            ("node", self.nodes.len()),
            ("pod", self.pods.len()),
            ("service", self.services.len()),
            ("endpointslice", self.slices.len()),
            ("networkpolicy", self.policies.len()),
        ]
    }

    /// Makes these all the objects. Returns whether anything is other than before.
    pub fn become_cluster(&mut self, cluster: Cluster) -> bool {
        let named = |name: &str| ObjectName::new("", name);
        let put = |name: ObjectName, object| Change::Put(name, object);
        let of_pod = |pod: Pod| {
            let name = ObjectName::new(pod.name.namespace.clone(), pod.name.name.clone());
            put(name, Object::Pod(Box::new(pod)))
        };
        let of_service = |service: Service| put(service.name.clone(), Object::Service(Box::new(service)));
        // A slice's own name says nothing.
        let of_slice = |(number, slice): (usize, EndpointSlice)| {
            put(ObjectName::new("", number.to_string()), Object::EndpointSlice(slice))
        };
        let of_policy = |policy: Arc<NetworkPolicy>| put(policy.name.clone(), Object::NetworkPolicy(policy));
        let namespaces = cluster.namespaces.into_values();
        let all = [
            (Kind::Namespace, namespaces.map(|n| put(named(n.name()), Object::Namespace(n))).collect()),
            (Kind::Node, cluster.nodes.into_iter().map(|n| put(named(&n.name), Object::Node(n))).collect()),
            (Kind::Pod, cluster.pods.into_iter().map(of_pod).collect()),
            (Kind::Service, cluster.services.into_iter().map(of_service).collect()),
            (Kind::EndpointSlice, cluster.endpoint_slices.into_iter().enumerate().map(of_slice).collect()),
            (Kind::NetworkPolicy, cluster.policies.into_iter().map(of_policy).collect::<Vec<_>>()),
        ];
        let mut changed = false;
        for (kind, changes) in all {
            changed |= self.apply(Change::All(kind, changes));
        }
        changed
    }

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
            pods: self.pods().cloned().collect(),
            services: self.services.values().cloned().collect(),
            endpoint_slices: self.slices.values().cloned().collect(),
            entry_points: Vec::new(),
            policies: self.policies.values().cloned().collect(),
        }
    }

    fn put(&mut self, name: ObjectName, object: Object) -> bool {
        let kind = object.kind();
        if let Object::Pod(pod) = object {
            let name = pod.name.clone();
            let changed = put(&mut self.pods, name.clone(), *pod);
            if changed {
                self.touched.pods.insert(name);
            }
            return changed;
        }
        let touched = name.clone();
        let changed = match object {
            Object::Namespace(object) => put(&mut self.namespaces, name.name, object),
            Object::Node(object) => put(&mut self.nodes, name, object),
            Object::Service(object) => put(&mut self.services, name, *object),
            Object::EndpointSlice(object) => put(&mut self.slices, name, object),
            Object::NetworkPolicy(object) => put(&mut self.policies, name, object),
            Object::Pod(_) => false,
        };
        if changed {
            self.touch(kind, touched);
        }
        changed
    }

    fn remove(&mut self, kind: Kind, name: &ObjectName) -> bool {
        let removed = match kind {
            Kind::Namespace => self.namespaces.remove(&name.name).is_some(),
            Kind::Node => self.nodes.remove(name).is_some(),
            Kind::Service => self.services.remove(name).is_some(),
            Kind::EndpointSlice => self.slices.remove(name).is_some(),
            Kind::NetworkPolicy => self.policies.remove(name).is_some(),
            Kind::Pod => self.pods.remove(&pod_name(name)).is_some(),
        };
        if removed {
            self.touch(kind, name.clone());
        }
        removed
    }

    fn touch(&mut self, kind: Kind, name: ObjectName) {
        match kind {
            Kind::Pod => _ = self.touched.pods.insert(pod_name(&name)),
            Kind::Namespace => _ = self.touched.namespaces.insert(name.name),
            Kind::NetworkPolicy => _ = self.touched.policies.insert(name.namespace),
            Kind::Service => self.touched.services = true,
            Kind::Node | Kind::EndpointSlice => {}
        }
    }

    fn is_placed(&self, pod: &Pod) -> bool {
        !self.needs_namespaces || self.namespaces.contains_key(&pod.name.namespace)
    }

    /// An object that can't be read is not there, and so a pod is closed. A policy isolates somebody, nobody knows whom:
    /// it isolates its whole namespace and allows nothing.
    fn unreadable(&mut self, kind: Kind, name: ObjectName, why: Box<str>) -> bool {
        if kind == Kind::NetworkPolicy {
            self.put(name.clone(), Object::NetworkPolicy(Arc::new(closing(&name))));
        } else {
            self.remove(kind, &name);
        }
        put(&mut self.unreadable, (kind, name), why)
    }

    /// Nothing is removed for a moment only: a list read anew changes what differs and no more.
    fn replace(&mut self, kind: Kind, changes: Vec<Change>) -> bool {
        let (mut left, mut left_pods) = (self.names(kind), BTreeSet::new());
        if kind == Kind::Pod {
            left_pods = self.pods.keys().cloned().collect();
        }
        let mut changed = false;
        for change in changes {
            match &change {
                Change::Put(name, Object::Pod(pod)) => {
                    left_pods.remove(&pod.name);
                    left.remove(name);
                }
                Change::Put(name, _) | Change::Unreadable(_, name, _) => _ = left.remove(name),
                Change::Gone(..) | Change::All(..) => continue,
            }
            changed |= self.apply(change);
        }
        for name in left_pods {
            changed |= self.pods.remove(&name).is_some();
            self.touched.pods.insert(name);
        }
        for name in left {
            changed |= self.apply(Change::Gone(kind, name));
        }
        changed
    }

    /// The names of all objects of a kind but pods, and of all that can't be read.
    fn names(&self, kind: Kind) -> BTreeSet<ObjectName> {
        let unreadable = self.unreadable.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name);
        let names: Vec<&ObjectName> = match kind {
            Kind::Namespace => {
                let names = self.namespaces.keys().map(|name| ObjectName::new("", name.clone()));
                return unreadable.cloned().chain(names).collect();
            }
            Kind::Node => self.nodes.keys().collect(),
            Kind::Pod => Vec::new(),
            Kind::Service => self.services.keys().collect(),
            Kind::EndpointSlice => self.slices.keys().collect(),
            Kind::NetworkPolicy => self.policies.keys().collect(),
        };
        unreadable.chain(names).cloned().collect()
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

fn pod_name(name: &ObjectName) -> WorkloadName {
    WorkloadName::new(name.namespace.clone(), WorkloadKind::Pod, name.name.clone())
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
    use netpol_policy::model::Labels;

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
    fn a_pod_waits_for_its_namespace() {
        let mut world = World::with_all_namespaces();
        world.apply(pod("a", "one"));
        assert_eq!(names(&world), Vec::<String>::new());
        let shop = Namespace::new("shop", Labels::new());
        world.apply(Change::Put(ObjectName::new("", "shop"), Object::Namespace(shop)));
        assert_eq!(names(&world), ["a"]);
        let touched = world.take_touched();
        assert_eq!((touched.pods.len(), touched.namespaces.len()), (1, 1));
        assert_eq!(world.take_touched(), Touched::default());
    }

    #[test]
    fn what_cannot_be_read_closes_and_is_told() {
        let mut world = World::default();
        let name = ObjectName::new("shop", "db");
        assert!(world.apply(Change::Unreadable(Kind::NetworkPolicy, name.clone(), "odd".into())));
        assert!(!world.apply(Change::Unreadable(Kind::NetworkPolicy, name.clone(), "odd".into())));
        assert_eq!(world.complaints().collect::<Vec<_>>(), ["NetworkPolicy shop/db: odd"]);
        let policies = world.cluster().policies;
        assert_eq!(policies, [Arc::new(closing(&name))]);
        assert!(world.apply(Change::Gone(Kind::NetworkPolicy, name)));
        assert_eq!((world.cluster(), world.complaints().count()), (Cluster::default(), 0));

        world.apply(pod("a", "one"));
        world.apply(Change::Unreadable(Kind::Pod, ObjectName::new("shop", "a"), "odd".into()));
        assert_eq!(names(&world), Vec::<String>::new());
        assert!(world.apply(pod("a", "one")));
        assert_eq!(world.complaints().count(), 0);
    }
}

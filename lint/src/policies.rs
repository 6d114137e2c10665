//! All policies that are known, by namespace.

use std::hash::BuildHasher;
use std::sync::OnceLock;

use netpol_policy::model::{Cluster, NetworkPolicy};
use netpol_policy::source::{Content, PolicySource};

use crate::file::SourceFile;
use crate::finding::Place;
use crate::hash::{HashMap, HashSet};

/// The policies of some files and those of a cluster that is known otherwise. They are looked up only when a rule asks.
pub struct Policies<'f> {
    files: &'f [SourceFile],
    cluster: Option<&'f Cluster>,
    by_namespace: OnceLock<HashMap<Box<str>, Vec<At>>>,
    /// By a hash of namespace and name, which nearly always are of one policy: so no name has to be copied.
    by_name: OnceLock<HashMap<u64, Vec<At>>>,
}

/// Where a policy is kept.
#[derive(Clone, Copy)]
enum At {
    File { file: usize, object: usize },
    Cluster(usize),
}

/// A policy beside others.
#[derive(Clone, Copy)]
pub enum KnownPolicy<'f> {
    /// One of a file.
    Written {
        /// The index of the file in the report.
        number: usize,
        /// The file.
        file: &'f SourceFile,
        /// The policy.
        source: &'f PolicySource,
    },
    /// One that runs in the cluster.
    Running(&'f NetworkPolicy),
}

impl<'f> Policies<'f> {
    /// The policies of some files, beside those of a cluster that the files don't have.
    pub(crate) fn new(files: &'f [SourceFile], cluster: Option<&'f Cluster>) -> Self {
        Self { files, cluster, by_namespace: OnceLock::new(), by_name: OnceLock::new() }
    }

    /// The policies of a namespace: those of the files in their order, then the others. Those that the API server would
    /// refuse are among them; they have no [`KnownPolicy::model`].
    pub fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = KnownPolicy<'_>> {
        let at = self.by_namespace.get_or_init(|| self.collect()).get(namespace);
        at.into_iter().flatten().filter_map(|at| self.get(*at))
    }

    /// The policies of the files that have a namespace and a name, in the order of the files.
    pub fn named<'a>(&'a self, namespace: &'a str, name: &'a str) -> impl Iterator<Item = KnownPolicy<'a>> {
        let by_name = self.by_name.get_or_init(|| {
            let mut all = HashMap::<_, Vec<_>>::default();
            for (at, file, source) in self.written() {
                if let Some(name) = &source.metadata.name {
                    let hash = all.hasher().hash_one((file.namespace_of(source), &*name.value));
                    all.entry(hash).or_default().push(at);
                }
            }
            all
        });
        let hash = by_name.hasher().hash_one((namespace, name));
        let at = by_name.get(&hash).into_iter().flatten();
        at.filter_map(|at| self.get(*at)).filter(move |known| known.is_called(namespace, name))
    }

    fn get(&self, at: At) -> Option<KnownPolicy<'_>> {
        match at {
            At::Cluster(index) => {
                self.cluster?.policies.get(index).map(|policy| KnownPolicy::Running(policy))
            }
            At::File { file: number, object } => {
                let file = self.files.get(number)?;
                match &file.manifest.objects.get(object)?.content {
                    Content::Policy(source) => Some(KnownPolicy::Written { number, file, source }),
                    _ => None,
                }
            }
        }
    }

    /// The policies of the files.
    fn written(&self) -> impl Iterator<Item = (At, &SourceFile, &PolicySource)> {
        self.files.iter().enumerate().flat_map(|(number, file)| {
            file.manifest.objects.iter().enumerate().filter_map(move |(object, content)| {
                match &content.content {
                    Content::Policy(source) => Some((At::File { file: number, object }, file, &**source)),
                    _ => None,
                }
            })
        })
    }

    fn collect(&self) -> HashMap<Box<str>, Vec<At>> {
        let mut all = HashMap::<_, Vec<_>>::default();
        for (at, file, source) in self.written() {
            at_key(&mut all, file.namespace_of(source)).push(at);
        }
        let models = || self.written().filter_map(|(_, _, source)| source.model.as_ref());
        let running = self.cluster.map(|cluster| &cluster.policies[..]).unwrap_or_default();
        // Without a live cluster they are those of the files, in the same order.
        if models().map(|policy| &policy.name).eq(running.iter().map(|policy| &policy.name)) {
            return all;
        }
        let written: HashSet<_> = models().map(|policy| &policy.name).collect();
        for (index, policy) in running.iter().enumerate() {
            if !written.contains(&policy.name) {
                at_key(&mut all, &policy.name.namespace).push(At::Cluster(index));
            }
        }
        all
    }
}

/// The value of a key, which is only copied when it is new.
fn at_key<'m, V: Default>(all: &'m mut HashMap<Box<str>, V>, key: &str) -> &'m mut V {
    if !all.contains_key(key) {
        all.insert(key.into(), V::default());
    }
    all.get_mut(key).expect("it is there now")
}

impl<'f> KnownPolicy<'f> {
    /// What it means; `None` for one that the API server would refuse.
    pub fn model(&self) -> Option<&'f NetworkPolicy> {
        match *self {
            Self::Written { source, .. } => source.model.as_deref(),
            Self::Running(policy) => Some(policy),
        }
    }

    /// Whether it is one of a file with these names.
    fn is_called(&self, namespace: &str, name: &str) -> bool {
        let Self::Written { file, source, .. } = *self else { return false };
        let own = source.metadata.name.as_ref().map(|name| &*name.value);
        own == Some(name) && file.namespace_of(source) == namespace
    }

    /// Whether it is this very policy, and not just another of the same name.
    pub fn is(&self, policy: &PolicySource) -> bool {
        matches!(self, Self::Written { source, .. } if std::ptr::eq(*source, policy))
    }

    /// The place of its name, where it is in a file.
    pub fn place(&self) -> Option<Place> {
        let Self::Written { number, source, .. } = *self else { return None };
        let span = source.metadata.name.as_ref().map_or(source.kind, |name| name.span);
        Some(Place { file: number, span })
    }

    /// Whether it is surely in force together with a policy of the same namespace in another file or in the same. Files
    /// are often samples, or variants for one environment each, of which only one is applied: policies of different
    /// files belong together when both name their namespace and the folder of one holds the other.
    pub fn beside(&self, file: &SourceFile, policy: &PolicySource) -> bool {
        let Self::Written { file: other_file, source, .. } = *self else { return true };
        if std::ptr::eq(other_file, file) || other_file.name == file.name {
            return true;
        }
        let named = [source, policy].iter().all(|policy| policy.metadata.namespace.is_some());
        let (a, b) = (other_file.folder(), file.folder());
        named && (holds(a, b) || holds(b, a))
    }
}

fn holds(outer: &str, inner: &str) -> bool {
    inner.starts_with(outer)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn file(name: &str, namespace: &str) -> SourceFile {
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{namespace}}}\nspec: {{}}\n"
        );
        SourceFile::read(name, text, &Arc::from("shop"))
    }

    #[test]
    fn together() {
        let named = ", namespace: shop";
        let cases = [
            ("a/x.yaml", named, "a/y.yaml", named, true),
            ("a/x.yaml", named, "a/b/y.yaml", named, true),
            ("x.yaml", named, "a/b/y.yaml", named, true),
            ("a/x.yaml", named, "b/y.yaml", named, false),
            ("a/x.yaml", named, "ab/y.yaml", named, false),
            ("a/x.yaml", "", "a/y.yaml", named, false),
            ("a/x.yaml", "", "a/x.yaml", "", true),
        ];
        for (a, a_namespace, b, b_namespace, expected) in cases {
            let files = [file(a, a_namespace), file(b, b_namespace)];
            let policies = Policies::new(&files, None);
            let known: Vec<_> = policies.of_namespace("shop").collect();
            let [first, second] = known[..] else { panic!("{a} and {b}: {}", known.len()) };
            let source = files[1].policies().next().unwrap().1;
            assert!(second.is(source) && !first.is(source));
            assert_eq!(first.beside(&files[1], source), expected, "{a} and {b}");
        }
    }

    #[test]
    fn running_ones_are_known_unless_a_file_has_them() {
        let files = [file("a.yaml", "")];
        let mut cluster = Cluster::default();
        let model = files[0].policies().next().unwrap().1.model.clone().unwrap();
        let mut other = model.clone();
        Arc::make_mut(&mut other).name.name = "other".into();
        cluster.policies = vec![model, other];
        let policies = Policies::new(&files, Some(&cluster));
        let names: Vec<_> =
            policies.of_namespace("shop").map(|p| p.model().unwrap().name.to_string()).collect();
        assert_eq!(names, ["shop/p", "shop/other"]);
    }
}

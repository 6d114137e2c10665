//! Finding and reading files.

mod glob;
mod identity;
mod patches;
mod reading;
mod relevant;
mod walk;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netpol_policy::model::Cluster;
use netpol_policy::source::{self, Content, Object};
use netpol_policy::syntax::SyntaxErrorKind;
use thiserror::Error;

use self::identity::Identity;
use self::patches::Patches;
use self::reading::Reading;
use crate::config::Config;
use crate::file::SourceFile;
use crate::settings::{Patterns, absolute};

pub(crate) use self::relevant::mentions_policies;

/// What was read from some paths.
#[derive(Debug, Default)]
pub struct Input {
    /// Files with objects or with errors, by name.
    pub files: Vec<SourceFile>,
    /// Templates of Helm, which were not read.
    pub templates: Vec<Box<str>>,
    /// Patches of Kustomize, which are parts of objects and were not read.
    pub patches: Vec<Box<str>>,
    /// Files that were named and then left out by a pattern.
    pub excluded: Vec<Box<str>>,
    /// Number of files that were looked into.
    pub seen: usize,
    /// What could not be read; the rest was.
    pub unreadable: Vec<InputError>,
}

impl Input {
    /// All objects of all files.
    pub fn cluster(&self) -> Cluster {
        source::cluster(in_order(&self.files).into_iter().map(|file| &file.manifest))
    }

    /// See [`surroundings()`].
    pub fn surroundings(&self) -> Cluster {
        surroundings(&self.files)
    }
}

/// The objects that say which pods a policy means and what other policies say of them, for [`crate::Index`].
///
/// Files are often variants of one another: a base and its overlays, or samples that share names. So an object
/// doesn't replace the one of the same name in another file, as it does in [`Input::cluster`]; a selector that
/// matches one of them is fine.
pub fn surroundings(files: &[SourceFile]) -> Cluster {
    let policy = |object: &Object| matches!(object.content, Content::Policy(_));
    let mut all = Cluster::default();
    // Of a namespace there is only one.
    let mut namespaces = BTreeMap::new();
    for file in files {
        if file.manifest.objects.iter().all(policy) {
            all.policies.extend(file.policies().filter_map(|(_, policy)| policy.model.clone()));
        } else {
            let mut one = source::cluster([&file.manifest]);
            for (name, namespace) in std::mem::take(&mut one.namespaces) {
                let known = namespaces.entry(name).or_insert((file.rank, namespace.clone()));
                if known.0 <= file.rank {
                    *known = (file.rank, namespace);
                }
            }
            join(&mut all, one);
        }
    }
    all.namespaces = namespaces.into_iter().map(|(name, (_, namespace))| (name, namespace)).collect();
    all
}

/// Files in the order in which they are applied: of an object that several have, the last one's counts. What is asked about
/// comes after what only tells about the cluster, and what is named comes in the order in which it is named. Files of one
/// folder stay in the order of their names.
pub(crate) fn in_order(files: &[SourceFile]) -> Vec<&SourceFile> {
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by_key(|file| file.rank);
    files
}

fn join(all: &mut Cluster, one: Cluster) {
    all.nodes.extend(one.nodes);
    all.pods.extend(one.pods);
    all.services.extend(one.services);
    all.endpoint_slices.extend(one.endpoint_slices);
    all.entry_points.extend(one.entry_points);
    all.policies.extend(one.policies);
}

/// What to read.
#[derive(Debug, Clone)]
pub struct Sources {
    /// What to check, or to answer about.
    pub asked: Vec<Source>,
    /// Files and folders that tell about the cluster: [`SourceFile::context`].
    pub include: Vec<PathBuf>,
    /// What to leave out of what is asked.
    pub exclude: Patterns,
    /// The namespace of objects that name none.
    pub namespace: Arc<str>,
    /// Whether every object counts, as for an answer: then what can't be read is reported also where no policy is named in it.
    pub every_object: bool,
}

/// Where to read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, a folder with everything in it, or a pattern of paths such as `deploy/**/*.yaml`.
    Path(PathBuf),
    /// Standard input, with the name to show for it.
    Stdin(Box<str>),
}

/// A path that could not be read.
#[derive(Debug, Error)]
#[error("can't read {}", crate::output::printable::shown(.path))]
pub struct InputError {
    /// The path.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// A file that was read.
pub(crate) struct Loaded {
    /// In a box: a list of these grows and is sorted, and memory for long lists comes in large pieces.
    file: Box<SourceFile>,
    /// Named by the user, not found in a folder.
    named: bool,
    /// Which file of the system it is, where that can be told.
    identity: Option<Identity>,
}

/// Reads files and folders. In folders, files named `*.yaml`, `*.yml` and `*.json` count, hidden ones and those that
/// `.gitignore` names don't; files that hold no Kubernetes object of interest are passed over. A file counts once,
/// whatever names lead to it, and is no context when it is asked for as well.
pub fn read(sources: &Sources) -> Input {
    let mut reading = Reading::new(sources);
    for (index, source) in sources.asked.iter().enumerate() {
        if sources.asked[index + 1..].contains(source) {
            continue;
        }
        reading.rank = index + 1;
        match source {
            Source::Stdin(name) => reading.stdin(name),
            Source::Path(path) => reading.path(path),
        }
    }
    let seen = reading.seen;
    reading.context = true;
    reading.rank = 0;
    for path in &sources.include {
        reading.path(path);
    }
    let Reading { mut loaded, mut unreadable, excluded, kustomizations, .. } = reading;
    let asked = |loaded: &[Loaded]| loaded.iter().filter(|loaded| !loaded.file.context).count();
    let before = asked(&loaded);
    identity::once(&mut loaded);
    unreadable.sort_by(|a, b| a.path.cmp(&b.path));
    let mut input = Input {
        seen: seen - (before - asked(&loaded)),
        unreadable,
        excluded,
        ..assemble(loaded, Patches::of(&kustomizations), sources.every_object)
    };
    source::distinguish(input.files.iter_mut().map(|file| &mut file.manifest));
    input
}

/// The files of a folder and of those that its configuration includes, by their absolute paths; what can't be read is
/// left out.
pub(crate) fn folders(root: &Path, config: &Config) -> Vec<SourceFile> {
    read(&Sources {
        asked: vec![Source::Path(absolute(root))],
        include: config.include.iter().map(|path| absolute(path)).collect(),
        exclude: config.exclude.clone(),
        namespace: config.namespace.as_str().into(),
        every_object: false,
    })
    .files
}

/// Puts together what was read.
fn assemble(loaded: Vec<Loaded>, mut patches: Patches, every_object: bool) -> Input {
    let mut input = Input { files: Vec::with_capacity(loaded.len()), ..Input::default() };
    for Loaded { mut file, named, identity } in loaded {
        // Standard input has no number, and no neighbours.
        if identity.is_some() && file.policies().next().is_some() && patches.contains(&file.name) {
            if !file.context {
                input.patches.push(file.name);
            }
            continue;
        }
        let errors = &mut file.manifest.errors;
        let before = errors.len();
        errors.retain(|error| error.kind != SyntaxErrorKind::HelmTemplate);
        let is_template = errors.len() < before && !file.context;
        // Only asked of what can't be read: most texts need not be looked at again.
        let counts =
            before == 0 || named || every_object || relevant::mentions_policies(file.text.as_bytes());
        if is_template && counts {
            input.templates.push(file.name.clone());
        }
        if !counts {
            file.manifest.errors.clear();
        }
        if named || !file.manifest.objects.is_empty() || !file.manifest.errors.is_empty() {
            input.files.push(*file);
        }
    }
    input
}

/// A path as people write it: `./a/b` is `a/b`.
fn display(path: &Path) -> String {
    let text = path.to_string_lossy();
    let short = text.trim_start_matches("./");
    if short.is_empty() { text.into_owned() } else { short.to_owned() }
}

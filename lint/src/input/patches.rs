//! Patches of Kustomize: parts of objects, which say nothing by themselves.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use netpol_policy::syntax::{self, Node};

use crate::settings::absolute;

/// Names of the file that says which others are patches.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Patches are seldom further below the file that names them.
const LEVELS: usize = 3;

/// Knows which files are patches. Each folder is looked into once.
#[derive(Default)]
pub(super) struct Patches {
    /// What the files name that were met on the way, wherever it is.
    met: HashSet<PathBuf>,
    by_folder: HashMap<PathBuf, Vec<PathBuf>>,
    /// The folder of the file that was asked about last, as it was written, when no patch is around it.
    without: Option<PathBuf>,
}

/// Whether a file is one that may name patches.
pub(super) fn may_name_some(name: &OsStr) -> bool {
    NAMES.iter().any(|one| name == *one)
}

impl Patches {
    /// Those that the files of these folders name, and those that will be found around files.
    pub(super) fn of(folders: &[PathBuf]) -> Self {
        Self { met: folders.iter().flat_map(|folder| of_folder(folder)).collect(), ..Self::default() }
    }

    /// Whether a `kustomization.yaml` that was met, or that is beside or above a file, names it as a patch.
    pub(super) fn contains(&mut self, file: &str) -> bool {
        let folder = Path::new(file).parent();
        if !self.met.is_empty() && self.met.contains(&*absolute(Path::new(file))) {
            return true;
        }
        if self.without.as_deref() == folder && folder.is_some() {
            return false;
        }
        let path = absolute(Path::new(file));
        let mut around = false;
        let found = path.ancestors().skip(1).take(LEVELS).any(|folder| {
            if !self.by_folder.contains_key(folder) {
                self.by_folder.insert(folder.to_owned(), of_folder(folder));
            }
            around |= !self.by_folder[folder].is_empty();
            self.by_folder[folder].contains(&path)
        });
        self.without = folder.filter(|_| !around).map(Path::to_owned);
        found
    }
}

fn of_folder(folder: &Path) -> Vec<PathBuf> {
    let text = NAMES.iter().find_map(|name| std::fs::read_to_string(folder.join(name)).ok());
    let Some(text) = text else { return Vec::new() };
    let stream = syntax::read(&text);
    let roots = stream.documents.iter().map(syntax::Document::root);
    roots.flat_map(named).map(|path| absolute(&folder.join(path))).collect()
}

/// The paths of all kinds of patches. A patch that stands in the file itself is no path to any file.
fn named(root: Node<'_>) -> Vec<String> {
    let list = |key| root.get(key).into_iter().flat_map(|list| list.items().map(|item| item.value));
    let strategic = list("patchesStrategicMerge").filter_map(Node::as_str);
    let with_path = list("patches").chain(list("patchesJson6902"));
    let with_path = with_path.filter_map(|patch| patch.get("path").and_then(Node::as_str));
    strategic.chain(with_path).map(str::to_owned).collect()
}

//! A list of findings that were there before: they are not reported, new ones are.
//!
//! A finding is known by its file, its rule, its object, the path in it and its words, not by lines: it stays known when
//! text is added above it, when items before it come and go, and when its words change.

mod path;
mod text;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use self::path::{absolute, relative};
use crate::check::Report;
use crate::file::SourceFile;
use crate::finding::Finding;

/// Findings that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// The folder of the list: names of files are relative to it.
    folder: PathBuf,
    entries: BTreeMap<String, Vec<Entry>>,
}

/// A finding as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    code: String,
    namespace: Option<String>,
    object: Option<String>,
    path: String,
    message: String,
}

/// A baseline that can't be used.
#[derive(Debug, Error)]
pub enum BaselineError {
    /// It can't be read.
    #[error("can't read the baseline {}; --write-baseline makes one", crate::output::printable::shown(.path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no baseline; --write-baseline makes one", crate::output::printable::shown(.path))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It comes from a later version.
    #[error("the baseline {} has version {version}, and only {} is known; use a newer netpol-lint", crate::output::printable::shown(.path), text::VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        version: u64,
    },
    /// It can't be written.
    #[error("can't write the baseline {}", crate::output::printable::shown(.path))]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Baseline {
    /// Reads a list.
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        let text = fs::read_to_string(path)
            .map_err(|source| BaselineError::Read { path: path.to_owned(), source })?;
        Ok(Self { folder: folder_of(path), entries: text::parse(path, &text)? })
    }

    /// Lists everything that a report shows; `path` is where the list will be.
    pub fn of(report: &Report, path: &Path) -> Self {
        let folder = folder_of(path);
        let mut entries = BTreeMap::<_, Vec<_>>::new();
        for finding in &report.findings {
            let name = relative(&folder, &absolute(Path::new(&*report.file_of(finding).name)));
            entries.entry(name).or_default().push(Entry::of(finding));
        }
        entries.values_mut().for_each(|entries| entries.sort());
        Self { folder, entries }
    }

    /// Writes the list: sorted, and the same for the same findings.
    pub fn write(&self, path: &Path) -> Result<(), BaselineError> {
        fs::write(path, text::render(&self.entries))
            .map_err(|source| BaselineError::Write { path: path.to_owned(), source })
    }

    /// How many findings are listed.
    pub fn len(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Which of the findings of a file are listed. Each entry stands for one finding.
    pub(crate) fn knows(&self, file: &SourceFile, findings: &[Finding]) -> Vec<bool> {
        let mut known = vec![false; findings.len()];
        if findings.is_empty() || self.entries.is_empty() {
            return known;
        }
        let Some(entries) = self.entries.get(&self.name_of(file)) else { return known };
        let mut left: Vec<_> = entries.iter().collect();
        // The best matches first: what is exactly the same, what has moved in its object, what is put in other words.
        for key in [Entry::whole, Entry::without_path, Entry::without_message] {
            let mut by_key = HashMap::<_, Vec<&Entry>>::new();
            for entry in left {
                by_key.entry(key(entry)).or_default().push(entry);
            }
            for (known, finding) in known.iter_mut().zip(findings).filter(|(known, _)| !**known) {
                let finding = Entry::of(finding);
                *known = by_key.get_mut(&key(&finding)).and_then(Vec::pop).is_some();
            }
            left = by_key.into_values().flatten().collect();
            left.sort();
        }
        known
    }

    /// The files of which some listed findings are there no more, and how many. Files that were not checked don't count,
    /// but for those that don't exist; nor do rules that are off.
    pub fn stale(&self, report: &Report, is_on: impl Fn(&SourceFile, &str) -> bool) -> Vec<(&str, usize)> {
        let mut matched = HashMap::<usize, usize>::new();
        for suppressed in report.suppressed.iter().filter(|suppressed| suppressed.is_known()) {
            *matched.entry(suppressed.finding.place.file).or_default() += 1;
        }
        // To ask the system where a file really is takes time.
        let last = |name: &str| name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        let listed: HashSet<_> = self.entries.keys().map(|name| last(name)).collect();
        let checked = report.files.iter().enumerate().filter(|(_, file)| !file.context);
        let checked = checked.filter(|(_, file)| listed.contains(&last(&file.name)));
        let checked: HashMap<_, _> = checked.map(|(number, file)| (self.name_of(file), number)).collect();
        let stale = self.entries.iter().map(|(name, entries)| {
            let count = match checked.get(name) {
                Some(number) => {
                    let file = &report.files[*number];
                    let listed = entries.iter().filter(|entry| is_on(file, &entry.code)).count();
                    let unreadable = !file.manifest.errors.is_empty();
                    if unreadable {
                        0
                    } else {
                        listed - matched.get(number).copied().unwrap_or(0).min(listed)
                    }
                }
                None if self.folder.join(name).exists() => 0,
                None => entries.len(),
            };
            (name.as_str(), count)
        });
        stale.filter(|(_, count)| *count > 0).collect()
    }

    fn name_of(&self, file: &SourceFile) -> String {
        relative(&self.folder, &absolute(Path::new(&*file.name)))
    }
}

fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    absolute(folder)
}

impl Entry {
    fn of(finding: &Finding) -> Self {
        let object = finding.object.as_ref();
        Self {
            code: finding.rule.code.to_owned(),
            namespace: object.and_then(|object| object.namespace.as_deref()).map(str::to_owned),
            object: object.and_then(|object| object.name.as_deref()).map(str::to_owned),
            path: finding.path.clone(),
            message: finding.message.clone(),
        }
    }

    fn whole(&self) -> [Option<String>; 5] {
        let [code, namespace, object, ..] = self.without_path();
        [code, namespace, object, Some(self.path.clone()), Some(self.message.clone())]
    }

    fn without_path(&self) -> [Option<String>; 5] {
        let (namespace, object) = (self.namespace.clone(), self.object.clone());
        [Some(self.code.clone()), namespace, object, None, Some(self.message.clone())]
    }

    fn without_message(&self) -> [Option<String>; 5] {
        let [code, namespace, object, ..] = self.without_path();
        [code, namespace, object, Some(self.path.clone()), None]
    }
}

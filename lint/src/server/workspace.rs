//! The manifests of a workspace: files on disk, overlaid by what is open in the editor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsp_types::Uri;
use netpol_policy::model::Cluster;
use netpol_policy::source;
use netpol_policy::syntax::SyntaxErrorKind;

use super::text::Encoding;
use super::{text, uri};
use crate::check::Checker;
use crate::config::{Config, ConfigFile, Options};
use crate::file::SourceFile;
use crate::finding::Finding;
use crate::index::Index;
use crate::input;
use crate::places::Places;
use crate::policies::Policies;
use crate::settings::Settings;

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    roots: Vec<PathBuf>,
    /// Every file once, by its path or, of buffers without a file, by its URI.
    files: Vec<SourceFile>,
    open: BTreeMap<String, Open>,
    /// Mistakes of configurations, to be told.
    pub(super) complaints: Vec<String>,
}

/// A document that is open in the editor.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) uri: Uri,
    pub(super) version: i32,
    text: String,
    /// Its index among the files.
    pub(super) number: usize,
    /// The text has changed since it was read as a file.
    stale: bool,
    pub(super) findings: Vec<Finding>,
}

impl Workspace {
    /// Reads the folders, again if need be.
    pub(super) fn scan(&mut self, roots: Option<Vec<PathBuf>>) {
        self.roots = roots.unwrap_or_else(|| std::mem::take(&mut self.roots));
        self.files.clear();
        for root in self.roots.clone() {
            let config = self.config(&root);
            self.files.append(&mut input::folders(&root, &config));
        }
        self.files.sort_by(|a, b| a.name.cmp(&b.name));
        self.files.dedup_by(|b, a| a.name == b.name);
        for open in self.open.values_mut() {
            open.number = place(&mut self.files, &name(&open.uri));
            open.stale = true;
        }
    }

    /// Folders come and go.
    pub(super) fn change_roots(&mut self, added: &[PathBuf], removed: &[PathBuf]) {
        let mut roots: Vec<_> = self.roots.iter().filter(|root| !removed.contains(root)).cloned().collect();
        roots.extend_from_slice(added);
        self.scan(Some(roots));
    }

    pub(super) fn open(&mut self, uri: Uri, version: i32, text: String) {
        let number = place(&mut self.files, &name(&uri));
        let open = Open { uri, version, text, number, stale: true, findings: Vec::new() };
        self.open.insert(open.uri.as_str().to_owned(), open);
    }

    /// Changes of an open document, in order.
    pub(super) fn change(
        &mut self,
        uri: &Uri,
        version: i32,
        changes: &[lsp_types::TextDocumentContentChangeEvent],
        encoding: Encoding,
    ) {
        if let Some(open) = self.open.get_mut(uri.as_str()) {
            changes.iter().for_each(|change| text::change(&mut open.text, change, encoding));
            open.version = version;
            open.stale = true;
        }
    }

    /// What is on disk counts again.
    pub(super) fn close(&mut self, uri: &Uri) {
        if let Some(open) = self.open.remove(uri.as_str()) {
            self.files[open.number] = from_disk(uri);
        }
    }

    /// A file was written by somebody else. Returns whether the folders have to be read again: a file has come, or what
    /// counts has changed.
    pub(super) fn changed_on_disk(&mut self, uri: &Uri) -> bool {
        if self.open.contains_key(uri.as_str()) {
            return false;
        }
        let name = name(uri);
        match self.files.iter().position(|file| *file.name == *name) {
            Some(number) => {
                self.files[number] = from_disk(uri);
                false
            }
            None => true,
        }
    }

    /// Open documents with what was found in them.
    pub(super) fn documents(&self) -> impl Iterator<Item = &Open> {
        self.open.values()
    }

    pub(super) fn document(&self, uri: &Uri) -> Option<&Open> {
        self.open.get(uri.as_str())
    }

    pub(super) fn file(&self, number: usize) -> &SourceFile {
        &self.files[number]
    }

    /// The URI of a file, as the editor writes it where it is open.
    pub(super) fn uri_of(&self, number: usize) -> Option<Uri> {
        let open = self.open.values().find(|open| open.number == number);
        open.map(|open| open.uri.clone()).or_else(|| uri::of(Path::new(&*self.files[number].name)))
    }

    /// All objects, for explanations.
    pub(super) fn cluster(&self) -> Cluster {
        source::cluster(self.files.iter().map(|file| &file.manifest))
    }

    /// All objects, for rules and fixes.
    pub(super) fn surroundings(&self) -> Cluster {
        input::surroundings(&self.files)
    }

    /// Checks the open documents.
    pub(super) fn check(&mut self) {
        let mut settings = BTreeMap::new();
        for key in self.open.keys().cloned().collect::<Vec<_>>() {
            let (uri, number) = (self.open[&key].uri.clone(), self.open[&key].number);
            let config = self.config_of(&uri);
            let open = self.open.get_mut(&key).expect("a key of the map");
            if std::mem::take(&mut open.stale) {
                self.files[number] = read(&name(&uri), &open.text, &config.namespace.as_str().into());
            }
            let excluded = uri::path(&uri).is_some_and(|path| config.exclude.matches(&path));
            settings.insert(key, (!excluded).then_some(config.settings));
        }
        let cluster = input::surroundings(&self.files);
        let index = Index::new(&cluster);
        let places = Places::new(&self.files);
        let policies = Policies::new(&self.files, Some(&cluster));
        for (key, settings) in settings {
            let open = self.open.get_mut(&key).expect("a key of the map");
            let Some(settings) = settings else {
                open.findings.clear();
                continue;
            };
            let checker =
                Checker { index: &index, settings: &settings, places: &places, policies: &policies };
            open.findings = checker.files(open.number, &self.files[open.number..=open.number]).findings;
        }
    }

    /// The settings for a document.
    pub(super) fn settings(&mut self, uri: &Uri) -> Settings {
        self.config_of(uri).settings
    }

    fn config_of(&mut self, uri: &Uri) -> Config {
        match uri::path(uri).or_else(|| self.roots.first().cloned()) {
            Some(path) => self.config(&path),
            None => Config::resolve(None, Options::default(), Path::new("/")),
        }
    }

    /// The configuration for a file or a folder. One with mistakes counts as none, and is told of.
    fn config(&mut self, path: &Path) -> Config {
        let file = ConfigFile::find([path]).unwrap_or_else(|error| {
            let error = anyhow::Error::from(error);
            self.complaints.push(format!("{error:#}"));
            None
        });
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        Config::resolve(file, Options::default(), folder)
    }
}

/// What a document is called among the files.
fn name(uri: &Uri) -> String {
    uri::path(uri).map_or_else(|| uri.as_str().to_owned(), |path| path.to_string_lossy().into_owned())
}

/// The index of a file, which is made if it isn't there yet.
fn place(files: &mut Vec<SourceFile>, name: &str) -> usize {
    files.iter().position(|file| *file.name == *name).unwrap_or_else(|| {
        files.push(SourceFile::read(name, "", &Arc::from("default")));
        files.len() - 1
    })
}

fn from_disk(uri: &Uri) -> SourceFile {
    // A file that is gone holds nothing.
    let text = uri::path(uri).and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    read(&name(uri), &text, &Arc::from("default"))
}

/// Reads a text as if it were found in a folder: what is no manifest of interest may be broken, or a Helm template.
fn read(name: &str, text: &str, default_namespace: &Arc<str>) -> SourceFile {
    let mut file = SourceFile::read(name, text, default_namespace);
    if !input::mentions_policies(text.as_bytes()) {
        file.manifest.errors.clear();
    }
    file.manifest.errors.retain(|error| error.kind != SyntaxErrorKind::HelmTemplate);
    file
}

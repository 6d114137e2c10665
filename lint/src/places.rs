//! Where workloads are.

use std::collections::HashMap;
use std::sync::OnceLock;

use netpol_policy::model::{EntryKind, EntryPoint, WorkloadName};
use netpol_policy::source::Content;
use netpol_policy::span::Span;

use crate::file::SourceFile;
use crate::finding::Place;

/// The places of all workloads of some files. They are looked up only when a finding wants to show one.
#[derive(Default)]
pub struct Places<'f> {
    files: &'f [SourceFile],
    by_name: OnceLock<HashMap<WorkloadName, Place>>,
    backends: OnceLock<HashMap<EntryName, (usize, Vec<Span>)>>,
}

/// Kind, namespace and name.
type EntryName = (EntryKind, Option<Box<str>>, Box<str>);

impl<'f> Places<'f> {
    /// The places of the workloads of some files.
    pub(crate) fn new(files: &'f [SourceFile]) -> Self {
        Self { files, by_name: OnceLock::new(), backends: OnceLock::new() }
    }

    /// Where the name of a workload is written, in the first file that has it.
    pub fn of(&self, name: &WorkloadName) -> Option<Place> {
        let places = self.by_name.get_or_init(|| self.collect());
        if places.is_empty() { None } else { places.get(name).copied() }
    }

    /// Where an entry point names the Service of one of its backends, in the first file that has it.
    pub fn of_backend(&self, entry: &EntryPoint, backend: usize) -> Option<Place> {
        let backends = self.backends.get_or_init(|| {
            let mut backends = HashMap::new();
            for (file, source) in self.files.iter().enumerate() {
                for object in &source.manifest.objects {
                    if let Content::EntryPoint(source) = &object.content {
                        let entry = &source.entry;
                        let name = (entry.kind, entry.namespace.clone(), entry.name.clone());
                        backends.entry(name).or_insert_with(|| (file, source.backends.clone()));
                    }
                }
            }
            backends
        });
        let (file, spans) = backends.get(&(entry.kind, entry.namespace.clone(), entry.name.clone()))?;
        Some(Place { file: *file, span: *spans.get(backend)? })
    }

    fn collect(&self) -> HashMap<WorkloadName, Place> {
        let mut places = HashMap::new();
        for (file, source) in self.files.iter().enumerate() {
            for object in &source.manifest.objects {
                if let Content::Workload(workload) = &object.content {
                    places.entry(workload.pod.name.clone()).or_insert(Place { file, span: workload.name });
                }
            }
        }
        places
    }
}

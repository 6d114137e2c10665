//! Where workloads are.

use std::collections::HashMap;
use std::sync::OnceLock;

use netpol_policy::model::WorkloadName;
use netpol_policy::source::Content;

use crate::file::SourceFile;
use crate::finding::Place;

/// The places of all workloads of some files. They are looked up only when a finding wants to show one.
#[derive(Default)]
pub struct Places<'f> {
    files: &'f [SourceFile],
    by_name: OnceLock<HashMap<WorkloadName, Place>>,
}

impl<'f> Places<'f> {
    /// The places of the workloads of some files.
    pub(crate) fn new(files: &'f [SourceFile]) -> Self {
        Self { files, by_name: OnceLock::new() }
    }

    /// Where the name of a workload is written, in the first file that has it.
    pub fn of(&self, name: &WorkloadName) -> Option<Place> {
        self.by_name.get_or_init(|| self.collect()).get(name).copied()
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

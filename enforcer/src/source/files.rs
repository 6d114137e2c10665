//! Objects from directories of manifests, which may be edited at any time.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use netpol_policy::model::Cluster;
use netpol_policy::source::{self, Content, Manifest};
use netpol_policy::span::Span;
use netpol_policy::syntax::{self, LineIndex};

use super::{Complaint, Source, Update};

/// Manifests in directories and below them: files that end in `.yaml`, `.yml` or `.json`. A path may also be a single file.
/// Links to files are followed, links to directories only where they are given as paths.
///
/// Directories are looked at again every [`Files::INTERVAL`]; that sees editors that replace files and mounted ConfigMaps
/// that swap a symbolic link alike, on every file system.
#[derive(Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
}

/// What tells whether files have changed without reading them.
type Fingerprint = Vec<(PathBuf, FileStamp)>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Files {
    /// How often files are looked at.
    pub const INTERVAL: Duration = Duration::from_millis(100);

    /// Reads from these directories or files.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths }
    }

    /// Reads everything now.
    ///
    /// # Errors
    /// With all that is wrong, if anything is: part of a policy set is not a policy set.
    pub fn read(&self) -> Result<Cluster, Vec<Complaint>> {
        let files = self.fingerprint().map_err(|complaint| vec![complaint])?;
        let mut manifests = Vec::new();
        let mut complaints = Vec::new();
        for (path, _) in &files {
            match read_manifest(path) {
                Ok(manifest) => manifests.push(manifest),
                Err(mut wrong) => complaints.append(&mut wrong),
            }
        }
        if complaints.is_empty() { Ok(source::cluster(&manifests)) } else { Err(complaints) }
    }

    fn fingerprint(&self) -> Result<Fingerprint, Complaint> {
        let mut files = Vec::new();
        for path in &self.paths {
            collect(path, true, &mut files)?;
        }
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(files)
    }
}

impl Source for Files {
    fn run(self: Box<Self>, mut tell: Box<dyn FnMut(Update) -> bool + Send>) {
        let mut told: Option<Result<Fingerprint, Complaint>> = None;
        let mut seen = self.fingerprint();
        loop {
            // Someone may be writing at this moment: only what stayed the same for a while is read.
            thread::sleep(Self::INTERVAL);
            let now = self.fingerprint();
            let settled = now == seen;
            seen = now;
            if !settled || told.as_ref() == Some(&seen) {
                continue;
            }
            let update = match self.read() {
                Ok(cluster) => Update::Cluster(Box::new(cluster)),
                Err(complaints) => Update::Refused(complaints),
            };
            // Changed while being read: what was read may be half of each.
            if self.fingerprint() != seen {
                continue;
            }
            told = Some(seen.clone());
            if !tell(update) {
                return;
            }
        }
    }
}

/// Lists manifests. What a mounted ConfigMap hides behind names that begin with two dots is found through its links.
fn collect(path: &Path, given: bool, files: &mut Fingerprint) -> Result<(), Complaint> {
    let complain = |error: &io::Error| Complaint {
        path: path.to_owned(),
        place: None,
        message: format!("can't be read: {error}"),
        help: None,
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // Gone between being listed and being looked at, or a dangling link: the next look tells.
        Err(error) if !given && error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(complain(&error)),
    };
    if metadata.is_dir() {
        // Links to directories could lead round in circles.
        if !given && path.is_symlink() {
            return Ok(());
        }
        for entry in fs::read_dir(path).map_err(|error| complain(&error))? {
            let entry = entry.map_err(|error| complain(&error))?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                collect(&entry.path(), false, files)?;
            }
        }
    } else if metadata.is_file() && (given || is_manifest(path)) {
        let stamp = FileStamp {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        };
        files.push((path.to_owned(), stamp));
    }
    Ok(())
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn read_manifest(path: &Path) -> Result<Manifest, Vec<Complaint>> {
    let complain = |place, message: &str, help: Option<&str>| Complaint {
        path: path.to_owned(),
        place,
        message: message.into(),
        help: help.map(Into::into),
    };
    let bytes =
        fs::read(path).map_err(|error| vec![complain(None, &format!("can't be read: {error}"), None)])?;
    let text = syntax::decode(&bytes)
        .map_err(|error| vec![complain(None, &error.message, error.help.as_deref())])?;
    let manifest = Manifest::read(text, DEFAULT_NAMESPACE);

    let lines = LineIndex::new(text);
    let place = |span: Span| {
        let position = lines.position(text, span.start);
        Some((position.line, position.column))
    };
    let mut complaints: Vec<Complaint> = manifest
        .errors
        .iter()
        .map(|error| complain(place(error.span), &error.message, error.help.as_deref()))
        .collect();
    for object in &manifest.objects {
        let problems = match &object.content {
            Content::Policy(policy) => &policy.problems,
            _ => &object.problems,
        };
        let rejected: Vec<_> = problems
            .iter()
            .filter(|problem| problem.kind.rejects())
            .map(|problem| complain(place(problem.span), &problem.message, problem.help.as_deref()))
            .collect();
        let unusable = match &object.content {
            Content::Policy(policy) => policy.model.is_none(),
            Content::Broken => true,
            _ => false,
        };
        if unusable && rejected.is_empty() {
            complaints.push(complain(place(object.span), "this object can't be used", None));
        }
        complaints.extend(rejected);
    }
    if complaints.is_empty() { Ok(manifest) } else { Err(complaints) }
}

/// Where objects without a namespace go, as `kubectl` has it.
const DEFAULT_NAMESPACE: &str = "default";

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{self, Receiver};

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\n";
    const POLICY: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                          metadata: {name: deny, namespace: shop}\nspec: {podSelector: {}}\n";
    const PATIENCE: Duration = Duration::from_secs(20);

    fn watch(paths: &[&Path]) -> Receiver<Update> {
        let (send, updates) = mpsc::channel();
        let files = Box::new(Files::new(paths.iter().map(|path| path.to_path_buf()).collect()));
        thread::spawn(move || files.run(Box::new(move |update| send.send(update).is_ok())));
        updates
    }

    /// The numbers of pods and policies of the next update, or the complaints.
    fn next(updates: &Receiver<Update>) -> Result<(usize, usize), Vec<String>> {
        match updates.recv_timeout(PATIENCE).expect("an update") {
            Update::Cluster(cluster) => Ok((cluster.pods.len(), cluster.policies.len())),
            Update::Refused(complaints) => Err(complaints.iter().map(ToString::to_string).collect()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn edits_are_seen_and_wrong_ones_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name);
        fs::write(file("pod.yaml"), POD).expect("written");
        let updates = watch(&[directory.path()]);
        assert_eq!(next(&updates), Ok((1, 0)));

        fs::create_dir(file("below")).expect("created");
        fs::write(file("below/policy.yml"), POLICY).expect("written");
        fs::write(file("notes.txt"), "no: manifest: at: all").expect("written");
        assert_eq!(next(&updates), Ok((1, 1)));

        // As editors save: a new file takes the old one's name.
        fs::write(file(".new"), POLICY.replace("podSelector: {}", "podSelector: {matchLabels: {app: -x}}"))
            .expect("written");
        fs::rename(file(".new"), file("below/policy.yml")).expect("renamed");
        let complaints = next(&updates).expect_err("the label is wrong");
        assert_eq!(complaints.len(), 1);
        let place = format!("{}:4:", file("below/policy.yml").display());
        assert!(complaints[0].starts_with(&place), "{}", complaints[0]);

        fs::remove_file(file("below/policy.yml")).expect("removed");
        assert_eq!(next(&updates), Ok((1, 0)));
    }

    #[test]
    fn a_swapped_link_is_seen() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name);
        // As a ConfigMap is mounted: files are links through `..data`, which is replaced as a whole.
        for (version, text) in [("..1", POD), ("..2", POLICY)] {
            fs::create_dir(file(version)).expect("created");
            fs::write(file(version).join("all.yaml"), text).expect("written");
        }
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, file(name)).expect("linked");
        link("..1", "..data");
        link("..data/all.yaml", "all.yaml");
        let updates = watch(&[directory.path()]);
        assert_eq!(next(&updates), Ok((1, 0)));
        link("..2", "..data_tmp");
        fs::rename(file("..data_tmp"), file("..data")).expect("renamed");
        assert_eq!(next(&updates), Ok((0, 1)));
    }

    #[test]
    fn a_missing_directory_is_a_complaint() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("none");
        let updates = watch(&[&missing]);
        let complaints = next(&updates).expect_err("there is nothing to read");
        assert!(
            complaints[0].starts_with(&format!("{}: can't be read", missing.display())),
            "{complaints:?}"
        );
    }
}

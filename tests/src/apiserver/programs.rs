//! The programs `kube-apiserver`, `etcd` and `kubectl`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The folder with all of them, built first if need be; or why there is none.
pub(super) fn find() -> Result<&'static Path, String> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOLDER.get_or_init(locate).as_deref().map_err(Clone::clone)
}

fn locate() -> Result<PathBuf, String> {
    if let Some(folder) = env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()) {
        let folder = PathBuf::from(folder);
        return match ["kube-apiserver", "etcd", "kubectl"]
            .iter()
            .find(|program| !folder.join(program).is_file())
        {
            Some(missing) => Err(format!("KUBEBUILDER_ASSETS={} holds no {missing}", folder.display())),
            None => Ok(folder),
        };
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/apiserver");
    // What it has to say during the minutes of a build goes to standard error.
    let built = Command::new(&script)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{}: {error}", script.display()))?;
    if !built.status.success() {
        return Err("scripts/apiserver can't build it (it needs Go, and the network once); see above".into());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&built.stdout).trim()))
}

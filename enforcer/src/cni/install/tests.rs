use super::*;
use std::path::PathBuf;
use std::thread;

struct Node {
    directory: tempfile::TempDir,
    installation: Installation,
}

const LIST: &str = r#"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"ptp"}]}"#;

impl Node {
    fn new(configurations: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("net.d")).expect("created");
        for (name, text) in configurations {
            fs::write(path("net.d").join(name), text).expect("written");
        }
        fs::write(path("plugin"), "the plugin").expect("written");
        let installation = Installation {
            program: path("plugin"),
            places: CniPlaces { cni_bin_dir: path("bin"), cni_conf_dir: path("net.d") },
            entry: Entry::new(&path("state"), 10, false),
        };
        Self { directory, installation }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("net.d").join(name)
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// The types of the plugins of the first configuration, as a runtime finds it.
    fn chain(&self) -> Vec<String> {
        let first = files::configurations(&self.installation.places.cni_conf_dir).expect("listed").remove(0);
        let text: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(first).expect("read")).expect("a runtime finds JSON");
        let kind = |plugin: &serde_json::Value| plugin["type"].as_str().expect("a type").to_owned();
        match text["plugins"].as_array() {
            Some(plugins) => plugins.iter().map(kind).collect(),
            None => vec![kind(&text)],
        }
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).expect("listed");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn into_a_list_once_and_out_again() {
    let node = Node::new(&[("10-pods.conflist", LIST), ("20-other.conflist", LIST), ("05-notes.txt", "")]);
    assert_eq!(node.installation.install().expect("installed"), Some(node.path("10-pods.conflist")));
    assert_eq!(node.installation.install().expect("nothing to do"), None);
    assert_eq!(node.chain(), ["ptp", "netpol-cni"]);
    assert!(node.installation.places.cni_bin_dir.join("netpol-cni").exists());
    // The network plugin writes its configuration again.
    fs::write(node.path("10-pods.conflist"), LIST).expect("written");
    assert_eq!(node.installation.install().expect("installed"), Some(node.path("10-pods.conflist")));
    assert_eq!(node.chain(), ["ptp", "netpol-cni"]);
    // Another agent's is left alone.
    assert_eq!(
        node.installation.places.remove(Path::new("/elsewhere")).expect("fine"),
        Vec::<PathBuf>::new()
    );
    assert_eq!(node.chain(), ["ptp", "netpol-cni"]);
    let removed = node.installation.places.remove(&node.state()).expect("removed");
    assert_eq!(removed, [node.path("10-pods.conflist")]);
    assert_eq!(node.chain(), ["ptp"]);
    assert!(!node.installation.places.cni_bin_dir.join("netpol-cni").exists());
    assert_eq!(node.files(), ["05-notes.txt", "10-pods.conflist", "20-other.conflist"]);
}

#[test]
fn a_single_configuration_becomes_a_list_and_comes_back() {
    let conf = r#"{"cniVersion":"0.3.1","name":"pods","type":"bridge"}"#;
    let node = Node::new(&[("10-pods.conf", conf)]);
    assert_eq!(node.installation.install().expect("installed"), Some(node.path("10-pods.conflist")));
    assert_eq!(node.chain(), ["bridge", "netpol-cni"]);
    assert_eq!(node.installation.install().expect("nothing to do"), None);
    node.installation.places.remove(&node.state()).expect("removed");
    assert_eq!(node.files(), ["10-pods.conf"]);
    assert_eq!(fs::read_to_string(node.path("10-pods.conf")).expect("read"), conf);
}

#[test]
fn what_cannot_be_read_is_not_touched() {
    for text in [
        "",
        "{",
        r#"{"cniVersion":"1.0.0","plugins":[]}"#,
        r#"{"cniVersion":"0.2.0","plugins":[{"type":"a"}]}"#,
    ] {
        let node = Node::new(&[("10-pods.conflist", text)]);
        let error = format!("{:#}", node.installation.install().expect_err(text));
        assert!(error.contains("10-pods.conflist"), "{error}");
        assert_eq!(fs::read_to_string(node.path("10-pods.conflist")).expect("read"), text);
        assert_eq!(node.files(), ["10-pods.conflist"]);
    }
    let error = Node::new(&[]).installation.install().expect_err("there is nothing");
    assert!(error.to_string().contains("no configuration"), "{error}");
}

#[test]
fn a_runtime_never_finds_a_broken_list_and_its_owner_loses_nothing() {
    let node = Node::new(&[("10-pods.conflist", LIST)]);
    let path = node.path("10-pods.conflist");
    // An owner that writes a few times and then stops, at any point of an installation: the last it wrote has to stay.
    for round in 0..60 {
        let writes = 1 + round % 20;
        thread::scope(|scope| {
            let owner = scope.spawn(|| {
                for number in 0..writes {
                    let fresh = node.path(".fresh");
                    fs::write(&fresh, LIST.replace("ptp", &format!("ptp{round}-{number}"))).expect("written");
                    fs::rename(&fresh, &path).expect("renamed");
                    thread::yield_now();
                }
            });
            while !owner.is_finished() {
                // It may give up for now when the owner writes faster than it can read.
                let _ = node.installation.install();
                let text = fs::read_to_string(&path).expect("it is always there");
                Conflist::read(&text).expect("it is always a list");
            }
        });
        node.installation.install().expect("installed");
        assert_eq!(node.chain(), [format!("ptp{round}-{}", writes - 1), "netpol-cni".to_owned()]);
        assert_eq!(node.files(), ["10-pods.conflist"]);
    }
}

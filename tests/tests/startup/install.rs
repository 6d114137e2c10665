//! The agent installs the plugin, and `cleanup` takes it out.

use std::fs;

use netpol_tests::agent;
use netpol_tests::cni::Sandbox;
use netpol_tests::lab::netns::NetNs;
use netpol_tests::programs;

use super::{Started, coming, deny, skip};
use crate::common::{CONVERGENCE, eventually};

#[test]
fn the_agent_chains_the_plugin_and_cleanup_takes_it_out() {
    if skip("installing the CNI plugin") {
        return;
    }
    let mut started = Started::new("ptp", "1.0.0", &(coming(&[("first", "closed")]) + &deny("closed")));
    let list = started.configurations.join("10-lab.conflist");
    let original = fs::read_to_string(&list).unwrap();
    let directory = |name: &str| started.enforced.running.files.directory(name).unwrap();
    let (bin, conf, plugin) = (directory("bin"), started.configurations.clone(), programs::cni().unwrap());
    let places = ["--cni-bin-dir", bin.to_str().unwrap(), "--cni-conf-dir", conf.to_str().unwrap()];
    let arguments = ["--install-cni", "--cni-plugin", plugin.to_str().unwrap()];
    let all = arguments.iter().chain(&places).map(std::ffi::OsStr::new).collect::<Vec<_>>();
    started.start_agent(&all);
    let chained =
        |started: &Started| started.runtime.chain().unwrap().last().is_some_and(|last| last == "netpol-cni");
    eventually("the plugin is chained", CONVERGENCE, || chained(&started));
    assert!(bin.join("netpol-cni").exists());
    let namespace = NetNs::new("first").unwrap();
    let sandbox = Sandbox { container: "c1", pod: Some("default/first"), namespace: &namespace };
    started.add(sandbox).unwrap_or_else(|error| panic!("{error:#}{}", started.enforced.explain()));

    // The network plugin writes its file again, as when its own pod is restarted; and once it writes rubbish.
    for text in [&original, &original[..20], &original] {
        fs::write(&list, text).unwrap();
        let expected = if text.len() == 20 { text.to_owned() } else { String::new() };
        eventually("the plugin is chained again", CONVERGENCE, || {
            let now = fs::read_to_string(&list).unwrap();
            now == expected || serde_json::from_str::<serde_json::Value>(&now).is_ok() && chained(&started)
        });
    }

    started.enforced.agents.pop().unwrap().stop().unwrap();
    assert!(chained(&started), "it stays when the agent ends");
    let output = agent::command(&started.enforced.running, 0, &[&["cleanup"], &places[..]].concat()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let before: serde_json::Value = serde_json::from_str(&original).unwrap();
    let after: serde_json::Value = serde_json::from_str(&fs::read_to_string(&list).unwrap()).unwrap();
    assert_eq!(after, before);
    assert!(!bin.join("netpol-cni").exists());
    assert_eq!(fs::read_dir(&conf).unwrap().count(), 1, "nothing else is left");
}

//! What happens to agents and nodes while traffic flows.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use netpol_tests::probe::server::Port;
use netpol_tests::scenario::Scenario;
use netpol_tests::scenario::flow::{Flow, Source};

use crate::kubectl::Kubectl;
use crate::reach::{Places, connect_command, needs_outside};
use crate::said;
use crate::scenarios::World;
use crate::{DAEMON_SET, ENFORCER};

/// Replaces every agent while connections are open, made and refused.
pub(crate) fn roll_out(world: &mut World<'_>) -> Result<()> {
    let scenario = Scenario::read("three-tier")?;
    let stage = scenario.expected.stages.last().context("three-tier has stages")?;
    world.remove();
    let flows = world.stage(&scenario, stage)?;
    world.expect(&flows)?;
    let places = Places::ask(world.kubectl)?;
    let (database, port) = (places.pods["default/db"].0, Port::tcp(3306));
    let tries = |patience: Duration| {
        let connect = connect_command(database, port, patience);
        format!("while :; do if {connect} 2>/dev/null; then echo yes; else echo no; fi; sleep 0.02; done")
    };
    // What goes to the standard error is not kept back until there is a block of it.
    let open = "curl --silent --max-time 600 --rate 20/s --output /dev/null --write-out '%{stderr}%{http_code} %{num_connects}\\n' ";
    let kept = Traffic::start(
        world.kubectl,
        "backend",
        &format!("exec {open} 'http://{database}:3306/hostname?[1-100000]' 2>&1"),
    )?;
    let allowed = Traffic::start(world.kubectl, "backend", &tries(Duration::from_secs(3)))?;
    let denied = Traffic::start(world.kubectl, "frontend", &tries(Duration::from_millis(200)))?;
    let all = [&kept, &allowed, &denied];
    wait_for_more(&all, 10)?;
    let agents = ["-n", ENFORCER, "rollout"];
    world.kubectl.run(&[&agents[..], &["restart", DAEMON_SET]].concat())?;
    let wait = ["status", DAEMON_SET, "--timeout=180s"];
    world.kubectl.run(&[&agents[..], &wait].concat())?;
    wait_for_more(&all, 20)?;
    let (kept, allowed, denied) = (kept.end(), allowed.end(), denied.end());
    let answers = kept.iter().filter(|line| line.starts_with("200 ")).count();
    let connections = kept.iter().filter(|line| line.ends_with(" 1")).count();
    let broken = allowed.iter().filter(|line| *line != "yes").count();
    let passed = denied.iter().filter(|line| *line != "no").count();
    let counts = format!(
        "{answers} of {} requests answered over {connections} connection, {broken} of {} allowed connections failed, \
         {passed} of {} denied ones passed",
        kept.len(),
        allowed.len(),
        denied.len(),
    );
    ensure!(
        answers == kept.len() && connections == 1 && broken == 0 && passed == 0,
        "while all agents were replaced: {counts}"
    );
    said(&format!("all agents replaced under traffic: {counts}"));
    Ok(())
}

/// Ends a node; what is on the others must not notice. Then it comes back.
pub(crate) fn lose_a_node(world: &mut World<'_>, kill: &str, start: Option<&str>) -> Result<()> {
    let scenario = Scenario::read("three-tier")?;
    let stage = scenario.expected.stages.last().context("three-tier has stages")?;
    world.remove();
    let flows = world.stage(&scenario, stage)?;
    world.expect(&flows)?;
    let cluster = World::cluster(&scenario, stage)?;
    let places = Places::ask(world.kubectl)?;
    let lost = world.nodes.iter().last().context("there are nodes")?.name.clone();
    let on_it = |key: &str| places.pods.get(key).is_some_and(|(_, node)| *node == lost);
    let stays = |flow: &Flow| {
        let source = matches!(&flow.source, Source::Pod(key) if !on_it(key));
        let behind = flow.pods_behind(&cluster);
        source && !behind.is_empty() && behind.iter().all(|(key, _)| !on_it(key)) && !needs_outside(flow)
    };
    let staying = flows.iter().filter(|(flow, _)| stays(flow)).cloned().collect::<Vec<_>>();
    ensure!(!staying.is_empty(), "no flow stays off {lost}: the cluster has too few nodes");
    let before = restarts(world, &lost)?;
    shell(kill, &lost)?;
    let (count, _) = world.expect(&staying)?;
    said(&format!("{lost} lost: {count} flows between the others as before"));
    let Some(start) = start else { return Ok(()) };
    shell(start, &lost)?;
    // What the API says of the node and its pods is old at first: only a container that was started again is a sign.
    let began = Instant::now();
    while restarts(world, &lost)?.iter().any(|(pod, count)| before.get(pod).is_some_and(|old| count <= old)) {
        ensure!(began.elapsed() < NODE_IS_BACK, "{lost}, or one of its pods, does not come back");
        thread::sleep(Duration::from_millis(300));
    }
    world.wait_for_pods()?;
    let (count, _) = world.expect(&flows)?;
    said(&format!("{lost} back: {count} flows as expected after {}", crate::seconds(began.elapsed())));
    Ok(())
}

/// How long a node may take to start all its pods again.
const NODE_IS_BACK: Duration = Duration::from_secs(300);

/// How often the containers of each pod on a node were started again.
fn restarts(world: &World<'_>, node: &str) -> Result<BTreeMap<String, u64>> {
    let pods = world.kubectl.get(&[
        "pods",
        "--all-namespaces",
        "--field-selector",
        &format!("spec.nodeName={node}"),
    ])?;
    let pods = pods["items"].as_array().into_iter().flatten().map(|pod| {
        let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        let count = containers.filter_map(|container| container["restartCount"].as_u64()).sum();
        let name = |key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
        (format!("{}/{}", name("namespace"), name("name")), count)
    });
    Ok(pods.collect())
}

fn shell(command: &str, argument: &str) -> Result<()> {
    let status = std::process::Command::new("sh").args(["-c", &format!("{command} {argument}")]).status()?;
    ensure!(status.success(), "{command} {argument} failed");
    Ok(())
}

/// Something that runs in a pod and writes a line about each attempt.
struct Traffic {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Traffic {
    fn start(kubectl: &Kubectl, pod: &str, script: &str) -> Result<Self> {
        let mut child = kubectl.start(&["-n", "default", "exec", pod, "--", "sh", "-c", script])?;
        let out = child.stdout.take().context("its output was asked for")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                into.lock().expect("nobody panics with the lock").push(line);
            }
        });
        Ok(Self { child, lines })
    }

    fn count(&self) -> usize {
        self.lines.lock().expect("nobody panics with the lock").len()
    }

    fn end(mut self) -> Vec<String> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.lines.lock().expect("nobody panics with the lock").clone()
    }
}

fn wait_for_more(all: &[&Traffic], more: usize) -> Result<()> {
    let before = all.iter().map(|traffic| traffic.count()).collect::<Vec<_>>();
    let deadline = Instant::now() + Duration::from_secs(60);
    while all.iter().zip(&before).any(|(traffic, before)| traffic.count() < before + more) {
        ensure!(Instant::now() < deadline, "traffic stands still");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

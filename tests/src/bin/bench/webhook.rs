//! The admission webhook beside a large cluster: what a review costs, next to a server that only sends the body back.

pub(crate) mod cluster;
mod echo;
mod load;
pub(crate) mod objects;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use netpol_tests::apiserver::{ApiServer, block_on};
use netpol_tests::webhook::Webhook;

pub(crate) use self::echo::serve as echo;
use self::load::{Measured, Target};

/// How much there is, and how long to look.
pub(crate) struct Plan {
    pub(crate) pods: usize,
    pub(crate) policies: usize,
    pub(crate) seconds: u64,
}

/// Connections that ask at once, as one API server keeps some.
const CONNECTIONS: usize = 8;

const WAIT: Duration = Duration::from_secs(120);

impl Plan {
    pub(crate) fn run(&self) -> Result<()> {
        if netpol_tests::apiserver::skip("the webhook's benchmark") {
            return Ok(());
        }
        let server = ApiServer::start()?;
        let cluster = cluster::Cluster { pods: self.pods, policies: self.policies };
        cluster.create(&server)?;
        let webhook = Webhook::start(server.kubeconfig(), &[])?;
        let target = |port, path| Target { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), path };
        let asked = target(webhook.port(), "/validate?timeout=10s");
        let ca = webhook.ca()?;
        self.wait_until_known(&target(webhook.port(), "/metrics"), &ca)?;

        let echo = echo::Process::start()?;
        let bodies = objects::reviews();
        let bytes = bodies.iter().map(String::len).sum::<usize>() / bodies.len();
        let answers = load::answers(&asked, &ca, &bodies)?;
        let refused = answers.iter().find(|answer| !answer.contains("\"allowed\":true"));
        ensure!(refused.is_none(), "a policy is refused: {refused:?}");
        let warned = answers.iter().filter(|answer| answer.contains("\"warnings\"")).count();
        println!(
            "Reviews of {} typical policies, no two alike ({bytes} bytes on average, {warned} answered with warnings), over TLS, {} pods and {} policies known, {CONNECTIONS} connections, {} s each\n",
            bodies.len(),
            self.pods,
            self.policies,
            self.seconds
        );
        println!(
            "| what | p50, alone | p99, alone | p99, under load | requests per second and core | ratio |"
        );
        println!("|---|---:|---:|---:|---:|---:|");
        let time = Duration::from_secs(self.seconds);
        let base = load::measure(&target(echo.port, "/"), &echo.ca, &bodies, CONNECTIONS, time, echo.pid())?;
        row("axum and rustls, the body sent back", &base, &base);
        let reviews = load::measure(&asked, &ca, &bodies, CONNECTIONS, time, webhook.pid())?;
        row("netpol-webhook, /validate", &reviews, &base);
        println!("\nMemory of the webhook at that size: {} MiB", resident(webhook.pid())? >> 20);
        self.writes(&server, &webhook, &cluster)
    }

    /// Asks for metrics until the whole cluster is known.
    fn wait_until_known(&self, metrics: &Target, ca: &str) -> Result<()> {
        let deadline = Instant::now() + WAIT;
        let pods = format!("netpol_webhook_cluster_objects{{kind=\"pods\"}} {}", self.pods);
        loop {
            let page = load::get(metrics, ca)?;
            if page.contains(&pods) && page.contains("cluster_index_seconds ") {
                let index =
                    page.lines().find(|line| line.starts_with("netpol_webhook_cluster_index_seconds "));
                println!("Indexed in {} s", index.and_then(|line| line.split(' ').nth(1)).unwrap_or("?"));
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the webhook doesn't learn of the cluster:\n{page}");
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// What a client waits for a policy to be created, in a namespace whose policies are reviewed and in another.
    fn writes(&self, server: &ApiServer, webhook: &Webhook, cluster: &cluster::Cluster) -> Result<()> {
        let (with, without) = (objects::namespace(0), objects::namespace(1));
        let registration = webhook.register(server, &[&with])?;
        let asked =
            || Ok::<_, anyhow::Error>(fs::read_to_string(webhook.log_file())?.matches("\"decided\"").count());
        let client = server.client()?;
        let before = asked()?;
        let (mut times, runs) = ([Vec::new(), Vec::new()], 300);
        for run in 0..runs {
            // Interleaved, so that a busy moment of the machine meets both.
            for (namespace, times) in [&with, &without].into_iter().zip(&mut times) {
                times.push(block_on(cluster.write(&client, namespace, run))?);
            }
        }
        let reviewed = asked()? - before;
        ensure!(reviewed + 20 > runs, "the API server asked only {reviewed} times");
        drop(registration);
        for times in &mut times {
            times.sort();
        }
        let [with, without] = times;
        println!(
            "\nThe API server creates a policy, {runs} times each\n\n| what | p50 | p99 | ratio of p50 |\n|---|---:|---:|---:|"
        );
        let at = |times: &[Duration], part: usize| {
            times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1e3
        };
        for (what, times) in [("without the webhook", &without), ("with the webhook", &with)] {
            let ratio = at(times, 50) / at(&without, 50);
            println!("| {what} | {:.2} ms | {:.2} ms | {ratio:.2} |", at(times, 50), at(times, 99));
        }
        Ok(())
    }
}

fn row(what: &str, measured: &Measured, base: &Measured) {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "| {what} | {:.2} ms | {:.2} ms | {:.2} ms | {:.0} | {:.2} |",
        milliseconds(measured.alone.0),
        milliseconds(measured.alone.1),
        milliseconds(measured.loaded),
        measured.per_core,
        measured.per_core / base.per_core,
    );
}

/// Bytes of memory that a process has now.
fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a line VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib << 10)
}

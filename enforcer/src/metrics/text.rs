//! The page of metrics.

use std::time::{Instant, SystemTime};

use super::page::{Kind, Page};
use super::process;
use super::scrape::Scrape;
use super::snapshot::Snapshot;

/// The page. Everything that is not measured yet is 0, so that every metric is always there.
pub(super) fn text(snapshot: &Snapshot, scrape: &Scrape<'_>) -> String {
    let mut page = Page::default();
    about(snapshot, &mut page);
    packets(scrape, &mut page);
    maps(snapshot, scrape, &mut page);
    source(snapshot, &mut page);
    endpoints(snapshot, &mut page);
    let programming = "Time from a change at the source to its being enforced.";
    snapshot.programming.write("programming_duration_seconds", programming, &mut page);
    snapshot.applying.write("apply_duration_seconds", "Time to write a change to the kernel.", &mut page);
    let failures = "Changes that could not be written to the kernel; each is tried again.";
    page.single("programming_failures_total", Kind::Counter, failures, snapshot.failures);
    process::write(&mut page);
    page.finish()
}

fn about(snapshot: &Snapshot, page: &mut Page) {
    page.metric("build_info", Kind::Gauge, "Version of the agent and of what it pins.");
    let layout = crate::kernel::LAYOUT.to_string();
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("layout", &*layout), ("node", &*snapshot.node)];
    page.sample("build_info", &labels, 1);
    let ready = u8::from(snapshot.unready.is_empty());
    page.single("ready", Kind::Gauge, "Whether everything that was read is enforced.", ready);
    page.single("epoch", Kind::Gauge, "Raised with every change of what is enforced.", snapshot.epoch);
    let idle = Instant::now().saturating_duration_since(snapshot.turned).as_secs_f64();
    page.single("loop_idle_seconds", Kind::Gauge, "Time since the agent's loop last turned.", idle);
    page.single(
        "problems",
        Kind::Gauge,
        "What did not fit or could not be done; status lists it.",
        snapshot.problems,
    );
}

fn packets(scrape: &Scrape<'_>, page: &mut Page) {
    page.metric("packets_total", Kind::Counter, "Packets, at each hook that decided.");
    for counted in &scrape.counters {
        let labels = [
            ("verdict", &*counted.verdict),
            ("direction", &*counted.direction),
            ("reason", &*counted.reason),
        ];
        page.sample("packets_total", &labels, counted.packets);
    }
    page.metric("packet_bytes_total", Kind::Counter, "Their bytes, link-layer headers included.");
    for counted in &scrape.counters {
        let labels = [
            ("verdict", &*counted.verdict),
            ("direction", &*counted.direction),
            ("reason", &*counted.reason),
        ];
        page.sample("packet_bytes_total", &labels, counted.bytes);
    }
    scrape.denied.write(page);
    page.metric(
        "events_lost_total",
        Kind::Counter,
        "Events that were not told. The other counters have all of them.",
    );
    for (cause, count) in
        [("rate_limited", scrape.lost.rate_limited), ("buffer_full", scrape.lost.buffer_full)]
    {
        page.sample("events_lost_total", &[("cause", cause)], count);
    }
    page.metric("kubernetes_events_total", Kind::Counter, "Events about pods whose traffic is denied often.");
    for (result, count) in scrape.published {
        page.sample("kubernetes_events_total", &[("result", result)], count);
    }
}

fn maps(snapshot: &Snapshot, scrape: &Scrape<'_>, page: &mut Page) {
    page.metric("map_entries", Kind::Gauge, "Entries in use. Those of flows are counted every half minute.");
    for (map, _) in scrape.sizes {
        page.sample("map_entries", &[("map", map)], snapshot.entries.get(map).copied().unwrap_or(0));
    }
    page.metric("map_max_entries", Kind::Gauge, "Entries that fit.");
    for (map, size) in scrape.sizes {
        page.sample("map_max_entries", &[("map", map)], size);
    }
}

fn source(snapshot: &Snapshot, page: &mut Page) {
    let connected = u8::from(snapshot.connected);
    page.single("source_connected", Kind::Gauge, "Whether the source of objects can be reached.", connected);
    let lag =
        snapshot.heard.and_then(|heard| SystemTime::now().duration_since(heard).ok()).unwrap_or_default();
    let help = "Time since the source was last heard of; 0 for one that can't be away.";
    page.single("source_lag_seconds", Kind::Gauge, help, lag.as_secs_f64());
    let synced = snapshot.synced.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let help = "When objects were last read, in seconds since 1970; 0: never.";
    page.single("synced_timestamp_seconds", Kind::Gauge, help, synced.unwrap_or_default().as_secs_f64());
    page.single("source_refused_objects", Kind::Gauge, "Objects that can't be used.", snapshot.refused);
    page.metric("source_objects", Kind::Gauge, "Objects that were read.");
    for (kind, count) in &snapshot.objects {
        page.sample("source_objects", &[("kind", kind)], count);
    }
}

fn endpoints(snapshot: &Snapshot, page: &mut Page) {
    page.metric("endpoints", Kind::Gauge, "Pods' links. All but bound ones are closed.");
    for state in ["bound", "adopted", "unknown", "disputed"] {
        page.sample("endpoints", &[("state", state)], snapshot.endpoints.get(state).copied().unwrap_or(0));
    }
    page.metric("endpoints_isolated", Kind::Gauge, "Pods' links that are isolated in a direction.");
    for (direction, count) in ["ingress", "egress"].into_iter().zip(snapshot.isolated) {
        page.sample("endpoints_isolated", &[("direction", direction)], count);
    }
    page.single(
        "endpoints_audited",
        Kind::Gauge,
        "Pods' links for which nothing is enforced.",
        snapshot.audited,
    );
    page.single("hooks", Kind::Gauge, "Hooks that run a program.", snapshot.hooks);
    let help = "Links that lack a hook: what leaves through them is not judged.";
    page.single("hooks_missing", Kind::Gauge, help, snapshot.hooks_missing);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::denied::Denied;
    use super::*;
    use crate::metrics::Vitals;
    use crate::monitor::LostCounts;

    fn page() -> String {
        let denied = Denied::default();
        let scrape = Scrape {
            counters: vec![],
            sizes: &[("CONNTRACK", 262_144)],
            denied: &denied,
            lost: LostCounts::default(),
            published: [("written", 0), ("limited", 0), ("failed", 0)],
        };
        text(&Vitals::new("node-1".into()).read(), &scrape)
    }

    /// The names of all samples that there can be.
    fn samples(page: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for line in page.lines() {
            let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
            else {
                continue;
            };
            match kind {
                "histogram" => names.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}"))),
                _ => _ = names.insert(name.to_owned()),
            }
        }
        names
    }

    /// The metrics that a text of queries names.
    fn named(text: &str) -> BTreeSet<&str> {
        let word = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let words = text.split(word);
        words.filter(|word| word.starts_with("netpol_enforcer_") || word.starts_with("process_")).collect()
    }

    #[test]
    fn the_page_follows_the_conventions() {
        let page = page();
        let mut described = BTreeSet::new();
        for line in page.lines() {
            match line.split_once(' ') {
                Some(("#", rest)) => {
                    let name = rest.split(' ').nth(1).expect("a name");
                    if rest.starts_with("HELP") {
                        assert!(described.insert(name), "{name} is described twice");
                        assert!(rest.ends_with('.'), "{rest}");
                    } else if rest.ends_with(" counter") {
                        assert!(name.ends_with("_total"), "{name}");
                    } else {
                        assert!(!name.ends_with("_total"), "{name}");
                    }
                }
                Some((_, value)) => assert!(value.parse::<f64>().is_ok() || line.contains('{'), "{line}"),
                None => panic!("{line}"),
            }
        }
        assert!(described.len() > 25);
    }

    #[test]
    fn dashboard_and_alerts_ask_for_metrics_that_exist() {
        let page = page();
        let known = samples(&page);
        let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/monitoring");
        let read = |name: &str| std::fs::read_to_string(manifests.join(name)).expect(name);
        let dashboard = read("netpol-enforcer-dashboard.json");
        let alerts = read("netpol-enforcer-alerts.yaml");
        for (what, text) in [("dashboard", &dashboard), ("alerts", &alerts)] {
            let named = named(text);
            assert!(named.len() > 8, "{what}: {named:?}");
            for name in named {
                assert!(known.contains(name), "{what}: there is no metric {name}");
            }
        }
        let json: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
        let mut ids = BTreeSet::new();
        for panel in json["panels"].as_array().expect("panels") {
            assert!(ids.insert(panel["id"].as_u64()), "{}", panel["title"]);
            let row = panel["type"] == "row";
            assert!(row || panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()));
        }
        assert_eq!(alerts.matches("- alert:").count(), alerts.matches("summary:").count());
    }
}

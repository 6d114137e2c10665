//! Prometheus' text format.

use std::fmt::{Display, Write as _};

/// What all names begin with.
pub const PREFIX: &str = "netpol_enforcer_";

/// A page of metrics in the making.
#[derive(Debug, Default)]
pub(super) struct Page(String);

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Page {
    /// Begins a metric of this program. Its samples follow.
    pub(super) fn metric(&mut self, name: &str, kind: Kind, help: &str) {
        self.foreign(&format!("{PREFIX}{name}"), kind, help);
    }

    /// Begins a metric whose name is complete.
    pub(super) fn foreign(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A value of the metric.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.foreign_sample(&format!("{PREFIX}{name}"), labels, value);
    }

    /// A value of a metric whose name is complete.
    pub(super) fn foreign_sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A metric with one value.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.sample(name, &[], value);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let mut page = Page::default();
        page.single("epoch", Kind::Gauge, "The epoch.", 3);
        page.metric("packets_total", Kind::Counter, "Packets.");
        page.sample("packets_total", &[("verdict", "dropped"), ("reason", "a\"\\\nb")], 7);
        let expected = "# HELP netpol_enforcer_epoch The epoch.\n# TYPE netpol_enforcer_epoch gauge\n\
                        netpol_enforcer_epoch 3\n\
                        # HELP netpol_enforcer_packets_total Packets.\n# TYPE netpol_enforcer_packets_total counter\n\
                        netpol_enforcer_packets_total{verdict=\"dropped\",reason=\"a\\\"\\\\\\nb\"} 7\n";
        assert_eq!(page.finish(), expected);
    }
}

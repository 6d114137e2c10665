//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ipnet::IpNet;
use netpol_enforcer_common::config::EVENT_LIMIT;
use netpol_enforcer_common::mark::{DEFAULT_MASK, MarkMask};
use netpol_enforcer_common::reason::Reason;

use crate::cni;
use crate::kernel::{Dumped, MapSizes};
use crate::log::{Format, Level};
use crate::metrics::Address;
use crate::monitor::{PortFilter, Who};

/// Enforces Kubernetes NetworkPolicies on this node with eBPF.
///
/// Runs beside any CNI plugin that connects pods by veth pairs and enforces nothing itself (flannel, kindnet, the bridge
/// and ptp plugins). What was programmed stays enforced when the agent ends; `cleanup` removes it.
#[derive(Debug, Parser)]
#[command(name = "netpol-enforcer", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enforce until told to stop, and leave what is programmed in place.
    Run(Box<Run>),
    /// Show links, endpoints, policy sets, map use and counters.
    Status(Status),
    /// List the pods of this node: interface, addresses, what isolates them, their flows and drops.
    Endpoints(Endpoints),
    /// Show the kernel's maps, decoded: what the programs see.
    ///
    /// The agent need not run. Maps change while they are read: an entry may be missed or seen twice.
    Dump(Dump),
    /// Show dropped packets as they happen, and why.
    ///
    /// Each drop comes with the policies that isolate the pod and the rule that came closest. Events are told once for each packet that is
    /// dropped and each flow that is opened, up to `--event-limit` of `run`; how many were not told is shown. Options given several
    /// times are alternatives; different options must all match.
    Monitor(Monitor),
    /// Ask whether somebody may open a connection to somebody: by the policies, and by the kernel's programs.
    ///
    /// The agent answers from the objects that it enforces, and runs the kernel's own programs on a made-up packet, which leaves no trace in
    /// flows, counters or events. It must be a pod of this node at one end at least; each end is judged on its own node.
    ///
    /// The exit code is 0 if it is allowed, 1 if it is denied, 2 if that can't be said here, and 3 if the kernel does something
    /// else than the policies say.
    Trace(Trace),
    /// Remove all programs and maps: nothing is enforced afterwards.
    Cleanup(Cleanup),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Where the agent keeps things.
#[derive(Clone, Debug, Args)]
pub struct Places {
    /// A BPF file system, or a directory on one; programs and maps are pinned in `netpol` below it.
    #[arg(long, value_name = "DIR", env = "NETPOL_BPFFS", default_value = "/sys/fs/bpf")]
    pub bpffs: PathBuf,
    /// Where the agent's state file and socket are.
    #[arg(long, value_name = "DIR", env = "NETPOL_STATE_DIR", default_value = "/run/netpol-enforcer")]
    pub state_dir: PathBuf,
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Where policies, pods, namespaces, services and nodes come from.
    #[arg(long, value_enum, default_value_t = SourceKind::Files)]
    pub source: SourceKind,
    /// A directory of manifests (.yaml, .yml, .json), watched for changes; may be given several times. Pods need
    /// `status.podIPs`.
    #[arg(long, value_name = "DIR")]
    pub manifests: Vec<PathBuf>,
    /// With `--source kube`: the cluster of this kubeconfig's current context. In a pod with a ServiceAccount it is the
    /// pod's own cluster.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// With `--source kube`: the agent's own pod, whose status says whether this node enforces (the condition
    /// `netpol.dev/Enforcing`).
    #[arg(long, value_name = "NAME", env = "POD_NAME", requires = "pod_namespace")]
    pub pod_name: Option<String>,
    /// The namespace of the agent's own pod.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    pub pod_namespace: Option<String>,
    /// This node's name, as in `spec.nodeName` of its pods. The host's name by default.
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub node_name: Option<String>,
    /// A range of this node's pod addresses, beside `spec.podCIDRs` of its Node object; may be given several times.
    #[arg(long, value_name = "CIDR")]
    pub pod_cidr: Vec<IpNet>,
    /// What happens to packets of a pod that is not known (yet). ARP, neighbour discovery and the node itself always pass.
    #[arg(long, value_enum, default_value_t = Unknown::Deny)]
    pub unknown_endpoint: Unknown,
    /// Enforce nothing, only say what would have been dropped: such packets pass, are counted and told as `audit` by `monitor` and in the
    /// metrics. Spoofed and malformed packets are dropped all the same. For the pods of one namespace, give it the annotation
    /// `netpol.dev/audit: "true"` instead.
    #[arg(long)]
    pub audit: bool,
    /// How many events are told in a second about one pod, on each CPU; 0: no limit. What is beyond is counted. A flood can't slow
    /// the data path down by being told.
    #[arg(long, value_name = "N", default_value_t = EVENT_LIMIT)]
    pub event_limit: u32,
    /// Whether pods whose traffic is denied often get Kubernetes Events that say why, with `--source kube`. They are limited: one in ten minutes
    /// for a pod and direction, twenty in a minute for the node.
    #[arg(long, value_enum, value_name = "ON|OFF", default_value_t = PodEvents::On)]
    pub pod_events: PodEvents,
    /// Where metrics (/metrics, for Prometheus) and health (/healthz, /readyz) are served over HTTP, or `off`. `:PORT` means every address
    /// of the node.
    #[arg(long, value_name = "ADDRESS", default_value = ":9470")]
    pub metrics_address: MetricsAddress,
    /// The bits of the packet mark to use: contiguous, 9 to 16 of them, not 0x4000 and 0x8000 where kube-proxy runs.
    #[arg(long, value_name = "MASK", value_parser = mark_mask, default_value_t = Mask(MarkMask::DEFAULT))]
    pub mark_mask: Mask,
    /// How programs are attached to links.
    #[arg(long, value_enum, default_value_t = Attach::Auto)]
    pub attach: Attach,
    /// Mount a BPF file system at --bpffs if there is none.
    #[arg(long)]
    pub mount_bpffs: bool,
    /// Run although another program enforces NetworkPolicies on this node already.
    #[arg(long)]
    pub beside_others: bool,
    /// The least important lines that are logged.
    #[arg(long, value_enum, default_value_t = Level::Info)]
    pub log_level: Level,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub log_format: Format,
    /// Where things are kept.
    #[command(flatten)]
    pub places: Places,
    /// The CNI plugin.
    #[command(flatten, next_help_heading = "CNI plugin")]
    pub cni: Cni,
    /// How large the maps are.
    #[command(flatten, next_help_heading = "Map sizes (of new maps; pinned ones keep theirs)")]
    pub sizes: MapSizes,
}

/// How the CNI plugin is installed.
#[derive(Debug, Args)]
pub struct Cni {
    /// Install netpol-cni on the node and chain it to the network plugin: then a pod only starts once its policies are in
    /// the kernel. `cleanup` takes it out again.
    #[arg(long)]
    pub install_cni: bool,
    /// The plugin's file, if it is not beside the agent's.
    #[arg(long, value_name = "FILE", requires = "install_cni")]
    pub cni_plugin: Option<PathBuf>,
    /// How long a pod's start waits to be programmed, in seconds, before it fails and the kubelet tries again.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub cni_timeout: u32,
    /// What happens to a pod's start when the agent does not answer in that time.
    #[arg(long, value_enum, default_value_t = WhenAway::Fail)]
    pub cni_when_away: WhenAway,
    /// Where it goes.
    #[command(flatten)]
    pub places: cni::CniPlaces,
}

/// What happens to a pod's start when the agent is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhenAway {
    /// It fails, and the kubelet tries again.
    Fail,
    /// The pod starts, and nothing is enforced for it until the agent is back.
    Allow,
}

/// `cleanup`.
#[derive(Debug, Args)]
pub struct Cleanup {
    /// Where things are kept.
    #[command(flatten)]
    pub places: Places,
    /// Where the CNI plugin was installed.
    #[command(flatten)]
    pub cni: cni::CniPlaces,
    /// Stay when all is removed, until told to stop: a DaemonSet cleans every node that way.
    #[arg(long)]
    pub stay: bool,
}

/// `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// How it is shown.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output_format: Output,
    /// Where things are kept.
    #[command(flatten)]
    pub places: Places,
}

/// `endpoints`.
#[derive(Debug, Args)]
pub struct Endpoints {
    /// Only pods of this namespace.
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Vec<String>,
    /// How it is shown.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output_format: Output,
    /// Where things are kept.
    #[command(flatten)]
    pub places: Places,
}

/// `dump`.
#[derive(Debug, Args)]
pub struct Dump {
    /// The maps; all of them by default.
    #[arg(value_enum, value_name = "MAP")]
    pub maps: Vec<Dumped>,
    /// How it is shown.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output_format: Output,
    /// Where things are kept.
    #[command(flatten)]
    pub places: Places,
}

/// `trace`.
#[derive(Debug, Args)]
pub struct Trace {
    /// Who opens the connection: NAMESPACE/POD or an address.
    #[arg(long, value_name = "WHO")]
    pub from: String,
    /// To whom: NAMESPACE/POD, NAMESPACE/SERVICE or an address. A Service is traced to each of its endpoints.
    #[arg(long, value_name = "WHO")]
    pub to: String,
    /// The port, by number or name, with /UDP or /SCTP behind it if it isn't TCP; or `icmp` for an echo request.
    #[arg(long, value_name = "PORT")]
    pub port: String,
    /// How it is shown.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output_format: Output,
    /// Where things are kept.
    #[command(flatten)]
    pub places: Places,
}

/// `monitor`.
#[derive(Debug, Args)]
pub struct Monitor {
    /// Show new allowed flows, too.
    #[arg(long)]
    pub allowed: bool,
    /// Only these verdicts; `drop` and `audit` by default.
    #[arg(long, value_enum, value_name = "VERDICT", value_delimiter = ',')]
    pub verdict: Vec<VerdictKind>,
    /// Only these reasons, by the short names of `status`: `not-allowed`, `spoofed`, …
    #[arg(long, value_parser = reason, value_name = "REASON", value_delimiter = ',')]
    pub reason: Vec<Reason>,
    /// Only this direction, as the pod sees it.
    #[arg(long, value_enum, value_name = "DIRECTION")]
    pub direction: Option<Way>,
    /// Only where one end is a pod of this namespace.
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Vec<String>,
    /// Only where one end is this: NAMESPACE/POD, an address or a block.
    #[arg(long, value_name = "WHO")]
    pub pod: Vec<Who>,
    /// Only from there: NAMESPACE/POD, NAMESPACE/ for all its pods, an address or a block.
    #[arg(long, value_name = "WHO")]
    pub from: Vec<Who>,
    /// Only to there.
    #[arg(long, value_name = "WHO")]
    pub to: Vec<Who>,
    /// Only to this port: 80, 80/TCP.
    #[arg(long, value_name = "PORT")]
    pub port: Vec<PortFilter>,
    /// How it is shown.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output_format: Output,
    /// Where things are kept.
    #[command(flatten)]
    pub places: Places,
}

/// Where objects come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceKind {
    /// Directories of manifests.
    Files,
    /// The Kubernetes API.
    Kube,
}

/// Whether Kubernetes Events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PodEvents {
    /// They are.
    On,
    /// They are not.
    Off,
}

/// Where metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsAddress {
    /// Nowhere.
    Off,
    /// There.
    At(Address),
}

impl FromStr for MetricsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

/// A direction, as the pod sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// To the pod.
    Ingress,
    /// From the pod.
    Egress,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VerdictKind {
    /// It was dropped.
    Drop,
    /// It would have been dropped, but for audit mode.
    Audit,
    /// It opened a flow.
    Allow,
}

/// How programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attach {
    /// By TCX links where the kernel has them (Linux 6.6), otherwise by clsact filters.
    Auto,
    /// By TCX links.
    Tcx,
    /// By filters on the clsact queueing discipline.
    Clsact,
}

/// What happens to a pod that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Unknown {
    /// Its packets are dropped.
    Deny,
    /// Its packets pass.
    Allow,
}

/// How output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// A mask, shown as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask(pub MarkMask);

impl std::fmt::Display for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#010x}", self.0.bits())
    }
}

fn mark_mask(text: &str) -> Result<Mask, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let mask = number.map_err(|error| error.to_string())?;
    MarkMask::new(mask)
        .map(Mask)
        .ok_or_else(|| format!("{mask:#x} must be 9 to 16 contiguous bits, such as {DEFAULT_MASK:#x}"))
}

fn reason(text: &str) -> Result<Reason, String> {
    Reason::ALL.iter().copied().find(|reason| reason.code() == text).ok_or_else(|| {
        let codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        format!("reasons are {}", codes.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn masks() {
        assert_eq!(mark_mask("0xfff00000"), Ok(Mask(MarkMask::DEFAULT)));
        assert!(mark_mask("0xf0f00000").is_err());
        assert!(mark_mask("many").is_err());
    }
}

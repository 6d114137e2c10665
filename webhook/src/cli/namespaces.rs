//! Flags of `netpol-webhook serve` about namespaces, and what runs for them beside the server.

use std::env;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use kube::Client;
use kube::core::Selector;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admission;
use crate::controller::{self, Election, Settings};
use crate::namespace::{self, Exemptions, Guard, Labeler, Mode};
use crate::server::App;

/// The Lease of the leader.
const LEASE: &str = "netpol-webhook";

/// Where a pod's own namespace stands, besides the flag.
const VARIABLE: &str = "POD_NAMESPACE";
const FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// What holds for Namespaces, with a webhook or without.
#[derive(Debug, Args)]
#[command(next_help_heading = "Namespaces")]
pub(super) struct Isolation {
    /// Label new Namespaces to isolate their pods by default.
    #[arg(long, value_enum, default_value_t = Mode::None)]
    default_deny: Mode,
    /// Only those with these labels, such as `team=shop,env in (prod,stage)`; an annotation decides for the others.
    #[arg(long, value_name = "SELECTOR", value_parser = namespace::parse_selector)]
    default_deny_selector: Option<Selector>,
    /// Never label this Namespace. Exempt anyway: `kube-*`, the webhook's own, and those that the API server calls into.
    #[arg(long = "exempt-namespace", value_name = "NAME", value_delimiter = ',', value_parser = namespace_name)]
    exempt_namespaces: Vec<String>,
    /// Who may change the label so that it isolates less: who has the right to, or everybody.
    #[arg(long, value_enum, default_value_t = Removal::Right)]
    isolation_removal: Removal,
    /// The webhook's own Namespace; in a pod it is that of the pod.
    #[arg(long, value_name = "NAME")]
    own_namespace: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Namespaces")]
pub(super) struct Namespaces {
    #[command(flatten)]
    isolation: Isolation,
    /// Keep the policies of labelled Namespaces in place, as the leader of all replicas.
    #[arg(long)]
    controller: bool,
    /// Let pods that are isolated for egress ask the cluster's DNS.
    #[arg(long, requires = "controller")]
    allow_dns: bool,
    /// Label existing Namespaces as if they were new. The value `none` then opts out; to remove the label doesn't.
    #[arg(long, requires = "controller")]
    label_existing: bool,
    /// A leader that is gone without a word is replaced after this time, in whole seconds.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = super::serve::positive)]
    lease_duration: Duration,
}

/// Who may take isolation away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Removal {
    /// Who may remove-isolation namespaces.netpol.dev.
    Right,
    /// Everybody who may change the Namespace.
    Anybody,
}

/// What runs beside the server.
pub(super) struct Background {
    exemptions: JoinHandle<()>,
    leader: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Isolation {
    /// The same for admission policies.
    pub(super) fn for_admission_policies(&self) -> admission::Namespaces {
        admission::Namespaces {
            default_deny: self.default_deny,
            selector: self.default_deny_selector.clone(),
            exempt: self.exempt(),
            removal_takes_right: self.isolation_removal == Removal::Right,
        }
    }

    fn exempt(&self) -> Vec<String> {
        self.exempt_namespaces.iter().cloned().chain(self.own()).collect()
    }

    fn own(&self) -> Option<String> {
        let given = self.own_namespace.clone().or_else(|| env::var(VARIABLE).ok());
        let own = given.or_else(|| std::fs::read_to_string(FILE).ok())?;
        Some(own.trim().to_owned()).filter(|own| !own.is_empty())
    }
}

impl Namespaces {
    /// The label of new Namespaces.
    pub(super) fn default_deny(&self) -> Mode {
        self.isolation.default_deny
    }

    pub(super) fn labeler(&self) -> Labeler {
        let Isolation { default_deny, default_deny_selector, .. } = &self.isolation;
        Labeler::new(*default_deny, Exemptions::new(self.isolation.exempt()))
            .selecting(default_deny_selector.clone())
    }

    pub(super) fn guard(&self, client: Option<&Client>, labeler: &Labeler) -> Guard {
        let exemptions = labeler.exemptions().clone();
        match self.isolation.isolation_removal {
            Removal::Right => Guard::asking(client.cloned(), exemptions),
            Removal::Anybody => Guard::open(exemptions),
        }
    }

    /// A candidate for what only one replica does; none without a cluster or a namespace of its own.
    pub(super) fn election(&self, client: Option<&Client>) -> anyhow::Result<Option<Election>> {
        match (client, self.isolation.own()) {
            (Some(client), Some(own)) => {
                Ok(Some(Election::new(client.clone(), &own, LEASE, self.lease_duration)))
            }
            (None, _) if self.controller => {
                bail!("--controller needs a cluster: give --kubeconfig, or mount a ServiceAccount's token")
            }
            (Some(_), None) if self.controller => {
                bail!("--controller needs a namespace for its lease: give --own-namespace")
            }
            _ => Ok(None),
        }
    }

    /// Starts what runs beside the server.
    pub(super) fn start(&self, client: Client, app: &Arc<App>, election: Option<Election>) -> Background {
        let exemptions =
            tokio::spawn(namespace::keep_exemptions(client.clone(), app.labeler.exemptions().clone()));
        let (stop, mut stopped) = watch::channel(false);
        let leader = election.map(|mut election| {
            let context = self.controller.then(|| controller::Context {
                client,
                settings: Settings { allow_dns: self.allow_dns, label_existing: self.label_existing },
                labeler: app.labeler.clone(),
                leadership: election.leadership(),
                metrics: Arc::clone(&app.controller),
                identity: election.identity().to_owned(),
            });
            let work = move || {
                let context = context.clone();
                async move {
                    match context {
                        Some(context) => controller::run(context).await,
                        None => pending().await,
                    }
                }
            };
            tokio::spawn(async move {
                tokio::select! {
                    () = election.run(work) => {}
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                }
                election.release().await;
            })
        });
        Background { exemptions, leader, stop }
    }
}

impl Background {
    /// Ends the work of a leader at once, so that another replica can go on.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the lease is given back.
    pub(super) async fn finish(self) -> anyhow::Result<()> {
        self.stop();
        self.exemptions.abort();
        match self.leader {
            Some(leader) => leader.await.context("the leader's task"),
            None => Ok(()),
        }
    }
}

fn namespace_name(text: &str) -> Result<String, netpol_lint::config::NamespaceError> {
    text.parse::<netpol_lint::config::NamespaceName>().map(|_| text.to_owned())
}

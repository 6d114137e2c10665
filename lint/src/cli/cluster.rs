//! `--cluster`: a live cluster beside the files, or in their place.

#[cfg(feature = "cluster")]
pub(super) use live::Args;
#[cfg(not(feature = "cluster"))]
pub(super) use without::Args;

#[cfg(feature = "cluster")]
mod live {
    use std::io::{self, IsTerminal, Write};
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use crate::live::{self, Live, Target};
    use crate::output::printable::one_line;
    use crate::words;

    /// Which cluster to read, if any.
    #[derive(Debug, Default, clap::Args)]
    pub(in crate::cli) struct Args {
        /// Read the cluster of the kubeconfig; without PATH, its policies are what the command is about
        ///
        /// Nothing but lists is asked for. With PATH, the files count as if they had just been applied.
        #[arg(long)]
        cluster: bool,
        /// The context of the kubeconfig to use instead of the current one
        #[arg(long, value_name = "NAME", requires = "cluster")]
        context: Option<String>,
        /// The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config
        #[arg(long, value_name = "FILE", requires = "cluster")]
        kubeconfig: Option<PathBuf>,
    }

    /// Nobody wonders about a shorter wait.
    const SILENT: Duration = Duration::from_millis(600);

    impl Args {
        /// Whether there is one to read.
        pub(in crate::cli) fn is_wanted(&self) -> bool {
            self.cluster
        }

        /// Reads it. Says on standard error what may not be read and, on a terminal, how far it is.
        pub(in crate::cli) fn read(&self) -> anyhow::Result<Option<Live>> {
            if !self.cluster {
                return Ok(None);
            }
            let target = Target { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
            let terminal = io::stderr().is_terminal();
            let start = Instant::now();
            let mut shown = false;
            let live = live::read(&target, &mut |kind, count| {
                if terminal && start.elapsed() > SILENT {
                    shown = true;
                    // Progress that can't be shown is no reason to stop.
                    let _ = write!(io::stderr(), "\r\x1b[Kreading {kind}: {count}");
                }
            });
            if shown {
                let _ = write!(io::stderr(), "\r\x1b[K");
            }
            let live = live?;
            if !live.forbidden.is_empty() {
                let kinds = one_line(&words::list(&live.forbidden)).into_owned();
                writeln!(
                    io::stderr(),
                    "netpol-lint: you may not list {kinds} in all namespaces of this cluster: rules that need them stay silent"
                )?;
            }
            Ok(Some(live))
        }
    }
}

#[cfg(not(feature = "cluster"))]
mod without {
    use netpol_policy::model::Cluster;

    use crate::facts::ClusterFacts;
    use crate::file::SourceFile;

    /// Built without the feature `cluster`: no options.
    #[derive(Debug, Default, clap::Args)]
    pub(in crate::cli) struct Args {}

    /// There is none.
    pub(in crate::cli) enum Live {}

    impl Args {
        pub(in crate::cli) fn is_wanted(&self) -> bool {
            false
        }

        pub(in crate::cli) fn read(&self) -> anyhow::Result<Option<Live>> {
            Ok(None)
        }
    }
}

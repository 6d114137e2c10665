//! `--cluster`: a live cluster beside the files, or in their place.

#[cfg(feature = "cluster")]
pub(super) use live::{Beside, ClusterArgs};
#[cfg(not(feature = "cluster"))]
pub(super) use without::{Beside, ClusterArgs};

#[cfg(feature = "cluster")]
mod live {
    use std::io::{self, IsTerminal, Write};
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use netpol_policy::model::Cluster;

    use crate::file::SourceFile;
    use crate::index::Index;
    use crate::live::{self, Live, Target};
    use crate::output::printable::one_line;
    use crate::words;

    /// Which cluster to read, if any.
    #[derive(Debug, Clone, Default, clap::Args)]
    pub(in crate::cli) struct ClusterArgs {
        /// Read the cluster of the kubeconfig; without PATH, its policies are what the command is about
        ///
        /// Nothing but lists is asked for. With PATH, the files count as if they had just been applied.
        #[arg(long, help_heading = HEADING)]
        cluster: bool,
        /// The context of the kubeconfig to use instead of the current one
        #[arg(long, value_name = "NAME", requires = "cluster", help_heading = HEADING)]
        context: Option<String>,
        /// The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config
        #[arg(long, value_name = "FILE", requires = "cluster", help_heading = HEADING)]
        kubeconfig: Option<PathBuf>,
    }

    const HEADING: &str = "Cluster";

    /// Nobody wonders about a shorter wait.
    const SILENT: Duration = Duration::from_millis(600);

    impl ClusterArgs {
        /// Whether there is one to read.
        pub(in crate::cli) fn is_wanted(&self) -> bool {
            self.cluster
        }

        /// Reads it. Says on standard error what may not be read and, on a terminal, how far it is.
        /// Without its policies there is nothing to do when they are what the command is about.
        pub(in crate::cli) fn read(&self, about_policies: bool) -> anyhow::Result<Beside> {
            if !self.cluster {
                return Ok(Beside(None));
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
            if about_policies && live.forbidden.contains(&"networkpolicies") {
                anyhow::bail!("without networkpolicies there is nothing to look at");
            }
            Ok(Beside(Some(live)))
        }
    }

    /// What was read beside the files, if anything.
    pub(in crate::cli) struct Beside(Option<Live>);

    impl Beside {
        /// Adds the cluster's policies to files: as context when the files are what is asked about.
        pub(in crate::cli) fn join(&mut self, files: &mut Vec<SourceFile>, asked: bool) {
            if let Some(live) = &mut self.0 {
                live.join(files, asked);
            }
        }

        /// Everything together, given what the files say.
        pub(in crate::cli) fn around(&self, files: &[SourceFile], of_files: Cluster) -> Cluster {
            match &self.0 {
                Some(live) => live.around(files, of_files),
                None => of_files,
            }
        }

        /// The index of everything together.
        pub(in crate::cli) fn index<'c>(&'c self, cluster: &'c Cluster) -> Index<'c> {
            let index = Index::new(cluster);
            match &self.0 {
                Some(live) => index.with_facts(&live.facts),
                None => index,
            }
        }
    }
}

#[cfg(not(feature = "cluster"))]
mod without {
    use netpol_policy::model::Cluster;

    use crate::file::SourceFile;
    use crate::index::Index;

    /// Built without the feature `cluster`: no options.
    #[derive(Debug, Clone, Default, clap::Args)]
    pub(in crate::cli) struct ClusterArgs {}

    /// Nothing.
    pub(in crate::cli) struct Beside;

    impl ClusterArgs {
        pub(in crate::cli) fn is_wanted(&self) -> bool {
            false
        }

        pub(in crate::cli) fn read(&self, _: bool) -> anyhow::Result<Beside> {
            Ok(Beside)
        }
    }

    impl Beside {
        pub(in crate::cli) fn join(&mut self, _: &mut Vec<SourceFile>, _: bool) {}

        pub(in crate::cli) fn around(&self, _: &[SourceFile], of_files: Cluster) -> Cluster {
            of_files
        }

        pub(in crate::cli) fn index<'c>(&'c self, cluster: &'c Cluster) -> Index<'c> {
            Index::new(cluster)
        }
    }
}

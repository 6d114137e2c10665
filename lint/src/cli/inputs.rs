//! Which manifests to read, and the configuration.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use notify::RecursiveMode;

use super::{Outcome, cluster};
use crate::config::{Config, ConfigError, ConfigFile, NamespaceName, Options};
use crate::input::{Source, Sources};
use crate::settings::{Pattern, absolute};

/// Which manifests to read, and with which configuration.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Inputs {
    /// Files, folders and patterns such as 'deploy/**/*.yaml'; `-` reads standard input
    ///
    /// In folders, *.yaml, *.yml and *.json count; hidden files and those that .gitignore names don't. Without any, and
    /// without --cluster, the current folder is read.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(long, short, value_name = "NAME", help_heading = HEADING)]
    namespace: Option<NamespaceName>,
    /// Files and folders that tell about the cluster and are not reported on
    #[arg(long, value_name = "PATH", value_delimiter = ',', help_heading = HEADING)]
    include: Option<Vec<PathBuf>>,
    /// Files and folders to leave out: patterns as in .gitignore
    #[arg(long, value_name = "PATTERN", value_delimiter = ',', help_heading = HEADING)]
    exclude: Option<Vec<Pattern>>,
    /// What standard input is: a path for messages, for the configuration and its patterns
    #[arg(long, value_name = "NAME")]
    pub(super) stdin_filename: Option<String>,
    /// The configuration, in place of the nearest netpol-lint.toml
    #[arg(long, value_name = "FILE", conflicts_with = "isolated", help_heading = HEADING)]
    config: Option<PathBuf>,
    /// No configuration file
    #[arg(long, help_heading = HEADING)]
    isolated: bool,
    /// Show the configuration that counts, with where it comes from, and end
    #[arg(long, help_heading = HEADING)]
    show_config: bool,
    #[command(flatten)]
    pub(super) cluster: cluster::ClusterArgs,
}

/// Options that stand for keys of the configuration.
pub(super) const HEADING: &str = "Configuration (keys of netpol-lint.toml)";

/// What standard input is called otherwise.
const STDIN: &str = "<stdin>";

impl Inputs {
    /// The configuration with the options of the command, whose own keys are in `flags`. Without a result it has been
    /// shown.
    pub(super) fn config(&self, flags: Options) -> anyhow::Result<Result<Config, Outcome>> {
        if self.stdin_filename.is_some() && self.stdin().is_none() {
            anyhow::bail!("--stdin-filename names standard input, which is not read: add `-` to the paths");
        }
        let config = self.resolve(flags)?;
        if self.show_config {
            let mut out = io::stdout().lock();
            config.write(&mut out)?;
            out.flush()?;
            return Ok(Err(Outcome::Clean));
        }
        Ok(Ok(config))
    }

    fn resolve(&self, flags: Options) -> Result<Config, ConfigError> {
        let file = match &self.config {
            Some(path) => Some(ConfigFile::read(path)?),
            None if self.isolated => None,
            None => ConfigFile::find(self.places())?,
        };
        let own = Options {
            namespace: self.namespace.clone(),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            ..Options::default()
        };
        Ok(Config::resolve(file, own.or(flags), Path::new(".")))
    }

    /// What to read.
    pub(super) fn sources(&self, config: &Config) -> Sources {
        let source = |path: &PathBuf| match is_stdin(path) {
            true => Source::Stdin(self.stdin_name().into()),
            false => Source::Path(path.clone()),
        };
        Sources {
            asked: self.asked().iter().map(source).collect(),
            include: config.include.clone(),
            exclude: config.exclude.clone(),
            namespace: config.namespace.as_str().into(),
            every_object: false,
        }
    }

    /// The paths to read; none when the cluster takes their place.
    fn asked(&self) -> Vec<PathBuf> {
        if self.paths.is_empty() && !self.cluster.is_wanted() {
            return vec![PathBuf::from(".")];
        }
        self.paths.clone()
    }

    /// Whether the command is about the cluster's own policies.
    pub(super) fn is_about_cluster(&self) -> bool {
        self.paths.is_empty() && self.cluster.is_wanted()
    }

    /// The folders to watch: those that are read, those of single files and the one of the configuration.
    pub(super) fn watched(&self, flags: Options) -> Vec<(PathBuf, RecursiveMode)> {
        let config = match self.resolve(flags) {
            Ok(config) => config,
            // A mistake is told by the check; the next change may mend it.
            Err(_) => Config::resolve(None, Options::default(), Path::new(".")),
        };
        let asked = self.asked();
        let read = asked.iter().chain(&config.include).map(|path| {
            let fixed = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
            match fixed.is_dir() {
                true => (fixed.to_owned(), RecursiveMode::Recursive),
                false => (folder_of(fixed), RecursiveMode::NonRecursive),
            }
        });
        let file = config.path().or(self.config.as_deref());
        let file = file.map(|path| (folder_of(path), RecursiveMode::NonRecursive));
        let all = read.chain(file).map(|(folder, mode)| match folder.as_os_str().is_empty() {
            true => (PathBuf::from("."), mode),
            false => (folder, mode),
        });
        let mut all: Vec<_> = all.collect();
        // A folder may be there for a file and as a whole.
        all.sort_by_key(|(_, mode)| *mode != RecursiveMode::Recursive);
        all
    }

    /// Whether a file is given by its own name.
    pub(super) fn names(&self, file: &Path) -> bool {
        let file = absolute(file);
        self.paths.iter().chain(&self.config).any(|path| absolute(path) == file)
    }

    /// The name of standard input when it is among the paths.
    pub(super) fn stdin(&self) -> Option<&str> {
        self.paths.iter().any(|path| is_stdin(path)).then(|| self.stdin_name())
    }

    fn stdin_name(&self) -> &str {
        self.stdin_filename.as_deref().unwrap_or(STDIN)
    }

    /// Where the configuration is looked for.
    fn places(&self) -> impl Iterator<Item = &Path> {
        let here = self.paths.is_empty().then_some(Path::new("."));
        let paths = self.paths.iter().map(|path| match (is_stdin(path), &self.stdin_filename) {
            (false, _) => path.as_path(),
            (true, Some(name)) => Path::new(name),
            (true, None) => Path::new("."),
        });
        paths.chain(here)
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

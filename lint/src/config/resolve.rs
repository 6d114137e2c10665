//! From the file and the options of the command to what counts.

use std::path::{Path, PathBuf};

use super::{ConfigFile, NamespaceName, Options};
use crate::finding::Severity;
use crate::output::Format;
use crate::select::{RuleSelector, Selection};
use crate::settings::{Patterns, PerFileIgnores, Settings, Severities, absolute};

/// What counts.
#[derive(Debug, Clone)]
pub struct Config {
    /// For the rules.
    pub settings: Settings,
    /// The namespace of objects that name none.
    pub namespace: NamespaceName,
    /// Files and folders that are read, but not reported on.
    pub include: Vec<PathBuf>,
    /// Files and folders that are left out.
    pub exclude: Patterns,
    /// The least severity that makes the exit status 1.
    pub fail_on: Severity,
    /// The list of known findings.
    pub baseline: Option<PathBuf>,
    /// The form of the output.
    pub output_format: Format,
    pub(super) file: Option<ConfigFile>,
    pub(super) flags: Options,
}

impl Config {
    /// Puts a file and the options of a command, which win, together. Lists replace one another; entries of
    /// `severity` and `per-file-ignores` come together; `extend-select` and `ignore` of the command go on from what the
    /// file selects. Paths and patterns of the options are relative to `folder`.
    pub fn resolve(file: Option<ConfigFile>, flags: Options, folder: &Path) -> Self {
        let nothing = Options::default();
        let of_file = file.as_ref().map_or(&nothing, |file| &file.options);
        let file_folder = file.as_ref().and_then(|file| file.path.parent()).unwrap_or(folder);
        // The stronger one last.
        let layers = [(of_file, file_folder), (&flags, folder)];
        let settings = Settings {
            selection: selection(layers.map(|(options, _)| options)),
            per_file_ignores: per_file_ignores(layers),
            severities: severities(layers.map(|(options, _)| options)),
            external_namespaces: last(layers, |o| o.external_namespaces.clone()).unwrap_or_default(),
            external_pods: last(layers, |o| o.external_pods.clone()).unwrap_or_default(),
            dual_stack: last(layers, |o| o.dual_stack).unwrap_or_default(),
            wide_port_range: last(layers, |o| o.wide_port_range).unwrap_or(Settings::WIDE_PORT_RANGE),
            baseline: None,
        };
        let with_folder = |key: fn(&Options) -> bool| layers.into_iter().rfind(|(options, _)| key(options));
        let include = with_folder(|options| options.include.is_some());
        let exclude = with_folder(|options| options.exclude.is_some());
        let baseline = with_folder(|options| options.baseline.is_some());
        let baseline = baseline.and_then(|(o, folder)| Some(from_here(&folder.join(o.baseline.as_ref()?))));
        let join = |(options, folder): (&Options, &Path)| -> Vec<PathBuf> {
            options.include.iter().flatten().map(|path| from_here(&folder.join(path))).collect()
        };
        let patterns = |(options, folder): (&Options, &Path)| {
            Patterns::new(&absolute(folder), options.exclude.iter().flatten())
        };
        Self {
            settings,
            namespace: last(layers, |o| o.namespace.clone()).unwrap_or_default(),
            include: include.map(join).unwrap_or_default(),
            exclude: exclude.map(patterns).unwrap_or_else(|| Patterns::new(&absolute(folder), [])),
            fail_on: last(layers, |o| o.fail_on).unwrap_or(Severity::Info),
            baseline,
            output_format: last(layers, |o| o.output_format).unwrap_or_default(),
            file,
            flags,
        }
    }

    /// The file that it comes from.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| &*file.path)
    }
}

type Layer<'o> = (&'o Options, &'o Path);

fn last<T>(layers: [Layer<'_>; 2], key: impl Fn(&Options) -> Option<T>) -> Option<T> {
    layers.into_iter().rev().find_map(|(options, _)| key(options))
}

fn selection(layers: [&Options; 2]) -> Selection {
    let mut selection = Selection::default();
    for options in layers {
        if options.select.is_some() {
            selection = Selection::none();
        }
        let on = options.select.iter().chain(&options.extend_select).flatten();
        on.for_each(|rules| selection.add(rules));
        options.ignore.iter().flatten().for_each(|rules| selection.remove(rules));
    }
    selection
}

fn severities(layers: [&Options; 2]) -> Severities {
    let mut severities = Severities::default();
    for options in layers {
        let mut all: Vec<_> = options.severity.iter().flatten().collect();
        // What stands for fewer rules is set last.
        all.sort_by_key(|(rules, _)| std::cmp::Reverse(breadth(rules)));
        all.into_iter().for_each(|(rules, severity)| severities.set(rules, *severity));
    }
    severities
}

/// Kinds of words, and among groups the longer word, tell better than the number of rules there happen to be.
fn breadth(rules: &RuleSelector) -> (bool, bool, usize) {
    let word = rules.as_str();
    let group = word.len() < "NP101".len() && !word.eq_ignore_ascii_case("ALL");
    (word.eq_ignore_ascii_case("ALL"), is_severity(word), if group { rules.rules().count() + 1 } else { 1 })
}

fn is_severity(word: &str) -> bool {
    Severity::ALL.iter().any(|severity| severity.as_str().eq_ignore_ascii_case(word))
}

fn per_file_ignores(layers: [Layer<'_>; 2]) -> PerFileIgnores {
    let mut ignores = PerFileIgnores::default();
    for (options, folder) in layers {
        for (pattern, rules) in options.per_file_ignores.iter().flatten() {
            ignores.add(Patterns::new(&absolute(folder), [pattern]), rules.clone());
        }
    }
    ignores
}

/// A path as people write it: from the current folder on where it is below.
pub(super) fn from_here(path: &Path) -> PathBuf {
    let path = absolute(path);
    match std::env::current_dir() {
        Ok(current) => match path.strip_prefix(&current) {
            Ok(rest) if rest.as_os_str().is_empty() => PathBuf::from("."),
            Ok(rest) => rest.to_owned(),
            Err(_) => path,
        },
        Err(_) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::find_rule;

    fn config(file: &str, flags: &str) -> Config {
        let options = Options::parse("netpol-lint.toml", file).unwrap();
        let file = ConfigFile { path: "/repo/netpol-lint.toml".into(), options };
        Config::resolve(Some(file), Options::parse("flags", flags).unwrap(), Path::new("/repo/apps"))
    }

    #[test]
    fn rules() {
        for (file, flags, code, expected) in [
            ("", "", "NP101", true),
            ("ignore = ['NP101']", "", "NP101", false),
            ("ignore = ['NP101']", "extend-select = ['NP101']", "NP101", true),
            ("ignore = ['NP101']", "select = ['NP1']", "NP101", true),
            ("select = ['NP1']", "ignore = ['NP101']", "NP101", false),
            ("select = ['NP1']", "ignore = ['NP101']", "NP102", true),
            ("select = ['NP1']", "", "NP501", false),
            ("select = ['NP1']\nextend-select = ['NP5']", "", "NP501", true),
            ("extend-select = ['NP5']", "select = ['NP101']", "NP501", false),
        ] {
            let selection = config(file, flags).settings.selection;
            assert_eq!(selection.contains(find_rule(code).unwrap()), expected, "{file} + {flags}: {code}");
        }
    }

    #[test]
    fn the_narrowest_severity_counts() {
        let of = |file: &str, flags: &str, code: &str| {
            config(file, flags).settings.severities.of(find_rule(code).unwrap())
        };
        let file = "[severity]\nALL = 'info'\nNP1 = 'warning'\nNP101 = 'error'\nerror = 'warning'";
        assert_eq!(of(file, "", "NP101"), Some(Severity::Error));
        assert_eq!(of(file, "", "NP102"), Some(Severity::Warning));
        assert_eq!(of(file, "", "NP013"), Some(Severity::Warning));
        assert_eq!(of(file, "", "NP501"), Some(Severity::Info));
        assert_eq!(of(file, "severity = {NP1 = 'info'}", "NP101"), Some(Severity::Info));
        assert_eq!(of("", "", "NP101"), None);
    }

    #[test]
    fn folders() {
        let config = config("exclude = ['/old']\ninclude = ['base']", "");
        assert!(config.exclude.matches(Path::new("/repo/old/a.yaml")));
        assert!(!config.exclude.matches(Path::new("/repo/apps/old/a.yaml")));
        assert_eq!(config.include, [Path::new("/repo/base")]);
        let config =
            self::config("exclude = ['/old']\ninclude = ['base']", "exclude = ['/new']\ninclude = ['b']");
        assert!(config.exclude.matches(Path::new("/repo/apps/new/a.yaml")));
        assert!(!config.exclude.matches(Path::new("/repo/old/a.yaml")));
        assert_eq!(config.include, [Path::new("/repo/apps/b")]);
    }
}

//! The generated part of the documentation: a page for each rule, their index, and the contents of the site.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use netpol_lint::{RULES, Rule};

/// Writes the pages, or finds out whether they are what would be written.
pub(crate) fn run(check: bool) -> Result<()> {
    let docs = docs();
    let pages = pages();
    let stale = stale(&docs, &pages)?;
    if check {
        if !stale.is_empty() {
            bail!("not current: {}; run `cargo run -p xtask -- docs`", stale.join(", "));
        }
        return links(&docs);
    }
    fs::create_dir_all(docs.join("rules"))?;
    for name in &stale {
        let path = docs.join(name);
        let done = match pages.get(name) {
            Some(text) => fs::write(&path, text),
            None => fs::remove_file(&path),
        };
        done.with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    links(&docs)
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Every generated page by its name.
fn pages() -> BTreeMap<String, String> {
    let mut pages: BTreeMap<_, _> = RULES.iter().map(|rule| (page_name(rule), rule.titled_page())).collect();
    pages.insert("rules/index.md".to_owned(), index());
    pages.insert("SUMMARY.md".to_owned(), summary());
    pages
}

fn page_name(rule: &Rule) -> String {
    format!("rules/{}.md", rule.code)
}

/// The pages that differ, are missing, or are of rules that are gone.
fn stale(docs: &Path, pages: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let mut stale: Vec<_> = pages
        .iter()
        .filter(|(name, text)| fs::read_to_string(docs.join(name)).ok().as_ref() != Some(text))
        .map(|(name, _)| name.clone())
        .collect();
    if let Ok(entries) = fs::read_dir(docs.join("rules")) {
        for entry in entries {
            let name = format!("rules/{}", entry?.file_name().to_string_lossy());
            if !pages.contains_key(&name) {
                stale.push(name);
            }
        }
    }
    Ok(stale)
}

const GROUPS: [(&str, &str); 9] = [
    ("NP0", "Schema: what the API server rejects or silently drops"),
    ("NP1", "Meaning: valid, but probably not what the author meant"),
    ("NP2", "Selectors"),
    ("NP3", "Ports, addresses, DNS"),
    ("NP4", "Redundancy"),
    ("NP5", "Against the workloads"),
    ("NP6", "Posture, on request"),
    ("NP7", "The cluster"),
    ("NP9", "The linter itself"),
];

fn groups() -> impl Iterator<Item = (&'static str, Vec<&'static Rule>)> {
    let of = |group: &str| RULES.iter().copied().filter(|rule| rule.group() == group).collect();
    GROUPS
        .into_iter()
        .map(move |(group, title)| (title, of(group)))
        .filter(|(_, rules): &(_, Vec<_>)| !rules.is_empty())
}

fn index() -> String {
    let mut text = String::from(
        "# Rules\n\nA rule has a code, a name, and a severity, which a finding may raise or lower by its evidence. Errors and warnings are on; what is \
         marked *on request* is not, unless it is selected. `netpol-lint rule CODE` prints these pages too.\n",
    );
    for (title, rules) in groups() {
        let _ = write!(text, "\n## {title}\n\n| rule | severity | fix | |\n|---|---|---|---|\n");
        for rule in rules {
            let fix = match rule.fix {
                netpol_lint::FixAvailability::None => "",
                netpol_lint::FixAvailability::Safe => "safe",
                netpol_lint::FixAvailability::Unsafe => "unsafe",
            };
            let on_request = if rule.is_default() { "" } else { ", on request" };
            let summary = rule.summary().replace('|', "\\|");
            let _ = writeln!(
                text,
                "| [{code} {name}]({code}.md) | {severity}{on_request} | {fix} | {summary} |",
                code = rule.code,
                name = rule.name,
                severity = rule.severity,
            );
        }
    }
    text
}

fn summary() -> String {
    let mut text = String::from(CONTENTS);
    for (title, rules) in groups() {
        let _ = writeln!(text, "  - [{title}]()");
        for rule in rules {
            let _ = writeln!(text, "    - [{} {}]({})", rule.code, rule.name, page_name(rule));
        }
    }
    text
}

const CONTENTS: &str = "\
# Summary

[What this is](README.md)

# netpol-lint

- [The first five minutes](first-steps.md)
- [Checking, asking, fixing](lint.md)
- [Configuration](configuration.md)
- [Against a live cluster](lint-cluster.md)
- [Integrations](integrations.md)
- [Editors](editors.md)
- [Beside other linters](comparison.md)

# The other programs

- [netpol-webhook](webhook.md)
- [netpol-enforcer](enforcer.md)
  - [Every packet](packets.md)

# Background

- [What a policy means](semantics.md)
- [Benchmarks](benchmarks.md)
- [Testing](testing.md)

# Reference

- [Rules](rules/index.md)
";

/// Every relative link of every page leads to a file.
fn links(docs: &Path) -> Result<()> {
    let mut broken = Vec::new();
    for folder in [docs.to_owned(), docs.join("rules")] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                let elsewhere = target.is_empty() || target.contains("://");
                if !elsewhere && !path.with_file_name(target).exists() {
                    broken.push(format!("{}: {target}", path.display()));
                }
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { bail!("links that lead nowhere:\n{}", broken.join("\n")) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_pages_are_current() {
        super::run(true).unwrap();
    }

    #[test]
    fn every_rule_is_in_the_index() {
        let index = super::index();
        for rule in netpol_lint::RULES {
            assert!(index.contains(&format!("]({}.md)", rule.code)), "{rule:?}");
        }
    }
}

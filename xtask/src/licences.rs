//! Licences and origins of the dependencies, from `cargo metadata`: what `cargo deny check licenses sources` checks, for
//! where that isn't installed.

use std::env;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// Licences that fit a work under Apache-2.0 without a condition beyond naming the authors. `deny.toml` has the same list.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

pub(crate) fn check() -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(["metadata", "--format-version=1", "--locked"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    let wrong = packages.iter().flat_map(problems).collect::<Vec<_>>();
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    println!("{} packages: licences and origins are fine", packages.len());
    Ok(())
}

fn problems(package: &Value) -> Vec<String> {
    let text = |field: &str| package[field].as_str();
    let name = format!("{} {}", text("name").unwrap_or("?"), text("version").unwrap_or("?"));
    let mut problems = Vec::new();
    match text("license") {
        Some(license) if is_allowed(license) => {}
        Some(license) => problems.push(format!("{name}: the licence {license:?} is not on the list")),
        None => problems.push(format!("{name}: no licence is named")),
    }
    // None is a package of this workspace.
    if text("source")
        .is_some_and(|source| !source.starts_with("registry+https://github.com/rust-lang/crates.io-index"))
    {
        problems
            .push(format!("{name}: comes from {}, not from crates.io", text("source").unwrap_or_default()));
    }
    problems
}

/// An SPDX expression: OR binds weaker than AND. Of an OR one side is enough.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    either(&mut tokens(&expression).into_iter().peekable())
}

type Tokens<'t> = std::iter::Peekable<std::vec::IntoIter<&'t str>>;

fn tokens(expression: &str) -> Vec<&str> {
    let words = expression.split_whitespace();
    words
        .flat_map(|word| word.split_inclusive('(').flat_map(split_closing))
        .filter(|token| !token.is_empty())
        .collect()
}

fn split_closing(word: &str) -> Vec<&str> {
    let name = word.trim_end_matches(')');
    let mut parts = vec![name];
    parts.extend(word[name.len()..].split_inclusive(')'));
    parts
}

fn either(tokens: &mut Tokens<'_>) -> bool {
    let mut allowed = both(tokens);
    while tokens.next_if_eq(&"OR").is_some() {
        // Not `||`: the right side must be read in any case.
        allowed |= both(tokens);
    }
    allowed
}

fn both(tokens: &mut Tokens<'_>) -> bool {
    let mut allowed = one(tokens);
    while tokens.next_if_eq(&"AND").is_some() {
        allowed &= one(tokens);
    }
    allowed
}

fn one(tokens: &mut Tokens<'_>) -> bool {
    let Some(name) = tokens.next() else { return false };
    if name == "(" {
        let allowed = either(tokens);
        return tokens.next() == Some(")") && allowed;
    }
    match tokens.next_if_eq(&"WITH").and_then(|_| tokens.next()) {
        Some(exception) => ALLOWED.contains(&format!("{name} WITH {exception}").as_str()),
        None => ALLOWED.contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn expressions() {
        for allowed in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(Apache-2.0 OR GPL-2.0-only) AND BSD-3-Clause",
            "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
        ] {
            assert!(is_allowed(allowed), "{allowed}");
        }
        for refused in [
            "",
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(MIT OR ISC) AND LGPL-3.0-only",
            "(MIT",
            "MIT WITH odd-exception",
        ] {
            assert!(!is_allowed(refused), "{refused}");
        }
    }
}

//! Seeds for the fuzzers.

use std::fs;
use std::path::Path;

use anyhow::Result;
use netpol_lint::RULES;

/// Writes seeds for each target into a folder of its own.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifests = ["reader", "fixer"].map(|target| folder.join(target));
    let config = folder.join("config");
    for folder in manifests.iter().chain([&config]) {
        fs::create_dir_all(folder)?;
    }
    for rule in RULES {
        for (index, example) in rule.page().split("```yaml\n").skip(1).enumerate() {
            let example = example.split("```").next().unwrap_or_default();
            for folder in &manifests {
                fs::write(folder.join(format!("{}-{index}.yaml", rule.code)), example)?;
            }
        }
    }
    for scenario in fs::read_dir(root.join("tests/scenarios"))? {
        let scenario = scenario?;
        for file in fs::read_dir(scenario.path())? {
            let file = file?;
            let name = format!("{}-{}", scenario.file_name().display(), file.file_name().display());
            if name.ends_with(".yaml") {
                for folder in &manifests {
                    fs::copy(file.path(), folder.join(&name))?;
                }
            }
        }
    }
    let page = fs::read_to_string(root.join("docs/configuration.md"))?;
    for (index, example) in page.split("```toml\n").skip(1).enumerate() {
        fs::write(config.join(format!("{index}.toml")), example.split("```").next().unwrap_or_default())?;
    }
    Ok(())
}

//! Seeds for the fuzzers.

use std::fs;
use std::path::Path;

use anyhow::Result;
use netpol_lint::RULES;

/// Writes seeds for each target into a folder of its own.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifests = ["reader", "fixer"].map(|target| folder.join(target));
    let (config, reviews) = (folder.join("config"), folder.join("review"));
    for folder in manifests.iter().chain([&config, &reviews]) {
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
    for (index, operation) in ["CREATE", "UPDATE", "DELETE"].iter().enumerate() {
        fs::write(reviews.join(format!("{index}.json")), REVIEW.replace("OPERATION", operation))?;
    }
    let page = fs::read_to_string(root.join("docs/configuration.md"))?;
    for (index, example) in page.split("```toml\n").skip(1).enumerate() {
        fs::write(config.join(format!("{index}.toml")), example.split("```").next().unwrap_or_default())?;
    }
    Ok(())
}

/// A review of a policy, as an API server writes it.
const REVIEW: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","kind":{"group":"networking.k8s.io","version":"v1","kind":"NetworkPolicy"},"resource":{"group":"networking.k8s.io","version":"v1","resource":"networkpolicies"},"name":"db","namespace":"shop","operation":"OPERATION","userInfo":{"username":"alice","groups":["dev"]},"object":{"kind":"NetworkPolicy","apiVersion":"networking.k8s.io/v1","metadata":{"name":"db","namespace":"shop","annotations":{"netpol.dev/break-glass":"incident 4711"}},"spec":{"podSelector":{"matchLabels":{"app":"db"}},"ingress":[{"ports":[{"protocol":"TCP","port":3306}],"from":[{"namespaceSelector":{}},{"podSelector":{"matchLabels":{"app":"api"}}},{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}]}],"policyTypes":["Ingress"]}},"oldObject":{"kind":"NetworkPolicy","apiVersion":"networking.k8s.io/v1","metadata":{"name":"db","namespace":"shop"},"spec":{"podSelector":{},"policyTypes":["Ingress","Egress"],"egress":[{}]}},"dryRun":false}}"#;

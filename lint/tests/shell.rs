//! What shells, `man` and kubectl see of the command.

mod support;

use std::fs;
use std::process::Command;

use support::{folder, run};

#[test]
fn completions_for_every_shell() {
    let folder = folder(&[]);
    for (shell, mark) in [
        ("bash", "complete -F "),
        ("zsh", "#compdef netpol-lint"),
        ("fish", "complete -c netpol-lint"),
        ("elvish", "edit:completion:arg-completer[netpol-lint]"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = run(folder.path(), &["completions", shell], "").out;
        assert!(script.contains(mark), "{shell}: {script}");
        for word in ["check", "explain", "reach", "--output-format", "--unsafe-fixes"] {
            assert!(script.contains(word.trim_start_matches('-')), "{shell}: {word}");
        }
        // Where the shell is installed, it reads its script.
        let file = folder.path().join(shell);
        fs::write(&file, &script).unwrap();
        if ["bash", "zsh", "fish"].contains(&shell)
            && let Ok(output) = Command::new(shell).arg("-n").arg(&file).output()
        {
            assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn bash_completes() {
    let folder = folder(&[]);
    let script = run(folder.path(), &["completions", "bash"], "").out;
    let ask = "\nCOMP_WORDS=(netpol-lint check --unsafe); COMP_CWORD=2; $(complete -p netpol-lint | grep -o '_netpol[^ ]*') netpol-lint --unsafe check; echo \"${COMPREPLY[@]}\"\n";
    fs::write(folder.path().join("ask"), script + ask).unwrap();
    let output = Command::new("bash").arg("ask").current_dir(folder.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "--unsafe-fixes");
}

#[test]
fn pages_of_the_manual() {
    let folder = folder(&[]);
    let page = run(folder.path(), &["man"], "").out;
    assert!(page.contains(".TH netpol-lint 1") && page.contains("netpol\\-lint\\-check(1)"), "{page}");
    assert_eq!(run(folder.path(), &["man", "--dir", "a/man1"], "").status, 0);
    let mut names: Vec<_> = fs::read_dir(folder.path().join("a/man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in ["netpol-lint.1", "netpol-lint-check.1", "netpol-lint-explain.1", "netpol-lint-rule.1"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    let check = fs::read_to_string(folder.path().join("a/man1/netpol-lint-check.1")).unwrap();
    assert!(check.contains("\\-\\-unsafe\\-fixes"), "{check}");
    let refused = run(folder.path(), &["man", "--dir", "a/man1/netpol-lint.1"], "");
    assert!(
        refused.status == 2 && refused.err.contains("can't write to a/man1/netpol-lint.1"),
        "{}",
        refused.err
    );
}

/// kubectl runs `kubectl-netpol_lint` from PATH for `kubectl netpol-lint`, as any program with such a prefix.
#[test]
#[cfg(unix)]
fn a_plugin_of_kubectl() {
    let folder = folder(&[("p.yaml", "kind: NetworkPolicy\nspec: {\n")]);
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_netpol-lint"), bin.join("kubectl-netpol_lint")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let plugin = |arguments: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("kubectl-netpol_lint {arguments}")]);
        let output = shell.env("PATH", &path).current_dir(folder.path()).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (_, help, _) = plugin("check --help");
    assert!(help.contains("Usage: kubectl netpol-lint check"), "{help}");
    let (status, out, _) = plugin("check --output-format concise");
    assert!(status == Some(1) && out.starts_with("p.yaml:2:7: NP013 error"), "{out}");
    let (_, _, error) = plugin("chek");
    assert!(error.contains("kubectl netpol-lint"), "{error}");
}

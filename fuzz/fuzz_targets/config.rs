//! Any text as a configuration: it is read, or every mistake has a place in it.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use netpol_lint::config::{Config, ConfigFile, Options};

fuzz_target!(|text: &str| {
    match Options::parse("netpol-lint.toml", text) {
        Ok(options) => {
            let file = ConfigFile { path: "/repo/netpol-lint.toml".into(), options };
            let resolved = Config::resolve(Some(file), Options::default(), Path::new("/repo"));
            let mut shown = Vec::new();
            resolved.write(&mut shown).expect("memory takes it");
            let shown = String::from_utf8(shown).expect("text");
            Options::parse("shown", &shown).unwrap_or_else(|error| panic!("{error:?}\n{shown}"));
        }
        Err(invalid) => {
            assert!(!invalid.problems.is_empty());
            for problem in &invalid.problems {
                assert!(text.get(problem.span.range()).is_some(), "{problem:?}");
            }
        }
    }
});

//! Any bytes: they are read or refused, and every place that is told lies in them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use netpol_policy::evaluate::{Endpoint, Evaluator};
use netpol_policy::source::{self, Content, Manifest};
use netpol_policy::span::Span;
use netpol_policy::syntax;

fuzz_target!(|bytes: &[u8]| {
    let manifest = Manifest::lower(syntax::read_bytes(bytes), "default");
    let inside = |span: Span| {
        assert!(span.start <= span.end && span.end as usize <= bytes.len(), "{span:?} of {} bytes", bytes.len());
    };
    for error in &manifest.errors {
        inside(error.span);
    }
    manifest.comments.iter().copied().for_each(inside);
    for object in &manifest.objects {
        inside(object.span);
        let problems = match &object.content {
            Content::Policy(policy) => &policy.problems,
            _ => &object.problems,
        };
        for problem in problems {
            inside(problem.span);
            problem.related.into_iter().for_each(inside);
        }
    }
    let cluster = source::cluster([&manifest]);
    let evaluator = Evaluator::new(&cluster);
    for from in cluster.pods.iter().take(8) {
        for to in cluster.pods.iter().take(8) {
            let _ = evaluator.connections(Endpoint::pod(from), Endpoint::pod(to));
        }
    }
});

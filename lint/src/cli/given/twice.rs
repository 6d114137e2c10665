//! Objects that are given twice and say different things.

use std::io::{self, Write};

use netpol_policy::source::{Content, Object};

use crate::file::SourceFile;
use crate::hash::HashMap;
use crate::output::plural;
use crate::output::printable::one_line;

/// The most that are named.
const MOST: usize = 5;

/// Says which of them counts: the last one.
pub(super) fn tell(files: &[&SourceFile], err: &mut dyn Write) -> io::Result<()> {
    let mut known = HashMap::<_, Vec<(&SourceFile, &Object)>>::default();
    let mut names = Vec::new();
    for &file in files {
        for object in &file.manifest.objects {
            let Some(name) = name(&object.content) else { continue };
            let all = known.entry(name.clone()).or_default();
            if all.len() == 1 {
                names.push(name);
            }
            all.push((file, object));
        }
    }
    let differing = names.iter().filter_map(|name| {
        let (last, others) = known.get(name)?.split_last()?;
        let other = others.iter().rev().find(|(_, other)| !is_same(&other.content, &last.1.content))?;
        Some((name, *other, *last))
    });
    let differing: Vec<_> = differing.collect();
    for (name, other, last) in differing.iter().take(MOST) {
        let name = one_line(name);
        let (other, last) = (place(*other), place(*last));
        writeln!(err, "netpol-lint: {name} is there more than once: what {last} says counts, not {other}")?;
    }
    if differing.len() > MOST {
        let more = plural(differing.len() - MOST, "other object");
        writeln!(
            err,
            "netpol-lint: so it is with {more}: of files that are named, the last counts, in a folder the last by name"
        )?;
    }
    Ok(())
}

/// Kind and name, as the objects of a cluster are told apart.
fn name(content: &Content) -> Option<String> {
    Some(match content {
        Content::Policy(source) => format!("NetworkPolicy {}", source.model.as_ref()?.name),
        Content::Workload(workload) => {
            let name = &workload.pod.name;
            format!("{} {}/{}", name.kind.as_str(), name.namespace, name.name)
        }
        Content::Namespace(namespace) => format!("Namespace {}", namespace.name()),
        Content::Node(node) => format!("Node {}", node.name),
        Content::Service(service) => format!("Service {}", service.name),
        Content::EntryPoint(source) => {
            let entry = &source.entry;
            let namespace = entry.namespace.as_deref().map(|namespace| format!("{namespace}/"));
            format!("{} {}{}", entry.kind.as_str(), namespace.unwrap_or_default(), entry.name)
        }
        Content::EndpointSlice(_) | Content::Broken => return None,
    })
}

/// Whether two of one name mean the same.
fn is_same(one: &Content, other: &Content) -> bool {
    match (one, other) {
        (Content::Policy(one), Content::Policy(other)) => one.model == other.model,
        (Content::Workload(one), Content::Workload(other)) => {
            one.pod == other.pod && one.owner == other.owner
        }
        (Content::Namespace(one), Content::Namespace(other)) => one == other,
        (Content::Node(one), Content::Node(other)) => one == other,
        (Content::Service(one), Content::Service(other)) => one == other,
        (Content::EntryPoint(one), Content::EntryPoint(other)) => one.entry == other.entry,
        _ => false,
    }
}

fn place((file, object): (&SourceFile, &Object)) -> String {
    let position = file.position(object.name.start);
    format!("{}:{}:{}", one_line(&file.name), position.line, position.column)
}

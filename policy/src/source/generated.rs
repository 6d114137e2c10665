//! Names that the API server has yet to make.
//!
//! An object with `generateName` and without a name gets a name of its own each time it is created: what the field says
//! and five characters at random. Here it is what the field says and `…`, which is in no valid name; where several
//! objects would be called the same, the later ones have a number behind it.

use std::collections::HashMap;
use std::mem::discriminant;
use std::sync::Arc;

use super::manifest::{Content, Manifest};

/// What stands for the characters that the API server chooses.
const REST: char = '…';

/// The name of an object whose name begins so.
pub(super) fn name(beginning: &str) -> Box<str> {
    format!("{beginning}{REST}").into()
}

/// Whether the API server has yet to make the name of an object that was just read.
pub(super) fn has_generated_name(content: &Content) -> bool {
    name_of(content).is_some_and(|(_, name)| name.ends_with(REST))
}

/// Gives objects with generated names different ones, of all these manifests together. The objects of one manifest have
/// different ones already.
pub fn distinguish<'m>(manifests: impl IntoIterator<Item = &'m mut Manifest>) {
    let mut with_some: Vec<_> =
        manifests.into_iter().filter(|manifest| manifest.generated_names > 0).collect();
    if with_some.len() > 1 {
        number(&mut with_some);
    }
}

/// The same for one manifest.
pub(super) fn distinguish_within(manifest: &mut Manifest) {
    if manifest.generated_names > 1 {
        number(&mut [manifest]);
    }
}

fn number(manifests: &mut [&mut Manifest]) {
    let mut counts = HashMap::new();
    for object in manifests.iter_mut().flat_map(|manifest| &mut manifest.objects) {
        let Some((namespace, name)) = name_of(&object.content) else { continue };
        let Some((beginning, _)) = name.split_once(REST) else { continue };
        let key = (discriminant(&object.content), kind(&object.content), namespace.map(str::to_owned));
        let count: &mut usize = counts.entry((key, beginning.to_owned())).or_default();
        *count += 1;
        let number = if *count == 1 { String::new() } else { count.to_string() };
        let numbered = format!("{beginning}{REST}{number}");
        if *name != *numbered {
            rename(&mut object.content, numbered.into());
        }
    }
}

/// Namespace and name.
fn name_of(content: &Content) -> Option<(Option<&str>, &str)> {
    Some(match content {
        Content::Policy(source) => {
            let name = &source.model.as_ref()?.name;
            (Some(&*name.namespace), &*name.name)
        }
        Content::Workload(workload) => {
            let name = &workload.pod.name;
            (Some(&*name.namespace), &*name.name)
        }
        Content::Node(node) => (None, &*node.name),
        Content::Service(service) => (Some(&*service.name.namespace), &*service.name.name),
        Content::EntryPoint(source) => (source.entry.namespace.as_deref(), &*source.entry.name),
        // Nobody can be in a namespace whose name isn't known, and slices go by the Service that they name.
        Content::Namespace(_) | Content::EndpointSlice(_) | Content::Broken => return None,
    })
}

/// What tells names of one sort of objects apart.
fn kind(content: &Content) -> &'static str {
    match content {
        Content::Workload(workload) => workload.pod.name.kind.as_str(),
        Content::EntryPoint(source) => source.entry.kind.as_str(),
        _ => "",
    }
}

fn rename(content: &mut Content, name: Box<str>) {
    match content {
        Content::Policy(source) => {
            if let Some(policy) = &mut source.model {
                Arc::make_mut(policy).name.name = name;
            }
        }
        Content::Workload(workload) => workload.pod.name.name = name,
        Content::Node(node) => node.name = name,
        Content::Service(service) => service.name.name = name,
        Content::EntryPoint(source) => source.entry.name = name,
        Content::Namespace(_) | Content::EndpointSlice(_) | Content::Broken => {}
    }
}

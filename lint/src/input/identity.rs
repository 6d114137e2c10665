//! The same file under several names.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs::Metadata;
use std::path::Path;

use super::Loaded;

/// What a file is to the system, whatever its name: device and number.
pub(super) type Identity = (u64, u64);

/// `None` where the system doesn't tell.
#[cfg(unix)]
pub(super) fn of(metadata: &Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

/// `None` where the system doesn't tell.
#[cfg(not(unix))]
pub(super) fn of(_: &Metadata) -> Option<Identity> {
    None
}

/// Sorts by name and leaves each file once, where it was named last. Of several names one that isn't context counts, of those the one that the user gave, of those the one that
/// is no link, of those the first.
pub(super) fn once(loaded: &mut Vec<Loaded>) {
    loaded.sort_by(order);
    loaded.dedup_by(|later, first| {
        let is_same = later.file.name == first.file.name;
        if is_same {
            first.file.rank = first.file.rank.max(later.file.rank);
        }
        is_same
    });
    let identities = loaded.iter().enumerate().filter_map(|(index, file)| Some((file.identity?, index)));
    let mut identities: Vec<_> = identities.collect();
    identities.sort_unstable();
    let mut superfluous = vec![false; loaded.len()];
    for same in identities.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
        // Hard links are files of their own: each is written by itself.
        let mut by_target: HashMap<_, Vec<usize>> = HashMap::new();
        for &(_, index) in same {
            let target = std::fs::canonicalize(&*loaded[index].file.name).ok();
            by_target.entry(target).or_default().push(index);
        }
        for (target, names) in by_target.into_iter().filter_map(|(target, names)| Some((target?, names))) {
            let is_link = |index: usize| {
                std::path::absolute(Path::new(&*loaded[index].file.name)).is_ok_and(|path| path != target)
            };
            let kept = names.iter().copied().min_by_key(|index| {
                (loaded[*index].file.context, !loaded[*index].named, is_link(*index), *index)
            });
            let rank = names.iter().map(|index| loaded[*index].file.rank).max();
            if let (Some(kept), Some(rank)) = (kept, rank) {
                loaded[kept].file.rank = rank;
            }
            for name in names.into_iter().filter(|name| Some(*name) != kept) {
                superfluous[name] = true;
            }
        }
    }
    if !superfluous.contains(&true) {
        return;
    }
    let mut superfluous = superfluous.into_iter();
    loaded.retain(|_| !superfluous.next().expect("one for each"));
}

/// By name, of one name what counts first.
pub(super) fn order(a: &Loaded, b: &Loaded) -> Ordering {
    a.file.name.cmp(&b.file.name).then(a.file.context.cmp(&b.file.context)).then(b.named.cmp(&a.named))
}

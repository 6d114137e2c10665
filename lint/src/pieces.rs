//! Work on a long list, shared among the processors.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Does something to every piece of a list, given with the index of its first item; what comes of it, in the order of the
/// list. Whoever is done with a piece takes the next one: some items take much longer than others.
pub(crate) fn each<T: Sync, R: Send>(
    items: &[T],
    size: usize,
    work: impl Fn(usize, &[T]) -> R + Sync,
) -> Vec<R> {
    let count = items.len().div_ceil(size);
    let threads = threads(count / WORTH + 1);
    if threads == 1 {
        return vec![work(0, items)];
    }
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= count {
                return done;
            }
            let first = piece * size;
            let items = &items[first..items.len().min(first + size)];
            done.push((piece, work(first, items)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            match other.join() {
                Ok(some) => done.extend(some),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(piece, _)| *piece);
    done.into_iter().map(|(_, result)| result).collect()
}

/// So many pieces are worth a thread.
const WORTH: usize = 4;

/// How many threads do, of those that would have enough to do. The kernel is only asked when there may be several.
fn threads(busy: usize) -> usize {
    if busy == 1 { 1 } else { std::thread::available_parallelism().map_or(1, usize::from).min(busy) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_once_and_in_order() {
        for length in [0, 1, 3, 15, 16, 17, 1000] {
            let items: Vec<usize> = (0..length).collect();
            let pieces = each(&items, 3, |first, items| {
                assert_eq!(items.first().copied().unwrap_or(0), first);
                items.to_vec()
            });
            assert_eq!(pieces.concat(), items);
        }
    }
}

//! Room for so many connections, shared fairly among the addresses they come from.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{Receiver, Sender, channel};

/// Room for so many.
#[derive(Debug)]
pub(super) struct Room {
    taken: Arc<Mutex<Taken>>,
    size: usize,
}

/// A connection's place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    address: IpAddr,
    number: u64,
    lost: Receiver<()>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Of each address, oldest first.
    places: HashMap<IpAddr, VecDeque<(u64, Sender<()>)>>,
    count: usize,
    /// Of the last place.
    number: u64,
}

impl Room {
    pub(super) fn of(size: usize) -> Self {
        Self { taken: Arc::default(), size }
    }

    /// A place for a connection from there, if need be that of a connection from an address with more of them; nothing when it
    /// is itself an address with the most.
    pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
        // IPv4 through a socket of IPv6 is IPv4.
        let address = address.to_canonical();
        let mut taken = lock(&self.taken);
        if taken.count >= self.size {
            let own = taken.places.get(&address).map_or(0, VecDeque::len);
            // Addresses are few where connections are bounded; this happens only when there is no room.
            let most = taken.places.values_mut().max_by_key(|places| places.len())?;
            if most.len() <= own + 1 {
                return None;
            }
            // The oldest: what an API server opened last it is about to use.
            let (_, lose) = most.pop_front()?;
            taken.count -= 1;
            let _ = lose.send(());
        }
        let (lose, lost) = channel();
        taken.number += 1;
        taken.count += 1;
        let number = taken.number;
        taken.places.entry(address).or_default().push_back((number, lose));
        Some(Place { taken: Arc::clone(&self.taken), address, number, lost })
    }
}

impl Place {
    /// Waits until another connection is given this place.
    pub(super) async fn lost(&mut self) {
        // It is dropped without a word only together with the room.
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        let Some(places) = taken.places.get_mut(&self.address) else { return };
        let before = places.len();
        places.retain(|(number, _)| *number != self.number);
        let gone = before - places.len();
        if places.is_empty() {
            taken.places.remove(&self.address);
        }
        taken.count -= gone;
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn whoever_has_the_most_gives() {
        let room = Room::of(4);
        let mut flood: Vec<_> = (0..4).map(|_| room.take(address(1)).unwrap()).collect();
        assert!(room.take(address(1)).is_none());
        let first = room.take(address(2)).unwrap();
        assert!(flood[0].lost.try_recv().is_ok() && flood[1].lost.try_recv().is_err());
        let second = room.take(address(2)).unwrap();
        assert!(flood[1].lost.try_recv().is_ok());
        // Two and two: nobody has more than the other would have.
        assert!(room.take(address(2)).is_none());
        assert!(room.take("::ffff:10.0.0.2".parse().unwrap()).is_none());
        let third = room.take(address(3));
        assert!(third.is_some(), "one of two is given to who has none");
        // Those that lost their place give nothing back twice.
        flood.drain(..2);
        assert!(room.take(address(1)).is_none());
        drop((flood, first, second, third));
        let taken = lock(&room.taken);
        assert!(taken.places.is_empty() && taken.count == 0);
    }

    #[test]
    fn an_empty_queue_leaves_nothing_behind() {
        let room = Room::of(1);
        for last in 0..10 {
            drop(room.take(address(last)).unwrap());
        }
        assert!(lock(&room.taken).places.is_empty());
    }
}

//! A rotation among replicas that start, stop and lag behind, with clients that learn of a bundle late: whoever is ready is
//! trusted by every client, always. Time is a number here, certificates are real.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netpol_certs::{Authority, Bundle, Change, Error, Leaf, Lifetimes, Rotation, Seen, Signer, Validity};
use proptest::prelude::*;
use rustls::pki_types::ServerName;

const NAME: &str = "test";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Times are kept to the millisecond.
fn whole(moment: SystemTime) -> SystemTime {
    UNIX_EPOCH + seconds(moment.duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn lifetimes() -> Lifetimes {
    Lifetimes::new(seconds(3600), seconds(600), seconds(60), seconds(10)).unwrap()
}

fn names() -> Vec<ServerName<'static>> {
    vec!["localhost".try_into().unwrap()]
}

/// A Secret with its version, and what a configuration says with its own.
#[derive(Default)]
struct Shared {
    secret: Option<BTreeMap<String, Vec<u8>>>,
    version: usize,
    bundle: Bundle,
    /// What the configuration said, and until when.
    history: Vec<(SystemTime, Bundle)>,
}

impl Shared {
    fn publish(&mut self, bundle: Bundle, now: SystemTime) {
        let before = std::mem::replace(&mut self.bundle, bundle);
        self.history.push((now, before));
    }

    fn is_readable(&self, now: SystemTime) -> bool {
        self.secret.as_ref().is_some_and(|entries| Rotation::read(entries, now).is_ok())
    }

    /// What a client may believe who is at most `lag` behind.
    fn views(&self, now: SystemTime, lag: Duration) -> impl Iterator<Item = &Bundle> {
        let late = self.history.iter().filter(move |(until, _)| *until + lag > now).map(|(_, bundle)| bundle);
        // Who trusts nothing at all has not been told whom to call.
        late.chain([&self.bundle]).filter(|bundle| !bundle.is_empty())
    }
}

struct Replica {
    signer: Signer,
    ready: bool,
}

impl Replica {
    fn new() -> Self {
        Self { signer: Signer::new(names()).unwrap(), ready: false }
    }

    /// A pass, as the module `managed` makes it, with nobody in between.
    fn look(&mut self, shared: &mut Shared, now: SystemTime, changes: &mut Vec<Change>) {
        let lifetimes = lifetimes();
        let mut fresh = false;
        loop {
            let read = shared.secret.as_ref().map(|entries| Rotation::read(entries, now));
            let Some(Ok(rotation)) = read else {
                let new = Rotation::create(NAME, &lifetimes, &shared.bundle, now).unwrap();
                shared.secret = Some(new.entries());
                shared.version += 1;
                continue;
            };
            self.signer.update(&rotation, &lifetimes, now).unwrap();
            if shared.bundle != rotation.bundle() {
                shared.publish(rotation.bundle(), now);
                fresh = true;
                continue;
            }
            let seen = if fresh { Seen::Fresh } else { Seen::Holding };
            match rotation.advance(NAME, seen, &lifetimes, now).unwrap() {
                Some((new, change)) => {
                    changes.push(change);
                    shared.secret = Some(new.entries());
                }
                None => {
                    // As `/readyz`: once ready, it stays so.
                    self.ready |= self.signer.is_trusted(&rotation, &lifetimes, now);
                    return;
                }
            }
            fresh = false;
        }
    }
}

/// What happens in a step of ten seconds.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// These replicas look (a bit each); the others lag behind, but never longer than a change may take.
    Look(u8),
    Restart(usize),
    DeleteSecret,
    DamageSecret,
    EmptyBundle,
    Nothing(u16),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        40 => any::<u8>().prop_map(Happening::Look),
        10 => (1..60u16).prop_map(Happening::Nothing),
        4 => (0..3usize).prop_map(Happening::Restart),
        1 => Just(Happening::DeleteSecret),
        1 => Just(Happening::DamageSecret),
        1 => Just(Happening::EmptyBundle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn whoever_is_ready_is_trusted(happenings in proptest::collection::vec(happening(), 50..150)) {
        // Replicas look every 10 s, and are at most 40 s late; clients learn of a bundle within 50 s.
        let (late, lag) = (4, seconds(50));
        let mut now = SystemTime::now();
        let mut shared = Shared::default();
        let mut changes = Vec::new();
        let mut replicas = [Replica::new(), Replica::new(), Replica::new()];
        let mut behind = [0; 3];
        for happening in happenings {
            let (mut look, mut steps) = (0u8, 1);
            match happening {
                Happening::Look(who) => look = who,
                Happening::Nothing(long) => steps = long,
                Happening::Restart(who) => replicas[who] = Replica::new(),
                Happening::DeleteSecret => shared.secret = None,
                Happening::DamageSecret => {
                    if let Some(secret) = &mut shared.secret {
                        secret.insert("ca.key".to_owned(), b"no key".to_vec());
                    }
                }
                // Somebody applies the manifest anew; clients are without trust until a replica looks. With the Secret gone
                // at the same time, nobody would know any more what was trusted.
                Happening::EmptyBundle if shared.is_readable(now) => {
                    shared.publish(Bundle::default(), now);
                    replicas[0].look(&mut shared, now, &mut changes);
                    prop_assert!(!shared.bundle.is_empty());
                }
                Happening::EmptyBundle => {}
            }
            for _ in 0..steps {
                now += seconds(10);
                for (index, replica) in replicas.iter_mut().enumerate() {
                    if look & (1 << index) == 0 && behind[index] < late {
                        behind[index] += 1;
                        continue;
                    }
                    behind[index] = 0;
                    replica.look(&mut shared, now, &mut changes);
                }
                for replica in replicas.iter().filter(|replica| replica.ready) {
                    let leaf = replica.signer.resolver().current();
                    for view in shared.views(now, lag) {
                        let trusted = view.verify(&leaf, now);
                        prop_assert!(trusted.is_ok(), "{trusted:?} after {changes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_kept_comes_back(steps in 0..6usize) {
        let mut now = whole(SystemTime::now());
        let mut rotation = Rotation::create(NAME, &lifetimes(), &Bundle::default(), now).unwrap();
        for _ in 0..steps {
            if let Some((new, _)) = rotation.advance(NAME, Seen::Holding, &lifetimes(), now).unwrap() {
                rotation = new;
            }
            now += seconds(1200);
        }
        // Not when it is over: then the next one is in its place.
        if let Ok(read) = Rotation::read(&rotation.entries(), now) && read.current().certificate() == rotation.current().certificate() {
            prop_assert_eq!(read.entries(), rotation.entries());
            prop_assert_eq!(read.bundle(), rotation.bundle());
        }
    }

    #[test]
    fn damage_is_an_error_and_no_panic(entry in 0..4usize, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let now = SystemTime::now();
        let rotation = Rotation::create(NAME, &lifetimes(), &Bundle::default(), now).unwrap();
        let mut entries = rotation.entries();
        let name = entries.keys().nth(entry % entries.len()).unwrap().clone();
        let bytes = entries.get_mut(&name).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Err(error) = Rotation::read(&entries, now) {
            prop_assert!(!error.to_string().contains("BEGIN"), "{}", error);
        }
        entries.remove(&name);
        drop(Rotation::read(&entries, now));
    }
}

#[test]
fn it_goes_round() {
    let start = whole(SystemTime::now());
    let mut shared = Shared::default();
    let mut replica = Replica::new();
    let mut changes = Vec::new();
    let mut log = Vec::new();
    for step in 0..600 {
        let now = start + seconds(10 * step);
        replica.look(&mut shared, now, &mut changes);
        log.extend(changes.drain(..).map(|change| (10 * step, change)));
    }
    // Two thirds of an hour and of the five minutes before it, a minute to settle, ten minutes' leaves and a minute.
    assert_eq!(
        log,
        [
            (0, Change::Published),
            (2300, Change::Announced),
            (2300, Change::Published),
            (2360, Change::Promoted),
            (3020, Change::Dropped),
            (4600, Change::Announced),
            (4600, Change::Published),
            (4660, Change::Promoted),
            (5320, Change::Dropped),
        ]
    );
}

#[test]
fn damage_is_told_apart() {
    let now = SystemTime::now();
    let rotation = Rotation::create(NAME, &lifetimes(), &Bundle::default(), now).unwrap();
    let good = rotation.entries();
    let other = Rotation::create(NAME, &lifetimes(), &Bundle::default(), now).unwrap().entries();
    let with = |name: &str, value: Option<&[u8]>| {
        let mut entries = good.clone();
        match value {
            Some(value) => drop(entries.insert(name.to_owned(), value.to_vec())),
            None => drop(entries.remove(name)),
        }
        Rotation::read(&entries, now)
    };
    assert!(matches!(with("ca.key", None), Err(Error::Missing { name: "ca.key" })));
    assert!(matches!(with("ca.crt", Some(b"no certificate")), Err(Error::Pem { .. })));
    assert!(matches!(with("ca.crt", Some(b"\xff")), Err(Error::Pem { .. })));
    assert!(matches!(with("ca.key", Some(&other["ca.key"])), Err(Error::KeyMismatch { .. })));
    let leaf: Leaf = rotation.current().sign(&names(), now, seconds(600)).unwrap();
    assert!(matches!(with("ca.crt", Some(leaf.chain_pem().as_bytes())), Err(Error::NotAnAuthority)));
    assert!(matches!(Rotation::read(&good, now + seconds(7200)), Err(Error::Expired { .. })));
    assert!(matches!(Rotation::read(&good, now - seconds(7200)), Err(Error::NotYetValid { .. })));
    // What can be missed is missed.
    for name in ["next.crt", "old.crt", "published", "old-until", "leaf-seconds"] {
        for junk in [&b"\xff\x00"[..], b"", b"-1", b"1e308", b"NaN", b"inf"] {
            assert!(with(name, Some(junk)).is_ok(), "{name}");
        }
    }
}

#[test]
fn after_the_end_of_the_authority_the_next_one_signs() {
    let start = SystemTime::now();
    let rotation = Rotation::create(NAME, &lifetimes(), &Bundle::default(), start).unwrap();
    let advance =
        |rotation: &Rotation, now| rotation.advance(NAME, Seen::Holding, &lifetimes(), now).unwrap().unwrap();
    let (rotation, _) = advance(&rotation, start);
    let (rotation, change) = advance(&rotation, start + seconds(3500));
    assert_eq!(change, Change::Announced);
    let next = rotation.next().unwrap().certificate().clone();
    let read = Rotation::read(&rotation.entries(), start + seconds(3700)).unwrap();
    assert_eq!((read.current().certificate(), read.next().is_none()), (&next, true));
}

#[test]
fn a_replica_that_is_cut_off_signs_on_at_the_last_moment() {
    let start = SystemTime::now();
    let rotation = Rotation::create(NAME, &lifetimes(), &Bundle::default(), start).unwrap();
    let mut signer = Signer::new(names()).unwrap();
    assert!(signer.update(&rotation, &lifetimes(), start).unwrap());
    assert!(!signer.bridge(&rotation, &lifetimes(), start + seconds(450)).unwrap());
    assert!(signer.bridge(&rotation, &lifetimes(), start + seconds(590)).unwrap());
    assert!(signer.resolver().current().validity().contains(start + seconds(1100)));
    // Not by an authority that is over.
    assert!(!signer.bridge(&rotation, &lifetimes(), start + seconds(3700)).unwrap());
}

#[test]
fn nothing_secret_is_shown() {
    let now = SystemTime::now();
    let rotation = Rotation::create(NAME, &lifetimes(), &Bundle::default(), now).unwrap();
    let signer = Signer::new(names()).unwrap();
    let authority = Authority::create(NAME, Validity::starting(now, seconds(60))).unwrap();
    let shown = format!("{rotation:?} {signer:?} {authority:?}");
    assert!(!shown.contains("PRIVATE") && !shown.contains("key"), "{shown}");
    assert!(matches!(Signer::new(Vec::new()), Err(Error::NoNames { .. })));
}

//! Real handshakes over loopback: what a client of rustls trusts, sees and keeps while certificates change.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use netpol_certs::{
    Authority, Bundle, CERTIFICATE_FILE, Directory, Error, KEY_FILE, Leaf, Resolver, Validity,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

const DAY: Duration = Duration::from_secs(86_400);

type Client = StreamOwned<ClientConnection, TcpStream>;

#[test]
fn a_signed_leaf_is_trusted_by_its_names_only() {
    let authority = authority("one");
    let leaf = authority.sign(
        &[name("netpol-webhook.netpol-system.svc"), name("127.0.0.1"), name("::1")],
        now(),
        DAY,
    );
    let leaf = leaf.unwrap();
    assert_eq!(leaf.names().join(" "), "netpol-webhook.netpol-system.svc 127.0.0.1 ::1");
    let server = echo(Arc::new(Resolver::new(leaf)));
    let trust = Bundle::new(&authority);
    for good in ["netpol-webhook.netpol-system.svc", "127.0.0.1", "::1"] {
        assert_eq!(said(&mut connect(server, &trust, good).unwrap(), b"ping"), b"ping");
    }
    let error = connect(server, &trust, "elsewhere.netpol-system.svc").err().unwrap();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    let error = connect(server, &Bundle::new(&self::authority("two")), "127.0.0.1").err().unwrap();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[test]
fn a_swap_is_live_and_leaves_open_connections_alone() {
    let (old, new) = (authority("old"), authority("new"));
    let resolver = Arc::new(Resolver::new(leaf_of(&old)));
    let server = echo(Arc::clone(&resolver));
    let trust = Bundle::new(&old).renewed(&new, now());
    assert_eq!(trust.certificates().len(), 2);

    let mut open = connect(server, &trust, "localhost").unwrap();
    assert_eq!(said(&mut open, b"before"), b"before");
    let before = shown(&open);
    resolver.swap(leaf_of(&new));
    assert_eq!(said(&mut open, b"after"), b"after");
    assert_eq!(shown(&open), before);

    let fresh = connect(server, &trust, "localhost").unwrap();
    assert_ne!(shown(&fresh), before);
    // Whoever trusts only the old authority is out once the new leaf is served: the reason for the bundle of two.
    assert!(connect(server, &Bundle::new(&old), "localhost").is_err());
    assert!(connect(server, &Bundle::new(&new), "localhost").is_ok());
    // And the same said beforehand.
    let leaf = resolver.current();
    assert!(Bundle::new(&new).verify(&leaf, now()).is_ok());
    assert!(matches!(Bundle::new(&old).verify(&leaf, now()), Err(Error::Untrusted { .. })));
    assert!(matches!(Bundle::new(&new).verify(&leaf, now() + 2 * DAY), Err(Error::Untrusted { .. })));
}

#[test]
fn a_directory_takes_a_good_pair_and_keeps_a_bad_one_out() {
    let directory = tempfile::tempdir().unwrap();
    let authority = authority("files");
    let first = leaf_of(&authority);
    write(directory.path(), &first.chain_pem(), first.key_pem());
    let (mut watched, leaf) = Directory::open(directory.path(), now()).unwrap();
    let resolver = Arc::new(Resolver::new(leaf));
    let server = echo(Arc::clone(&resolver));
    let trust = Bundle::new(&authority);
    let served = || shown(&connect(server, &trust, "localhost").unwrap());
    let before = served();
    assert!(watched.refresh(now()).unwrap().is_none());

    // Half written: the certificate is new, the key still the old one. Said once, not at every look.
    let second = leaf_of(&authority);
    std::fs::write(directory.path().join(CERTIFICATE_FILE), second.chain_pem()).unwrap();
    assert!(matches!(watched.refresh(now()), Err(Error::KeyMismatch { .. })));
    assert!(watched.refresh(now()).unwrap().is_none());
    assert_eq!(served(), before);

    std::fs::write(directory.path().join(KEY_FILE), second.key_pem()).unwrap();
    resolver.swap(watched.refresh(now()).unwrap().unwrap());
    assert_ne!(served(), before);

    for (chain, key, said) in [
        ("", second.key_pem(), "no CERTIFICATE section"),
        (second.chain_pem().as_str(), "", "serving certificate: no usable PEM block"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            second.key_pem(),
            "not an X.509 certificate",
        ),
        ("no PEM at all", second.key_pem(), "no CERTIFICATE section"),
    ] {
        write(directory.path(), chain, key);
        let error = watched.refresh(now()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    std::fs::remove_file(directory.path().join(KEY_FILE)).unwrap();
    assert!(matches!(watched.refresh(now()), Err(Error::Read { .. })));
}

#[test]
fn a_moved_link_is_seen_as_the_kubelet_moves_it() {
    let directory = tempfile::tempdir().unwrap();
    let authority = authority("links");
    let (first, second) = (leaf_of(&authority), leaf_of(&authority));
    for (name, leaf) in [("..2025_01", &first), ("..2025_02", &second)] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
        write(&directory.path().join(name), &leaf.chain_pem(), leaf.key_pem());
    }
    std::os::unix::fs::symlink("..2025_01", directory.path().join("..data")).unwrap();
    for file in [CERTIFICATE_FILE, KEY_FILE] {
        std::os::unix::fs::symlink(Path::new("..data").join(file), directory.path().join(file)).unwrap();
    }
    let (mut watched, leaf) = Directory::open(directory.path(), now()).unwrap();
    assert_eq!(leaf.chain_pem(), first.chain_pem());

    std::os::unix::fs::symlink("..2025_02", directory.path().join("..data_tmp")).unwrap();
    std::fs::rename(directory.path().join("..data_tmp"), directory.path().join("..data")).unwrap();
    assert_eq!(watched.refresh(now()).unwrap().unwrap().chain_pem(), second.chain_pem());
}

#[test]
fn the_end_is_known_and_an_ended_certificate_is_refused() {
    let authority = authority("end");
    let leaf = authority.sign(&[name("localhost")], now(), 3 * DAY).unwrap();
    let left = leaf.validity().not_after().duration_since(now()).unwrap();
    assert!(left > 2 * DAY && left <= 3 * DAY, "{left:?}");
    let later = now() + 4 * DAY;
    let error = Leaf::from_pem(&leaf.chain_pem(), leaf.key_pem(), later).unwrap_err();
    assert!(matches!(error, Error::Expired { .. }), "{error}");
    let error = Leaf::from_pem(&leaf.chain_pem(), leaf.key_pem(), now() - DAY).unwrap_err();
    assert!(matches!(error, Error::NotYetValid { .. }), "{error}");
    // A leaf never outlives the authority that signed it.
    let leaf = authority.sign(&[name("localhost")], now(), 9999 * DAY).unwrap();
    assert!(leaf.validity().not_after() <= authority.validity().not_after());
    // A bundle drops what is over.
    let bundle = Bundle::new(&authority).renewed(&self::authority("next"), now() + 400 * DAY);
    assert_eq!(bundle.certificates().len(), 1);
}

#[test]
fn an_authority_comes_back_from_its_pem_and_signs_on() {
    let authority = authority("saved");
    let (certificate, key) = (authority.certificate_pem(), authority.key_pem());
    let loaded = Authority::from_pem(&certificate, &key, now()).unwrap();
    let server = echo(Arc::new(Resolver::new(leaf_of(&loaded))));
    let trust = Bundle::from_pem(&format!("{certificate}{certificate}")).unwrap();
    assert_eq!(trust.to_pem(), certificate);
    assert!(connect(server, &trust, "localhost").is_ok());

    let other = self::authority("other");
    assert!(matches!(
        Authority::from_pem(&certificate, &other.key_pem(), now()),
        Err(Error::KeyMismatch { .. })
    ));
    let leaf = leaf_of(&authority);
    assert!(matches!(
        Authority::from_pem(&leaf.chain_pem(), leaf.key_pem(), now()),
        Err(Error::NotAnAuthority)
    ));
    assert!(matches!(authority.sign(&[], now(), DAY), Err(Error::NoNames { .. })));
    assert!(!format!("{authority:?} {leaf:?}").contains("PRIVATE"));
}

fn now() -> SystemTime {
    SystemTime::now()
}

fn name(text: &str) -> ServerName<'static> {
    ServerName::try_from(text.to_owned()).unwrap()
}

fn authority(common_name: &str) -> Authority {
    Authority::create(common_name, Validity::starting(now(), 365 * DAY)).unwrap()
}

fn leaf_of(authority: &Authority) -> Leaf {
    authority.sign(&[name("localhost")], now(), DAY).unwrap()
}

fn write(directory: &Path, chain: &str, key: &str) {
    std::fs::write(directory.join(CERTIFICATE_FILE), chain).unwrap();
    std::fs::write(directory.join(KEY_FILE), key).unwrap();
}

/// A server that sends back what it gets, one thread a connection, until the test's process ends.
fn echo(resolver: Arc<Resolver>) -> SocketAddr {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream =
                StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
            thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    stream.write_all(&buffer[..read]).unwrap();
                }
            });
        }
    });
    address
}

/// Connects and finishes the handshake.
fn connect(server: SocketAddr, trust: &Bundle, server_name: &str) -> Result<Client, std::io::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trust.roots().unwrap())
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name(server_name)).unwrap();
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

fn said(client: &mut Client, text: &[u8]) -> Vec<u8> {
    client.write_all(text).unwrap();
    let mut answer = vec![0; text.len()];
    client.read_exact(&mut answer).unwrap();
    answer
}

fn shown(client: &Client) -> Vec<u8> {
    client.conn.peer_certificates().unwrap()[0].to_vec()
}

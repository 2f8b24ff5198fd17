//! What the authority keeps on disk.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use rustls::{RootCertStore, pki_types::UnixTime, server::WebPkiClientVerifier};
use wherry_controller::ca::{Authority, CaError, Request};
use wherry_trust::names::AgentIdentity;

use crate::support::{csr, new_key};

/// 2027, in Unix milliseconds.
const START: u64 = 1_800_000_000_000;
const DAY: u64 = 86_400_000;

#[test]
fn the_keys_are_the_owners_alone_and_the_pin_stays() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ca");
    let pin = Authority::open(&dir, START).unwrap().pin().clone();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for name in ["root.key", "issuing.key", "root.pem", "issuing.pem"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    assert_eq!(*Authority::open(&dir, START + DAY).unwrap().pin(), pin);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["root.key", "root.pem", "issuing.key", "issuing.pem"] {
        let (dir, other) = (one.path().join(name), two.path().join(name));
        Authority::open(&dir, START).unwrap();
        Authority::open(&other, START).unwrap();
        fs::copy(other.join(name), dir.join(name)).unwrap();
        assert!(matches!(Authority::open(&dir, START), Err(CaError::Mismatch(_))), "{name} of another authority");
        fs::write(dir.join(name), "-----BEGIN nonsense").unwrap();
        assert!(Authority::open(&dir, START).is_err(), "{name} is nonsense");
        fs::remove_file(dir.join(name)).unwrap();
        let missing = Authority::open(&dir, START).err().unwrap();
        assert!(missing.to_string().contains(name), "{missing}");
    }
}

#[test]
fn certificates_hold_for_years_because_the_issuing_one_is_renewed_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ca");
    let authority = Authority::open(&dir, START).unwrap();
    let issuing = fs::read(dir.join("issuing.pem")).unwrap();
    authority.renew(START + 180 * DAY).unwrap();
    assert_eq!(fs::read(dir.join("issuing.pem")).unwrap(), issuing, "renewed too early");
    // One process that runs for three years, another that is started after each of them.
    let mut now = START;
    let before = leaf(&authority, now);
    while now < START + 3 * 365 * DAY {
        now += 45 * DAY;
        authority.renew(now).unwrap();
        holds(&authority, &leaf(&authority, now), now).unwrap();
        holds(&authority, &leaf(&Authority::open(&dir, now).unwrap(), now), now).unwrap();
    }
    assert_ne!(fs::read(dir.join("issuing.pem")).unwrap(), issuing);
    holds(&authority, &before, START + DAY / 2).unwrap();
    assert!(holds(&authority, &before, START + 2 * DAY).is_err(), "a leaf outlived its day");
}

fn leaf(authority: &Authority, now: u64) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    let id = wherry_daemon::ids::new_id::<u128>;
    let identity = AgentIdentity::new("wherry.local", id().into(), id().into(), id().into()).unwrap();
    let request = Request::read(&csr(&new_key())).unwrap();
    authority.issue(&request, &identity, Duration::from_secs(86_400), now).unwrap().chain
}

fn holds(
    authority: &Authority,
    chain: &[rustls::pki_types::CertificateDer<'static>],
    now: u64,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root().clone()).unwrap();
    let provider = wherry_daemon::tls::provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let time = UnixTime::since_unix_epoch(Duration::from_millis(now));
    verifier.verify_client_cert(&chain[0], &chain[1..], time).map(drop)
}

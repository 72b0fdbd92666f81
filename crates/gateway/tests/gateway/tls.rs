//! TLS through the whole gateway: a device is who its certificate or its secret says, and nobody else; noise costs little.
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::RawConfig;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use service::config::Secret;
use service::mqtt::{Acked, Acks, Broker, DisconnectReason, Link, Publisher, PublisherOptions, Version};
use service::testing::Mosquitto;
use service::tls::client_config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::kit::{Frame, Ground, PATIENCE, World, eventually, frame, registry_with, secret, topic};

/// A development CA whose certificates are files, as an operator has them.
struct Ca {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate's file, its key's, and its fingerprint as the registry has it.
struct Issued {
    certificate: PathBuf,
    key: PathBuf,
    sha256: String,
}

impl Ca {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self {
            dir,
            issuer: Issuer::new(params, key),
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// `common_name` may hold a slash, as a device's does; the server's is also an alternative name.
    fn issue(&self, common_name: &str) -> Issued {
        let names = if common_name.contains('/') {
            vec![]
        } else {
            vec![common_name.to_owned()]
        };
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let sha256 = registry::sha256(certificate.der())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let place = |end: &str| self.dir.path().join(format!("{sha256}.{end}"));
        std::fs::write(place("pem"), certificate.pem()).unwrap();
        std::fs::write(place("key"), key.serialize_pem()).unwrap();
        Issued {
            certificate: place("pem"),
            key: place("key"),
            sha256,
        }
    }
}

/// A gateway with one TLS address, from settings as they stand in a file. pen-3 is known by a certificate with its name.
fn world(ca: &Ca, more_devices: &str, change: impl FnOnce(&mut RawConfig)) -> World {
    let server = ca.issue("localhost");
    let mut raw = RawConfig::default();
    raw.endpoint.tls_listen = vec!["127.0.0.1:0".parse().unwrap()];
    raw.endpoint.tls_certificate = Some(server.certificate);
    raw.endpoint.tls_key = Some(server.key);
    raw.endpoint.tls_client_ca = Some(ca.file());
    change(&mut raw);
    let by_name = r#"{ id = "pen-3", clinic = "soho", model = "pen", serial = "P-3", certificate = "by-name" },"#;
    let registry = registry_with(&format!("{by_name}\n{more_devices}"));
    Ground::new().up_with(registry, |config| {
        let resolved = gateway::Config::resolve(&raw).unwrap();
        config.listeners = resolved.listeners;
        config.endpoint = resolved.endpoint;
    })
}

fn options(world: &World, version: Version, ca: &Path, shown: Option<&Issued>) -> PublisherOptions {
    let mut broker = Broker::new("localhost", world.addresses[0].port(), "some-client");
    let identity = shown.map(|shown| (shown.certificate.as_path(), shown.key.as_path()));
    broker.tls = Some(client_config(ca, identity).unwrap());
    let mut options = PublisherOptions::new(broker);
    options.version = version;
    options
}

fn with_secret(mut options: PublisherOptions, device: &str) -> PublisherOptions {
    options.broker.username = Some(format!("acme/{device}"));
    options.broker.password = Some(Secret::new(secret(device)));
    options
}

async fn acked(acks: &mut Acks) -> Acked {
    tokio::time::timeout(PATIENCE, acks.recv()).await.unwrap().unwrap()
}

/// Publishes one frame of `device`; gives what the gateway said.
async fn publish(options: PublisherOptions, device: &'static str, sequence: u64) -> Acked {
    let (publisher, mut acks, _) = Publisher::start(options).unwrap();
    let payload = Frame::new(device, sequence).bytes();
    let topic = topic(device).to_string();
    publisher.publish(&topic, payload, sequence, false).await.unwrap();
    acked(&mut acks).await
}

/// Why the first attempt was not let in.
async fn refused(options: PublisherOptions) -> DisconnectReason {
    let (publisher, _acks, _) = Publisher::start(options).unwrap();
    let mut link = publisher.link();
    let out = |link: &Link| link.is_up() || matches!(link, Link::Disconnected { .. });
    let link = tokio::time::timeout(PATIENCE, link.wait_for(out))
        .await
        .unwrap()
        .unwrap()
        .clone();
    match link {
        Link::Disconnected { reason, .. } => reason,
        other => panic!("let in: {other:?}"),
    }
}

#[tokio::test]
async fn a_puback_over_tls_is_as_good_as_any_for_a_certificate_and_for_a_secret() {
    let ca = Ca::new();
    let world = world(&ca, "", |_| {});
    let certificate = ca.issue("acme/pen-3");
    let mut stored = 0;
    for version in [Version::V311, Version::V5] {
        let by_certificate = options(&world, version, &ca.file(), Some(&certificate));
        let by_secret = with_secret(options(&world, version, &ca.file(), None), "pen-1");
        for (options, device) in [(by_certificate, "pen-3"), (by_secret, "pen-1")] {
            assert!(
                publish(options, device, stored).await.is_accepted(),
                "{device} {version:?}"
            );
            stored += 1;
            assert_eq!(world.stored().len() as u64, stored);
            assert_eq!(world.alarmed().len() as u64, stored);
            assert_eq!(world.stored().last().unwrap().device.as_str(), device);
        }
    }
    world.down().await;
}

#[tokio::test]
async fn a_certificate_speaks_for_its_own_device_whatever_user_name_comes_with_it() {
    let ca = Ca::new();
    let world = world(&ca, "", |_| {});
    let certificate = ca.issue("acme/pen-3");
    let mut claims = options(&world, Version::V5, &ca.file(), Some(&certificate));
    claims.broker.username = Some("acme/pen-1".to_owned());
    assert_eq!(publish(claims, "pen-1", 0).await.reason, Some(0x87));
    // A device that has no certificate of its own is not spoken for by one with its name.
    let named = ca.issue("acme/pen-1");
    let named = options(&world, Version::V5, &ca.file(), Some(&named));
    assert_eq!(refused(named).await, DisconnectReason::Refused);
    assert!(world.stored().is_empty());
    let kept = world.handle.quarantine().ls(&Default::default(), 10).unwrap();
    let kept: Vec<_> = kept.iter().map(|k| (k.share.as_deref(), k.reason.as_str())).collect();
    assert_eq!(kept, [(Some("acme/pen-3"), "not_own_topic")]);
    world.down().await;
}

#[tokio::test]
async fn a_device_with_a_fingerprint_needs_that_certificate_and_not_one_with_its_name() {
    let ca = Ca::new();
    let (own, copy) = (ca.issue("acme/any-name"), ca.issue("acme/pen-4"));
    let device = format!(
        r#"{{ id = "pen-4", clinic = "soho", model = "pen", serial = "P-4", certificate_sha256 = "{}" }},"#,
        own.sha256
    );
    let world = world(&ca, &device, |_| {});
    let own = options(&world, Version::V311, &ca.file(), Some(&own));
    assert!(publish(own, "pen-4", 0).await.is_accepted());
    let copy = options(&world, Version::V311, &ca.file(), Some(&copy));
    assert_eq!(refused(copy).await, DisconnectReason::Refused);
    world.down().await;
}

#[tokio::test]
async fn a_certificate_of_another_ca_opens_nothing_not_even_with_a_secret() {
    let (ca, other) = (Ca::new(), Ca::new());
    let world = world(&ca, "", |_| {});
    let forged = other.issue("acme/pen-3");
    let device = with_secret(options(&world, Version::V311, &ca.file(), Some(&forged)), "pen-1");
    // TLS 1.3 tells a client of it only after its own side is done, so either word may come first.
    let reason = refused(device).await;
    assert_ne!(reason, DisconnectReason::Refused, "it got as far as CONNECT");
    // And a device does not talk to a gateway that its own CA does not vouch for.
    let careful = with_secret(options(&world, Version::V311, &other.file(), None), "pen-1");
    assert_eq!(refused(careful).await, DisconnectReason::Tls);
    assert!(world.stored().is_empty());
    world.down().await;
}

#[tokio::test]
async fn where_certificates_are_required_a_secret_alone_opens_nothing() {
    let ca = Ca::new();
    let world = world(&ca, "", |raw| raw.endpoint.tls_client_required = true);
    let bare = with_secret(options(&world, Version::V311, &ca.file(), None), "pen-1");
    assert_ne!(
        refused(bare).await,
        DisconnectReason::Refused,
        "it got as far as CONNECT"
    );
    let certificate = ca.issue("acme/pen-3");
    let device = options(&world, Version::V311, &ca.file(), Some(&certificate));
    assert!(publish(device, "pen-3", 0).await.is_accepted());
    world.down().await;
}

#[tokio::test]
async fn garbage_on_the_tls_port_is_cut_off_at_once_and_silence_holds_up_neither_devices_nor_the_end() {
    let ca = Ca::new();
    // Neither limit helps here: both are longer than the test waits.
    let world = world(&ca, "", |raw| {
        raw.endpoint.handshake_timeout = Duration::from_secs(3_600);
        raw.endpoint.drain_grace = Duration::from_secs(3_600);
    });
    let address = world.addresses[0];
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    // Garbage, a CONNECT in plain text, and an HTTP request.
    for noise in [
        &[0xff_u8; 4096][..],
        b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(noise).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end too.
        let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "still open after {noise:02x?}");
    }
    let device = with_secret(options(&world, Version::V311, &ca.file(), None), "pen-1");
    assert!(publish(device, "pen-1", 0).await.is_accepted());
    world.down().await;
    drop(silent);
}

#[tokio::test]
async fn devices_behind_a_broker_with_tls_are_read_over_tls() {
    let ca = Ca::new();
    let server = ca.issue("localhost");
    let port = service::testing::free_port();
    let mosquitto = Mosquitto::start_with(&format!(
        "allow_anonymous true\nlistener {port} 127.0.0.1\nmax_inflight_messages 65535\ncertfile {}\nkeyfile {}\n",
        server.certificate.display(),
        server.key.display()
    ));
    let ground = Ground::new();
    let mut raw = RawConfig::default();
    raw.broker.host = Some("localhost".to_owned());
    raw.broker.port = port;
    raw.broker.ca = Some(ca.file());
    let world = ground.up_with(super::kit::registry(), |config| {
        config.broker = gateway::Config::resolve(&raw).unwrap().broker.map(|mut options| {
            options.filters_file = None;
            options
        });
    });
    let mut broker = Broker::new("localhost", port, "devices");
    broker.tls = Some(client_config(&ca.file(), None).unwrap());
    let (publisher, _acks, _) = Publisher::start(PublisherOptions::new(broker)).unwrap();
    // Until the gateway has subscribed, a broker forgets what nobody asked for.
    let mut sent = 0;
    while world.stored().is_empty() && sent < 900 {
        publisher
            .publish(&topic("pen-1").to_string(), frame(sent), sent, false)
            .await
            .unwrap();
        sent += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eventually("a frame over TLS", || !world.stored().is_empty()).await;
    world.down().await;
    drop(mosquitto);
}

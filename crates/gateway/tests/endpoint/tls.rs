//! TLS: a device is known by its certificate, and a silent handshake blocks nobody.

use std::sync::Arc;
use std::time::Duration;

use gateway::endpoint::{EndpointConfig, Verdict};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::*;

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Ca {
    fn new() -> Ca {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(params.self_signed(&key).unwrap().der().clone()).unwrap();
        Ca {
            issuer: Issuer::new(params, key),
            roots: Arc::new(roots),
        }
    }

    fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
    }

    fn server(&self) -> Arc<ServerConfig> {
        let (chain, key) = self.issue("localhost");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }

    fn connector(&self, identity: Option<Identity>) -> TlsConnector {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots));
        let config = match identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        TlsConnector::from(Arc::new(config))
    }
}

async fn client(gateway: &Gateway, connector: &TlsConnector, protocol: Protocol) -> Client {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    Client::over(connector.connect(name, stream).await.unwrap(), protocol)
}

#[tokio::test]
async fn a_device_publishes_over_tls_with_a_password_or_a_certificate() {
    let ca = Ca::new();
    let mut gateway = gateway_with(quick(), 4096, Some(ca.server())).await;
    let with_password = (ca.connector(None), Some(PASSWORD));
    let with_certificate = (ca.connector(Some(ca.issue("pen-1"))), None);
    for (connector, password) in [with_password, with_certificate] {
        for protocol in [V311, V5] {
            let mut pen = client(&gateway, &connector, protocol).await;
            // A password is optional only behind a certificate, which the authenticator saw.
            let connack = pen
                .say(&Hello {
                    password,
                    ..hello(protocol, "pen-1")
                })
                .await;
            assert_eq!(connack.body[1], 0);
            let payload = vec![7; 100_000];
            pen.publish(&topic("pen-1", "telemetry"), 3, &payload).await;
            let inbound = gateway.next().await;
            assert!(inbound.payload == payload);
            inbound.ack.answer(Verdict::Stored);
            assert_eq!(pen.packet().await.unwrap().puback().0, 3);
        }
    }
}

#[tokio::test]
async fn a_silent_tls_handshake_is_given_up_and_blocks_nobody() {
    let ca = Ca::new();
    let config = EndpointConfig {
        handshake_timeout: Duration::from_secs(4),
        ..quick()
    };
    let gateway = gateway_with(config, 16, Some(ca.server())).await;
    let mut silent = Client::raw(&gateway, V311).await;
    let mut plain = Client::raw(&gateway, V311).await;
    plain.send(&hello(V311, "pen-1").bytes()).await;
    let mut pen = client(&gateway, &ca.connector(None), V311).await;
    assert_eq!(pen.say(&hello(V311, "pen-1")).await.body[1], 0);
    assert_eq!(silent.packet().await, None);
    while plain.packet().await.is_some() {}
}

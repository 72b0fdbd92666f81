//! An endpoint on a free port, an intake that answers when the test says so, and a client that
//! writes its bytes by hand, so that the codec does not test itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
pub(crate) use gateway::endpoint::Protocol::{self, V5, V311};
use gateway::endpoint::{
    AuthRejected, Authenticate, Commands, Drained, Endpoint, EndpointConfig, Inbound, Listener, Peer, Presented, Proof,
    Verdict,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) fn topic(device: &str, leaf: &str) -> String {
    format!("dermatel/v1/acme/soho/{device}/{leaf}")
}

/// Lets in every user `pen-…` with the password, and whoever has a certificate.
struct Fleet;

impl Authenticate for Fleet {
    fn authenticate(&self, presented: &Presented<'_>) -> Result<Arc<Peer>, AuthRejected> {
        let certified = presented.client_certificate.is_some();
        let device = match (presented.username, presented.password) {
            (Some("locked"), _) => return Err(AuthRejected::NotAuthorized),
            (Some("busy"), _) => return Err(AuthRejected::Busy),
            (Some(user), Some(password)) if password == PASSWORD.as_bytes() => user,
            (Some(user), None) if certified => user,
            _ => return Err(AuthRejected::BadCredentials),
        };
        Ok(Arc::new(Peer {
            identity: format!("acme/{device}").into(),
            publish_topics: vec![topic(device, "telemetry").into(), topic(device, "status").into()],
            will_topic: Some(topic(device, "status").into()),
            command_topic: topic(device, "command").into(),
            proof: Proof::Nothing,
        }))
    }
}

pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) intake: mpsc::Receiver<Inbound>,
    pub(crate) commands: Commands,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Drained>,
}

/// Limits that let a test see the end of things soon.
pub(crate) fn quick() -> EndpointConfig {
    EndpointConfig {
        refusal_pause: Duration::from_millis(10),
        drain_grace: Duration::from_secs(5),
        ..EndpointConfig::default()
    }
}

pub(crate) async fn gateway(config: EndpointConfig) -> Gateway {
    gateway_with(config, 4096, None).await
}

pub(crate) async fn gateway_with(
    config: EndpointConfig,
    intake_capacity: usize,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> Gateway {
    let (sender, intake) = mpsc::channel(intake_capacity);
    let listener = Listener {
        address: "127.0.0.1:0".parse().unwrap(),
        tls,
    };
    let endpoint = Endpoint::bind(config, vec![listener], Arc::new(Fleet), sender).unwrap();
    let (address, commands) = (endpoint.local_addrs()[0], endpoint.commands());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(endpoint.run(async move { drop(stopped.await) }));
    Gateway {
        address,
        intake,
        commands,
        stop: Some(stop),
        running,
    }
}

impl Gateway {
    pub(crate) async fn next(&mut self) -> Inbound {
        timeout(PATIENCE, self.intake.recv())
            .await
            .expect("nothing came in")
            .expect("intake is open")
    }

    /// From now on every publish is stored at once; returns what came.
    pub(crate) fn store_everything(self) -> (Stored, StopHandle) {
        let Gateway {
            mut intake,
            stop,
            running,
            ..
        } = self;
        let seen = Messages::default();
        let stored = Stored(Arc::clone(&seen));
        tokio::spawn(async move {
            while let Some(inbound) = intake.recv().await {
                seen.lock()
                    .unwrap()
                    .push((inbound.topic.to_string(), inbound.payload.to_vec()));
                inbound.ack.answer(Verdict::Stored);
            }
        });
        (stored, StopHandle { stop, running })
    }

    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn stopped(self) -> Drained {
        timeout(PATIENCE, self.running).await.expect("did not stop").unwrap()
    }
}

/// Topic and payload of what was stored.
type Messages = Arc<std::sync::Mutex<Vec<(String, Vec<u8>)>>>;

#[derive(Clone)]
pub(crate) struct Stored(Messages);

impl Stored {
    pub(crate) fn payloads(&self, of: &str) -> Vec<String> {
        let all = self.0.lock().unwrap();
        let of_topic = all.iter().filter(|(topic, _)| topic == of);
        of_topic
            .map(|(_, payload)| String::from_utf8_lossy(payload).into_owned())
            .collect()
    }
}

/// Keeps the endpoint running while it lives.
pub(crate) struct StopHandle {
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Drained>,
}

impl Drop for StopHandle {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.running.abort();
    }
}

/// Polls until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(PATIENCE, poll).await.is_ok(), "never came true: {what}");
}

/// What CONNECT says.
#[derive(Clone)]
pub(crate) struct Hello<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) client_id: &'a str,
    pub(crate) user: &'a str,
    pub(crate) password: Option<&'a str>,
    pub(crate) keep_alive: u16,
    pub(crate) clean: bool,
    /// Topic, payload, QoS.
    pub(crate) will: Option<(String, &'a [u8], u8)>,
    /// MQTT 5 CONNECT properties, encoded.
    pub(crate) properties: &'a [u8],
}

pub(crate) fn hello(protocol: Protocol, user: &str) -> Hello<'_> {
    Hello {
        protocol,
        client_id: "some-client",
        user,
        password: Some(PASSWORD),
        keep_alive: 60,
        clean: true,
        will: None,
        properties: &[],
    }
}

impl Hello<'_> {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', if self.protocol == V5 { 5 } else { 4 }];
        let mut flags = 0x80 | if self.clean { 2 } else { 0 };
        if self.password.is_some() {
            flags |= 0x40;
        }
        if let Some((_, _, qos)) = &self.will {
            flags |= 0x04 | qos << 3;
        }
        body.push(flags);
        body.put_u16(self.keep_alive);
        if self.protocol == V5 {
            body.push(self.properties.len() as u8);
            body.extend_from_slice(self.properties);
        }
        string(&mut body, self.client_id.as_bytes());
        if let Some((topic, payload, _)) = &self.will {
            if self.protocol == V5 {
                body.push(0);
            }
            string(&mut body, topic.as_bytes());
            string(&mut body, payload);
        }
        string(&mut body, self.user.as_bytes());
        if let Some(password) = self.password {
            string(&mut body, password.as_bytes());
        }
        packet(0x10, &body)
    }
}

pub(crate) fn string(into: &mut Vec<u8>, text: &[u8]) {
    into.put_u16(text.len() as u16);
    into.extend_from_slice(text);
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let byte = (rest % 128) as u8;
        rest /= 128;
        bytes.push(if rest > 0 { byte | 0x80 } else { byte });
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// A QoS 1 publish, or QoS 0 with id 0.
pub(crate) fn publish(protocol: Protocol, topic: &str, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    string(&mut body, topic.as_bytes());
    if id > 0 {
        body.put_u16(id);
    }
    if protocol == V5 {
        body.push(0);
    }
    body.extend_from_slice(payload);
    packet(if id > 0 { 0x32 } else { 0x30 }, &body)
}

pub(crate) fn subscribe(protocol: Protocol, id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_u16(id);
    if protocol == V5 {
        body.push(0);
    }
    for (filter, qos) in filters {
        string(&mut body, filter.as_bytes());
        body.push(*qos);
    }
    packet(0x82, &body)
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A packet as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

impl Came {
    /// Packet id, reason code (0 if left out) and the rest of a PUBACK.
    pub(crate) fn puback(&self) -> (u16, u8, String) {
        assert_eq!(self.first, 0x40, "not a PUBACK: {self:02x?}");
        let mut body = &self.body[..];
        let id = body.get_u16();
        let code = if body.has_remaining() { body.get_u8() } else { 0 };
        (id, code, String::from_utf8_lossy(body).into_owned())
    }
}

pub(crate) struct Client {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    pub(crate) protocol: Protocol,
}

impl Client {
    pub(crate) async fn raw(gateway: &Gateway, protocol: Protocol) -> Client {
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client::over(stream, protocol)
    }

    pub(crate) fn over(stream: impl Stream + 'static, protocol: Protocol) -> Client {
        Client {
            stream: Box::new(stream),
            buffer: BytesMut::new(),
            protocol,
        }
    }

    /// Sends CONNECT; returns the CONNACK's code.
    pub(crate) async fn say(&mut self, hello: &Hello<'_>) -> Came {
        self.send(&hello.bytes()).await;
        let came = self.packet().await.expect("no CONNACK");
        assert_eq!(came.first, 0x20);
        came
    }

    pub(crate) async fn connect_as(gateway: &Gateway, hello: Hello<'_>) -> Client {
        let mut client = Client::raw(gateway, hello.protocol).await;
        let connack = client.say(&hello).await;
        assert_eq!(connack.body[..2], [0, 0], "not let in: {connack:02x?}");
        client
    }

    pub(crate) async fn connect(gateway: &Gateway, protocol: Protocol, device: &str) -> Client {
        Client::connect_as(gateway, hello(protocol, device)).await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .expect("send blocked")
            .unwrap();
    }

    /// Sends as much as goes; false once the connection takes no more.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(PATIENCE, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    pub(crate) async fn publish(&mut self, topic: &str, id: u16, payload: &[u8]) {
        let bytes = publish(self.protocol, topic, id, payload);
        self.send(&bytes).await;
    }

    /// The next packet; `None`: the connection ended.
    pub(crate) async fn packet(&mut self) -> Option<Came> {
        timeout(PATIENCE, self.read_packet())
            .await
            .expect("nothing came within bounds")
    }

    async fn read_packet(&mut self) -> Option<Came> {
        loop {
            if let Some(came) = self.split() {
                return Some(came);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    fn split(&mut self) -> Option<Came> {
        let (mut len, mut at) = (0usize, 1);
        loop {
            let byte = *self.buffer.get(at)?;
            len |= usize::from(byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if self.buffer.len() < at + len {
            return None;
        }
        let packet = self.buffer.split_to(at + len);
        Some(Came {
            first: packet[0],
            body: packet[at..].to_vec(),
        })
    }

    /// Everything said so far has been taken, and nothing else has been answered.
    pub(crate) async fn ping_pong(&mut self) {
        self.send(&[0xc0, 0]).await;
        assert_eq!(
            self.packet().await,
            Some(Came {
                first: 0xd0,
                body: vec![]
            })
        );
    }

    /// The connection ends with this DISCONNECT (MQTT 5), or without a word (3.1.1).
    pub(crate) async fn ends_with(&mut self, code: u8) {
        if self.protocol == V5 {
            let came = self.packet().await.expect("no DISCONNECT");
            assert_eq!((came.first, came.body[0]), (0xe0, code), "{came:02x?}");
        }
        assert_eq!(self.packet().await, None);
    }
}

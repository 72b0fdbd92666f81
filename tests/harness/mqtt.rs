//! A blocking MQTT client of a few lines, for both versions. It knows exactly which PUBACKs it has read, and it can say what
//! no library would: half a packet, garbage, or nothing at all.
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait for one packet.
const PATIENCE: Duration = Duration::from_secs(30);
/// Publishes that [`deliver_all`] has under way.
const WINDOW: usize = 64;
/// Longest that [`deliver_all`] tries.
const DELIVER_WITHIN: Duration = Duration::from_secs(120);

/// MQTT 5 reason: not authorized.
pub const NOT_AUTHORIZED: u8 = 0x87;
/// MQTT 5 reason: quota exceeded.
pub const QUOTA_EXCEEDED: u8 = 0x97;
/// MQTT 5 reason: payload format invalid.
pub const PAYLOAD_FORMAT_INVALID: u8 = 0x99;

/// Protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.
    V5,
}

/// Who connects, and how.
#[derive(Debug, Clone)]
pub struct Login {
    /// Where.
    pub to: SocketAddr,
    /// How.
    pub version: Version,
    /// `tenant/device`.
    pub name: String,
    /// Its secret.
    pub secret: String,
    /// Topic of a last will, with the payload.
    pub will: Option<(String, Vec<u8>)>,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum NotConnected {
    /// This code stood in the CONNACK.
    Refused(u8),
    /// The socket said no, or ended.
    Gone(std::io::Error),
}

/// A connection.
#[derive(Debug)]
pub struct Mqtt {
    stream: TcpStream,
    version: Version,
    next_id: u16,
    read: Vec<u8>,
    /// Reason code of the DISCONNECT that the other side sent, if it did.
    pub disconnected: Option<u8>,
}

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Puback {
    /// Of which publish.
    pub id: u16,
    /// 0 with MQTT 3.1.1.
    pub code: u8,
    /// What else stood in it: the reason string is in there.
    pub rest: Vec<u8>,
}

impl Login {
    /// With a name and its secret, without a will.
    pub fn new(to: SocketAddr, version: Version, name: &str, secret: &str) -> Self {
        Self {
            to,
            version,
            name: name.to_owned(),
            secret: secret.to_owned(),
            will: None,
        }
    }

    /// The CONNECT packet.
    pub fn packet(&self) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, b"MQTT");
        body.push(if self.version == Version::V5 { 5 } else { 4 });
        // Clean start, user name, password, and a will with QoS 1.
        body.push(0b1100_0010 | if self.will.is_some() { 0b0000_1100 } else { 0 });
        body.extend(60_u16.to_be_bytes());
        self.no_properties(&mut body);
        text(&mut body, self.name.replace('/', "-").as_bytes());
        if let Some((topic, payload)) = &self.will {
            self.no_properties(&mut body);
            text(&mut body, topic.as_bytes());
            text(&mut body, payload);
        }
        text(&mut body, self.name.as_bytes());
        text(&mut body, self.secret.as_bytes());
        packet(0x10, &body)
    }

    fn no_properties(&self, body: &mut Vec<u8>) {
        if self.version == Version::V5 {
            body.push(0);
        }
    }
}

impl Mqtt {
    /// Connects and waits for the CONNACK.
    pub fn connect(login: &Login) -> Result<Self, NotConnected> {
        let stream = TcpStream::connect(login.to).map_err(NotConnected::Gone)?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut mqtt = Self {
            stream,
            version: login.version,
            next_id: 0,
            read: Vec::new(),
            disconnected: None,
        };
        mqtt.raw(&login.packet()).map_err(NotConnected::Gone)?;
        let (kind, body) = mqtt.packet().map_err(NotConnected::Gone)?;
        assert_eq!(kind >> 4, 2, "the first answer is a CONNACK");
        match body.get(1) {
            Some(0) => Ok(mqtt),
            Some(code) => Err(NotConnected::Refused(*code)),
            None => panic!("CONNACK without a code: {body:?}"),
        }
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Publishes with QoS 1 and does not wait; gives the packet id.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> std::io::Result<u16> {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        let id = self.next_id;
        let mut body = Vec::with_capacity(payload.len() + topic.len() + 8);
        text(&mut body, topic.as_bytes());
        body.extend(id.to_be_bytes());
        if self.version == Version::V5 {
            body.push(0);
        }
        body.extend(payload);
        self.raw(&packet(0x32, &body))?;
        Ok(id)
    }

    /// The next PUBACK; `None` when the connection ended before one came.
    pub fn puback(&mut self) -> Option<Puback> {
        loop {
            let (kind, body) = self.packet().ok()?;
            match kind >> 4 {
                4 => {
                    let id = u16::from_be_bytes([*body.first()?, *body.get(1)?]);
                    let code = body.get(2).copied().unwrap_or(0);
                    let rest = body.get(3..).unwrap_or_default().to_vec();
                    return Some(Puback { id, code, rest });
                }
                14 => {
                    self.disconnected = Some(body.first().copied().unwrap_or(0));
                    return None;
                }
                _ => {}
            }
        }
    }

    /// Publishes and waits: the PUBACK's code, or `None` when the connection ended instead.
    pub fn put(&mut self, topic: &str, payload: &[u8]) -> Option<u8> {
        let id = self.publish(topic, payload).ok()?;
        let puback = self.puback()?;
        assert_eq!(puback.id, id, "PUBACKs come in order");
        Some(puback.code)
    }

    /// Subscribes with QoS 1: the SUBACK's code.
    pub fn subscribe(&mut self, filter: &str) -> u8 {
        let mut body = vec![0, 9];
        if self.version == Version::V5 {
            body.push(0);
        }
        text(&mut body, filter.as_bytes());
        body.push(1);
        self.raw(&packet(0x82, &body)).unwrap();
        loop {
            let (kind, body) = self.packet().unwrap();
            if kind >> 4 == 9 {
                return *body.last().unwrap();
            }
        }
    }

    /// How long a write may block from now on.
    pub fn write_timeout(&self, most: Duration) {
        self.stream.set_write_timeout(Some(most)).unwrap();
    }

    /// One packet: its first byte and its body.
    fn packet(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        loop {
            if let Some((header, len)) = frame(&self.read) {
                let body = self.read[header..header + len].to_vec();
                let kind = self.read[0];
                self.read.drain(..header + len);
                return Ok((kind, body));
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                n => self.read.extend(&chunk[..n]),
            }
        }
    }
}

/// Delivers every message with QoS 1 as a device does: unacknowledged ones again, over as many connections as it takes, and
/// those with an acknowledgement never. `acked` hears each index once, in the order of the PUBACKs.
pub fn deliver_all(login: &Login, topic: &str, messages: &[Vec<u8>], mut acked: impl FnMut(usize)) {
    let end = Instant::now() + DELIVER_WITHIN;
    let mut left: Vec<usize> = (0..messages.len()).collect();
    while !left.is_empty() {
        assert!(Instant::now() < end, "{} messages never got their PUBACK", left.len());
        let Ok(mut mqtt) = Mqtt::connect(login) else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        let mut done = std::collections::HashSet::new();
        let mut under_way = std::collections::VecDeque::new();
        let mut next = left.iter();
        loop {
            while under_way.len() < WINDOW
                && let Some(index) = next.next()
            {
                match mqtt.publish(topic, &messages[*index]) {
                    Ok(id) => under_way.push_back((id, *index)),
                    Err(_) => break,
                }
            }
            let Some((id, index)) = under_way.pop_front() else {
                break;
            };
            match mqtt.puback() {
                Some(puback) if puback.code < 0x80 => {
                    assert_eq!(puback.id, id, "PUBACKs come in order");
                    done.insert(index);
                    acked(index);
                }
                _ => break,
            }
        }
        left.retain(|index| !done.contains(index));
    }
}

fn text(body: &mut Vec<u8>, text: &[u8]) {
    body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend(text);
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut len = body.len();
    loop {
        let digit = (len % 128) as u8;
        len /= 128;
        packet.push(if len > 0 { digit | 0x80 } else { digit });
        if len == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// Length of header and body of the first packet, if it is whole.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (mut len, mut shift) = (0_usize, 0);
    for (at, byte) in bytes.iter().enumerate().skip(1).take(4) {
        len |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let header = at + 1;
            return (bytes.len() >= header + len).then_some((header, len));
        }
    }
    None
}

//! One connection from accept to end: TLS, CONNECT, takeover, the session, the farewell.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Shared;
use super::ack::AckSlot;
use super::close::CloseReason;
use super::connect::{Connect, Refused, Will, read_connect};
use super::connection::Connection;
use super::directory::Registration;
use super::frame::{self, Head, MAX_CONTROL_PACKET, kind};
use super::inbound::{Inbound, Kind, TopicCheck};
use super::link::Link;
use super::peer::{AuthRejected, Presented};
use super::read_buffer::ReadBuffer;
use super::session::Session;
use super::write;

/// Time for the last bytes of a connection that is being closed.
const FAREWELL: Duration = Duration::from_secs(1);
/// Time and bytes for which a closed connection is still read from, because closing a socket with
/// unread bytes resets it, and the reset would overtake the PUBACKs and the DISCONNECT.
const LINGER: Duration = Duration::from_millis(250);
const LINGER_BYTES: usize = 1024 * 1024;

/// A connection that got past its CONNECT.
struct Greeted {
    session: Session,
    link: Arc<Link>,
    registration: Registration,
    /// The connection that it takes over.
    old: Option<Arc<Link>>,
    out: BytesMut,
}

/// Serves one accepted connection to its end.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    mut stream: TcpStream,
    remote: SocketAddr,
    tls: Option<TlsAcceptor>,
    stop: watch::Receiver<bool>,
) {
    let Some(handshake) = shared.handshakes.try_acquire().ok() else {
        return shared.metrics.closed(CloseReason::TooManyHandshakes);
    };
    let deadline = Instant::now() + shared.config.handshake_timeout;
    // A socket that cannot do this is on its way out; its first read will say so.
    stream.set_nodelay(true).ok();
    let client = Client {
        shared: &shared,
        remote,
        certificate: None,
        deadline,
        stop,
        handshake,
    };
    let reason = match tls {
        None => {
            let (read, write) = stream.split();
            client.converse(read, write).await
        }
        Some(tls) => match client.secure(tls, stream).await {
            Err(reason) => reason,
            Ok((client, stream)) => {
                let (read, write) = tokio::io::split(stream);
                client.converse(read, write).await
            }
        },
    };
    shared.metrics.closed(reason);
    tracing::debug!(%remote, reason = reason.as_str(), "connection closed");
}

struct Client<'a> {
    shared: &'a Arc<Shared>,
    remote: SocketAddr,
    certificate: Option<Vec<u8>>,
    deadline: Instant,
    stop: watch::Receiver<bool>,
    /// Held until the CONNECT is through, or its refusal has been told.
    handshake: tokio::sync::SemaphorePermit<'a>,
}

impl Client<'_> {
    /// The TLS handshake, until the deadline or the end of the process; keeps the certificate that the client showed.
    async fn secure(
        mut self,
        tls: TlsAcceptor,
        stream: TcpStream,
    ) -> Result<(Self, TlsStream<TcpStream>), CloseReason> {
        let accepted = tokio::select! {
            accepted = timeout_at(self.deadline, tls.accept(stream)) => accepted,
            _ = self.stop.changed() => return Err(CloseReason::ServerShuttingDown),
        };
        match accepted {
            Err(_) => Err(CloseReason::HandshakeTimeout),
            Ok(Err(error)) => {
                tracing::debug!(remote = %self.remote, %error, "tls handshake failed");
                Err(CloseReason::Tls)
            }
            Ok(Ok(stream)) => {
                let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                self.certificate = leaf.map(|leaf| leaf.to_vec());
                Ok((self, stream))
            }
        }
    }

    async fn converse<R, W>(mut self, mut read: R, mut write: W) -> CloseReason
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut buffer = ReadBuffer::new();
        let first = tokio::select! {
            first = timeout_at(self.deadline, first_packet(&mut read, &mut buffer)) => first,
            _ = self.stop.changed() => Ok(Err(CloseReason::ServerShuttingDown)),
        };
        let head = match first {
            Ok(Ok(head)) => head,
            Ok(Err(reason)) => return reason,
            Err(_) => return CloseReason::HandshakeTimeout,
        };
        let packet = buffer.split(head);
        let greeted = match read_connect(head, &packet) {
            Ok(connect) => {
                let protocol = connect.protocol;
                self.greet(&connect)
                    .await
                    .map_err(|reason| Refused { protocol, reason })
            }
            Err(refused) => Err(refused),
        };
        drop(packet);
        match greeted {
            Err(refused) => {
                refuse(self.shared, refused, &mut write).await;
                linger(&mut read, &mut write).await;
                refused.reason
            }
            Ok(greeted) => {
                drop(self.handshake);
                live(Arc::clone(self.shared), greeted, read, write, buffer).await
            }
        }
    }

    /// Judges a CONNECT, and ends the connection that it takes over.
    async fn greet(&self, connect: &Connect<'_>) -> Result<Greeted, CloseReason> {
        let greeted = loop {
            // The fleet may change between the judgement and the entry in the directory; then it is judged again.
            if let Some(entered) = self.enter(connect)? {
                break entered;
            }
        };
        if let Some(old) = &greeted.old
            && !old.wait_gone(self.shared.config.takeover_timeout).await
        {
            return Err(CloseReason::TakeoverTimeout);
        }
        self.shared.metrics.accepted.increment(1);
        Ok(greeted)
    }

    fn enter(&self, connect: &Connect<'_>) -> Result<Option<Greeted>, CloseReason> {
        let era = self.shared.directory.era();
        let presented = Presented {
            client_id: connect.client_id,
            username: connect.username,
            password: connect.password,
            client_certificate: self.certificate.as_deref(),
            remote: self.remote,
            protocol: connect.protocol,
        };
        let peer = self
            .shared
            .authenticate
            .authenticate(&presented)
            .map_err(|rejected| match rejected {
                AuthRejected::BadCredentials => CloseReason::BadCredentials,
                AuthRejected::NotAuthorized => CloseReason::NotAuthorized,
                AuthRejected::ClientIdInvalid => CloseReason::ClientIdInvalid,
                AuthRejected::Busy => CloseReason::ServerBusy,
            })?;
        let (session, welcome) = Session::open(connect, peer, &self.shared.config)?;
        let link = Link::new(Arc::clone(&self.shared.budget));
        let Some((registration, old)) = self.shared.directory.register(&session.peer, &link, era)? else {
            return Ok(None);
        };
        let mut out = BytesMut::new();
        write::welcome(connect.protocol, welcome, &mut out);
        Ok(Some(Greeted {
            session,
            link,
            registration,
            old,
            out,
        }))
    }
}

/// Waits for a whole CONNECT; says which, and leaves it at the head of `buffer`.
async fn first_packet<R>(read: &mut R, buffer: &mut ReadBuffer) -> Result<Head, CloseReason>
where
    R: AsyncRead + Unpin,
{
    loop {
        let mut missing = 0;
        if buffer.bytes().first().is_some_and(|first| first >> 4 != kind::CONNECT) {
            return Err(CloseReason::NotConnect);
        }
        if let Some(head) = frame::head(buffer.bytes(), MAX_CONTROL_PACKET)? {
            missing = head.len.saturating_sub(buffer.bytes().len());
            if missing == 0 {
                return Ok(head);
            }
        }
        buffer.expect(missing);
        match read.read_buf(buffer.spare()).await {
            Ok(0) | Err(_) => return Err(CloseReason::ConnectionLost),
            Ok(_) => {}
        }
    }
}

/// Says no, a little late, so that a client that tries for ever costs little.
async fn refuse<W: AsyncWrite + Unpin>(shared: &Shared, refused: Refused, write: &mut W) {
    sleep(shared.jittered_pause()).await;
    let mut out = BytesMut::new();
    write::refuse(refused.protocol, refused.reason, &mut out);
    send_last(write, &mut out).await;
}

async fn live<R, W>(shared: Arc<Shared>, greeted: Greeted, read: R, write: W, buffer: ReadBuffer) -> CloseReason
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Greeted {
        session,
        link,
        registration,
        out,
        old: _,
    } = greeted;
    let connection = Connection::new(Arc::clone(&shared), link, session, (read, write), buffer, out);
    let (reason, mut session, mut read, mut write, mut out) = connection.run().await;
    if !matches!(reason, CloseReason::ConnectionLost | CloseReason::WriteTimeout) {
        write::disconnect(session.protocol, reason, &mut out);
        send_last(&mut write, &mut out).await;
    }
    if let Some(will) = session.due_will(reason) {
        leave_will(&shared, &session, will, reason).await;
    }
    // Only now may a successor be let in: the will of the old comes before anything of the new.
    drop(registration);
    drop(session);
    if reason == CloseReason::QuotaExceeded {
        sleep(shared.jittered_pause()).await;
    }
    linger(&mut read, &mut write).await;
    reason
}

async fn leave_will(shared: &Shared, session: &Session, will: Will, cause: CloseReason) {
    let Some(topic) = session.peer.will_topic.clone() else {
        return;
    };
    let room = timeout(shared.config.will_timeout, shared.intake.reserve()).await;
    let Ok(Ok(room)) = room else {
        shared.metrics.wills_lost.increment(1);
        tracing::warn!(identity = &*session.peer.identity, "intake did not take a will in time");
        return;
    };
    room.send(Inbound {
        peer: Arc::clone(&session.peer),
        topic,
        topic_check: TopicCheck::Own,
        payload: will.payload,
        kind: Kind::Will { cause },
        qos: will.qos,
        retain: will.retain,
        dup: false,
        received_at: SystemTime::now(),
        protocol: session.protocol,
        ack: AckSlot::detached(),
    });
    shared.metrics.wills_sent.increment(1);
}

async fn send_last<W: AsyncWrite + Unpin>(write: &mut W, out: &mut BytesMut) {
    let send = async {
        write.write_all_buf(out).await?;
        write.flush().await
    };
    // A client that does not take its farewell does without.
    timeout(FAREWELL, send).await.ok();
}

/// Ends the stream and lets the client see it before the socket goes.
async fn linger<R, W>(read: &mut R, write: &mut W)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let drain = async {
        write.shutdown().await?;
        let mut scratch = [0; 1024];
        let mut seen = 0;
        while seen < LINGER_BYTES {
            match read.read(&mut scratch).await? {
                0 => break,
                read => seen += read,
            }
        }
        Ok::<(), std::io::Error>(())
    };
    timeout(LINGER, drain).await.ok();
}

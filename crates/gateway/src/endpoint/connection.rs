//! One connection's I/O: a single task that reads, writes, waits for answers, and decides nothing.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::mpsc::{OwnedPermit, Sender};
use tokio::sync::{AcquireError, OwnedSemaphorePermit};
use tokio::time::{Sleep, sleep_until};

use super::Shared;
use super::ack::AckSlot;
use super::budget::Charge;
use super::close::CloseReason;
use super::deadlines::Deadlines;
use super::frame::{self, Head, kind};
use super::inbound::{Inbound, Kind};
use super::link::Link;
use super::peer::Protocol;
use super::read_buffer::ReadBuffer;
use super::session::{Flow, Published, Session};

/// Bytes that wait to be written, at most (and one packet more): above it the connection takes no
/// packets, answers or commands until the client has read.
const MAX_OUT: usize = 64 * 1024;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type IntakePermit = Result<OwnedPermit<Inbound>, SendError<()>>;

/// Why the connection does not read. The futures keep its place in line across other events.
enum Blocked {
    /// Its own window is full.
    Window,
    /// The common budget is lent out.
    Budget {
        bytes: u32,
        turn: Boxed<Result<OwnedSemaphorePermit, AcquireError>>,
    },
    /// The intake is full; the publish that does not fit.
    Intake {
        inbound: Box<Inbound>,
        turn: Boxed<IntakePermit>,
    },
}

enum Event {
    Woken,
    Wrote(io::Result<usize>),
    Read(io::Result<usize>),
    Lent(Result<OwnedSemaphorePermit, AcquireError>),
    Intake(IntakePermit),
    Timer,
}

/// A connection past CONNACK.
pub(crate) struct Connection<R, W> {
    shared: Arc<Shared>,
    link: Arc<Link>,
    session: Session,
    read: R,
    write: W,
    buffer: ReadBuffer,
    out: BytesMut,
    /// Something was written and not flushed yet (TLS keeps bytes of its own).
    unflushed: bool,
    /// Room for the publish at the head of the buffer, which may not be here in full.
    admitted: Option<Charge>,
    blocked: Option<Blocked>,
    draining: bool,
    deadlines: Deadlines,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// `out` holds the CONNACK; `buffer` whatever the client sent behind its CONNECT.
    pub(crate) fn new(
        shared: Arc<Shared>,
        link: Arc<Link>,
        session: Session,
        (read, write): (R, W),
        buffer: ReadBuffer,
        out: BytesMut,
    ) -> Self {
        let deadlines = Deadlines::new(session.idle_limit, &shared.config, Instant::now());
        Connection {
            shared,
            link,
            session,
            read,
            write,
            buffer,
            out,
            unflushed: false,
            admitted: None,
            blocked: None,
            draining: false,
            deadlines,
        }
    }

    /// Runs until there is a reason to close; then hands back the session and the streams.
    pub(crate) async fn run(mut self) -> (CloseReason, Session, R, W, BytesMut) {
        let reason = self.live().await;
        if let Some(charge) = self.admitted.take() {
            self.link.unbook(charge);
        }
        (reason, self.session, self.read, self.write, self.out)
    }

    async fn live(&mut self) -> CloseReason {
        let mut timer = pin!(sleep_until((Instant::now() + self.session.idle_limit).into()));
        loop {
            let now = Instant::now();
            let next = match self.turn(now) {
                Ok(next) => next,
                Err(reason) => return reason,
            };
            // The timer is only ever moved to an earlier time here; a late one is set when it fires.
            if next < timer.deadline().into_std() {
                timer.as_mut().reset(next.into());
            }
            let event = self.wait(timer.as_mut()).await;
            if matches!(event, Event::Timer) {
                timer.as_mut().reset((Instant::now() + self.session.idle_limit).into());
            } else if let Err(reason) = self.took(event) {
                return reason;
            }
        }
    }

    /// Everything that can be done without waiting; says when to look at the clock again.
    fn turn(&mut self, now: Instant) -> Result<Instant, CloseReason> {
        self.obey(now)?;
        self.answer(now)?;
        self.command();
        if matches!(self.blocked, Some(Blocked::Window)) {
            self.blocked = None;
        }
        self.take_packets(now)?;
        if self.draining && self.is_drained() {
            return Err(CloseReason::ServerShuttingDown);
        }
        if !self.reads() {
            self.deadlines.heard(now);
        }
        if self.out.is_empty() && !self.unflushed {
            self.deadlines.written();
        } else {
            self.deadlines.unwritten(now, false);
        }
        self.deadlines.look(now)
    }

    /// Orders from outside: takeover ends at once, shutdown lets what is in flight be answered.
    fn obey(&mut self, now: Instant) -> Result<(), CloseReason> {
        match self.link.ordered_end() {
            None => Ok(()),
            Some(CloseReason::ServerShuttingDown) => {
                self.deadlines.drain(now + self.shared.config.drain_grace);
                if !self.draining {
                    self.draining = true;
                    if !matches!(self.blocked, Some(Blocked::Intake { .. })) {
                        self.blocked = None;
                    }
                }
                Ok(())
            }
            Some(reason) => Err(reason),
        }
    }

    fn is_drained(&self) -> bool {
        self.blocked.is_none() && self.out.is_empty() && !self.unflushed && self.link.unanswered() == 0
    }

    fn reads(&self) -> bool {
        self.blocked.is_none() && !self.draining && !self.deadlines.is_paused() && self.out.len() < MAX_OUT
    }

    /// PUBACKs for what was answered, in order.
    fn answer(&mut self, now: Instant) -> Result<(), CloseReason> {
        if self.out.len() >= MAX_OUT {
            return Ok(());
        }
        let (session, out, metrics) = (&mut self.session, &mut self.out, &self.shared.metrics);
        let mut flow = Ok(Flow::Continue);
        self.link.answered(|waiting, verdict| {
            metrics.acked(&verdict);
            match session.answer(waiting, verdict, out) {
                Ok(Flow::Continue) => {}
                changed => flow = changed,
            }
            flow.is_ok() && out.len() < MAX_OUT
        });
        if flow? == Flow::Pause {
            self.deadlines.pause(now + self.shared.jittered_pause());
        }
        Ok(())
    }

    fn command(&mut self) {
        while self.out.len() < MAX_OUT && self.session.takes_commands() {
            let Some(command) = self.link.pop_command() else { return };
            self.session.command(command, &mut self.out);
        }
    }

    /// Whole packets from the buffer, as long as there is room for what they bring.
    fn take_packets(&mut self, now: Instant) -> Result<(), CloseReason> {
        let received_at = SystemTime::now();
        let max_packet = self.shared.config.max_packet_size as usize;
        let mut missing = 0;
        while self.reads() {
            let Some(head) = frame::head(self.buffer.bytes(), max_packet)? else {
                break;
            };
            if head.kind == kind::PUBLISH && !self.admit(head) {
                break;
            }
            missing = head.len.saturating_sub(self.buffer.bytes().len());
            if missing > 0 {
                break;
            }
            self.deadlines.heard(now);
            self.packet(head, received_at)?;
        }
        if self.reads() && !self.buffer.bytes().is_empty() {
            self.deadlines.partial(now);
        }
        self.buffer.expect(missing);
        Ok(())
    }

    fn packet(&mut self, head: Head, received_at: SystemTime) -> Result<(), CloseReason> {
        let packet = self.buffer.split(head);
        if let Some(published) = self.session.packet(head, packet, &mut self.out)? {
            return self.offer(published, head.len, received_at);
        }
        if self.session.filters_refused > 0 {
            let refused = std::mem::take(&mut self.session.filters_refused);
            self.shared.metrics.subscribes_refused.increment(refused);
        }
        self.link.set_subscribed(self.session.is_subscribed());
        Ok(())
    }

    /// Makes room for the publish at the head of the buffer before its body is waited for.
    fn admit(&mut self, head: Head) -> bool {
        if self.admitted.is_some() {
            return true;
        }
        let config = &self.shared.config;
        let bytes = self.buffer.weight(head).min(config.max_packet_size);
        let window = usize::from(config.max_unacked_messages);
        // A 5 client that overruns its Receive Maximum is to be told, so it may have one more.
        let window = window + usize::from(self.session.protocol == Protocol::V5);
        match self.link.admit(bytes, window, config.max_unacked_bytes) {
            Ok(charge) => self.admitted = Some(charge),
            Err(true) => {
                self.shared.metrics.paused_window.increment(1);
                self.blocked = Some(Blocked::Window);
            }
            Err(false) => {
                self.shared.metrics.paused_budget.increment(1);
                let turn = Box::pin(self.shared.budget.wait(bytes));
                self.blocked = Some(Blocked::Budget { bytes, turn });
            }
        }
        self.admitted.is_some()
    }

    fn offer(&mut self, published: Published, len: usize, received_at: SystemTime) -> Result<(), CloseReason> {
        let charge = self.admitted.take().ok_or(CloseReason::ProtocolError)?;
        self.count(&published, len);
        let sequence = self.link.queue(published.waiting, charge);
        let inbound = Inbound {
            peer: Arc::clone(&self.session.peer),
            topic: published.topic,
            topic_check: published.waiting.topic_check,
            payload: published.payload,
            kind: Kind::Publish,
            qos: published.qos,
            retain: published.retain,
            dup: published.dup,
            received_at,
            protocol: self.session.protocol,
            ack: AckSlot::new(Arc::clone(&self.link), sequence),
        };
        match self.shared.intake.try_send(inbound) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(CloseReason::IntakeLost),
            Err(TrySendError::Full(inbound)) => {
                self.shared.metrics.paused_intake.increment(1);
                let turn = Box::pin(Sender::clone(&self.shared.intake).reserve_owned());
                self.blocked = Some(Blocked::Intake {
                    inbound: Box::new(inbound),
                    turn,
                });
                Ok(())
            }
        }
    }

    fn count(&self, published: &Published, len: usize) {
        let metrics = &self.shared.metrics;
        match self.session.protocol {
            Protocol::V311 => metrics.received_v311.increment(1),
            Protocol::V5 => metrics.received_v5.increment(1),
        }
        metrics.received_bytes.increment(len as u64);
        if published.waiting.topic_check != super::TopicCheck::Own {
            metrics.foreign_topic.increment(1);
        }
    }

    async fn wait(&mut self, timer: Pin<&mut Sleep>) -> Event {
        let reads = self.reads();
        let writes = !self.out.is_empty() || self.unflushed;
        let Connection {
            link,
            read,
            write,
            buffer,
            out,
            blocked,
            ..
        } = self;
        tokio::select! {
            biased;
            () = timer => Event::Timer,
            () = link.woken() => Event::Woken,
            wrote = write_some(write, out), if writes => Event::Wrote(wrote),
            event = unblocked(blocked) => event,
            got = read.read_buf(buffer.spare()), if reads => Event::Read(got),
        }
    }

    fn took(&mut self, event: Event) -> Result<(), CloseReason> {
        match event {
            Event::Timer | Event::Woken => {}
            Event::Wrote(Err(_)) | Event::Read(Err(_) | Ok(0)) => return Err(CloseReason::ConnectionLost),
            Event::Wrote(Ok(written)) => {
                // With nothing left in `out`, the stream has been flushed as well.
                self.unflushed = !self.out.is_empty();
                if written > 0 {
                    self.deadlines.unwritten(Instant::now(), true);
                }
            }
            Event::Read(Ok(read)) => self.buffer.filled(read),
            Event::Lent(permit) => {
                let permit = permit.map_err(|_| CloseReason::ServerShuttingDown)?;
                if let Some(Blocked::Budget { bytes, .. }) = self.blocked.take() {
                    let charge = self.shared.budget.granted(permit, bytes);
                    self.link.book(charge);
                    self.admitted = Some(charge);
                }
            }
            Event::Intake(permit) => {
                let permit = permit.map_err(|_| CloseReason::IntakeLost)?;
                if let Some(Blocked::Intake { mut inbound, .. }) = self.blocked.take() {
                    // It was not received while it waited: what was committed meanwhile came before it.
                    inbound.received_at = SystemTime::now();
                    permit.send(*inbound);
                }
            }
        }
        Ok(())
    }
}

/// Writes what the stream takes, and flushes after the last of it. Safe to be dropped half-way.
async fn write_some<W: AsyncWrite + Unpin>(write: &mut W, out: &mut BytesMut) -> io::Result<usize> {
    let written = if out.is_empty() { 0 } else { write.write_buf(out).await? };
    if out.is_empty() {
        write.flush().await?;
    }
    Ok(written)
}

async fn unblocked(blocked: &mut Option<Blocked>) -> Event {
    match blocked {
        Some(Blocked::Budget { turn, .. }) => Event::Lent(turn.await),
        Some(Blocked::Intake { turn, .. }) => Event::Intake(turn.await),
        Some(Blocked::Window) | None => std::future::pending().await,
    }
}

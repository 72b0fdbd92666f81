//! How an attempt to deliver failed, and what that means: try again, tell somebody, or give up.
use std::error::Error;

/// Longest word of a receiver that is kept, in bytes: for the log, never for a label.
const DETAIL_MAX: usize = 200;

/// How an attempt failed; a bounded label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailReason {
    /// No connection.
    Connect,
    /// The other side is not who it should be, or its certificate is over.
    Certificate,
    /// The connection broke off before an answer came.
    Broken,
    /// No answer in time.
    Timeout,
    /// Too many requests.
    Throttled,
    /// The receiver's fault (5xx, or no HTTP).
    Receiver,
    /// It does not let us in, or is not there (401, 402, 403, 404, 405, 407, 410, or a redirect): somebody has to set it right, and then
    /// the page is still wanted.
    Denied,
    /// The request's fault (other 4xx): trying again is useless.
    Rejected,
    /// A file could not be written.
    File,
    /// Too many attempts.
    GaveUp,
}

impl FailReason {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Connect,
        Self::Certificate,
        Self::Broken,
        Self::Timeout,
        Self::Throttled,
        Self::Receiver,
        Self::Denied,
        Self::Rejected,
        Self::File,
        Self::GaveUp,
    ];

    /// The label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Certificate => "certificate",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
            Self::Throttled => "throttled",
            Self::Receiver => "receiver",
            Self::Denied => "denied",
            Self::Rejected => "rejected",
            Self::File => "file",
            Self::GaveUp => "gave_up",
        }
    }

    /// Whether another attempt cannot help.
    pub(crate) const fn is_permanent(self) -> bool {
        matches!(self, Self::Rejected | Self::GaveUp)
    }

    /// Whether the receiver stays away until a person has done something: nobody should wait for it.
    pub(super) const fn needs_a_person(self) -> bool {
        self.is_permanent() || matches!(self, Self::Denied | Self::Certificate)
    }

    /// Whether the receiver certainly has not taken it.
    pub(super) const fn is_refused(self) -> bool {
        matches!(self, Self::Connect | Self::Certificate | Self::Throttled | Self::Denied)
    }
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(super) reason: FailReason,
    /// What the receiver asked to wait, in seconds.
    pub(super) retry_after_s: Option<u64>,
    /// What was said, cleaned and cut.
    pub(crate) detail: String,
}

impl Failure {
    pub(super) fn new(reason: FailReason, detail: impl AsRef<str>) -> Self {
        Self {
            reason,
            retry_after_s: None,
            detail: service::logging::clean(detail.as_ref(), DETAIL_MAX),
        }
    }

    /// From an error with all that caused it; what a wrong certificate causes is told apart, because it looks like a
    /// connection that fails.
    pub(super) fn of(reason: FailReason, error: &(dyn Error + 'static)) -> Self {
        let detail = chain(error);
        let reason = if says_certificate(&detail) {
            FailReason::Certificate
        } else {
            reason
        };
        Self::new(reason, detail)
    }
}

/// An error and what caused it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let said = inner.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = inner.source();
    }
    text
}

/// rustls's words, of either version that is linked: its error sits in other libraries' errors, which do not hand it out.
fn says_certificate(text: &str) -> bool {
    text.contains("invalid peer certificate") || text.contains("CertificateRequired") || text.contains("UnknownCA")
}

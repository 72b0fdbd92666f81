//! E-mail through SMTP. All mails of an alert name the same parent, so mail programs show them as one conversation; an attempt
//! that is repeated has the same id, so a program that got it twice can tell.
//!
//! Standards: RFC 5321 (replies), RFC 5322 3.6.4 (ids), RFC 3834 (automatic messages), RFC 8314 (TLS).
use std::time::Duration;

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::{Error as SmtpError, extension::ClientId};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::failure::{FailReason, Failure};
use super::{Message, TargetError};
use crate::config::{Email, SmtpTls};

#[derive(Clone)]
pub(crate) struct EmailReceiver {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Mailboxes,
    timeout: Duration,
}

impl EmailReceiver {
    pub(super) fn new(config: &Email) -> Result<Self, TargetError> {
        let address = |text: &str| {
            text.parse::<Mailbox>()
                .map_err(|_| TargetError::Address(text.to_owned()))
        };
        let tls = match config.tls {
            SmtpTls::None => Tls::None,
            SmtpTls::Starttls => Tls::Required(parameters(config)?),
            SmtpTls::Implicit => Tls::Wrapper(parameters(config)?),
        };
        let port = config.port.unwrap_or(match config.tls {
            SmtpTls::None => 25,
            SmtpTls::Starttls => 587,
            SmtpTls::Implicit => 465,
        });
        let from = address(&config.from)?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(port)
            .tls(tls)
            .hello_name(ClientId::Domain(from.email.domain().to_owned()))
            .timeout(Some(config.timeout));
        if let (Some(user), Some(password)) = (&config.username, &config.password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.reveal().to_owned()));
        }
        let to: Result<Vec<_>, _> = config.to.iter().map(|to| address(to)).collect();
        Ok(Self {
            transport: builder.build(),
            from,
            to: to?.into_iter().collect(),
            timeout: config.timeout,
        })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<String, Failure> {
        let mail = self
            .mail(message)
            .map_err(|error| Failure::of(FailReason::Rejected, &error))?;
        // The library's timeout is that of one step.
        match tokio::time::timeout(self.timeout, self.transport.send(mail)).await {
            Ok(Ok(response)) => {
                let said = response.message().collect::<Vec<_>>().join(" ");
                Ok(format!("{} {}", response.code(), service::logging::clean(&said, 100)))
            }
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(Failure::new(
                FailReason::Timeout,
                "the mail server did not answer in time",
            )),
        }
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message, lettre::error::Error> {
        let domain = self.from.email.domain();
        let parent = format!("<{}@{domain}>", message.alert);
        let urgent = message.page["priority"] == "high" && message.page["state"] != "resolved";
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .subject(message.words.title.clone())
            .message_id(Some(format!("<{}@{domain}>", message.key)))
            .header(AutoSubmitted)
            .header(AlertId(message.alert.clone()));
        // A digest is no step of anything.
        if message.page["digest"] != true {
            builder = builder.in_reply_to(parent.clone()).references(parent);
        }
        for to in self.to.clone() {
            builder = builder.to(to);
        }
        if urgent {
            builder = builder.header(Importance);
        }
        builder.singlepart(
            SinglePart::builder()
                .header(ContentType::TEXT_PLAIN)
                .body(message.words.text.clone()),
        )
    }
}

fn parameters(config: &Email) -> Result<TlsParameters, TargetError> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(path) = &config.ca {
        // lettre takes what it is given; what is no CA is found here.
        service::tls::client_config(path, None)?;
        builder = builder.certificate_store(CertificateStore::None);
        for der in service::tls::authorities(path)? {
            builder = builder.add_root_certificate(Certificate::from_der(der).map_err(TargetError::Smtp)?);
        }
    }
    builder.build_rustls().map_err(TargetError::Smtp)
}

/// A reply of 4xx says later, one of 5xx never; but what concerns our login or our right to send is a person's to set right.
fn failure(error: &SmtpError) -> Failure {
    let code = error.status().map(u16::from);
    let reason = match code {
        // Not logged in, wrong login, mailbox or relaying refused, no such user, not allowed for this sender.
        Some(454 | 530 | 534 | 535 | 538 | 550 | 551 | 553 | 556) => FailReason::Denied,
        Some(400..=499) => FailReason::Throttled,
        Some(500..=599) => FailReason::Rejected,
        Some(_) => FailReason::Receiver,
        None if error.is_timeout() => FailReason::Timeout,
        None if error.is_response() => FailReason::Receiver,
        None if says_connect(error) => FailReason::Connect,
        None => FailReason::Broken,
    };
    Failure::of(reason, error)
}

/// The library has no question for it, and names it.
fn says_connect(error: &SmtpError) -> bool {
    error.to_string().to_lowercase().contains("connection error")
}

/// Makes a header with a fixed name.
macro_rules! header {
    ($type:ident, $name:literal, $value:expr) => {
        impl Header for $type {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($name)
            }

            fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Err("it is only written".into())
            }

            fn display(&self) -> HeaderValue {
                let value: fn(&$type) -> String = $value;
                HeaderValue::new(Self::name(), value(self))
            }
        }
    };
}

/// No vacation notice answers a page.
#[derive(Clone)]
struct AutoSubmitted;
header!(AutoSubmitted, "Auto-Submitted", |_| "auto-generated".to_owned());

#[derive(Clone)]
struct Importance;
header!(Importance, "Importance", |_| "high".to_owned());

/// For filters.
#[derive(Clone)]
struct AlertId(String);
header!(AlertId, "Dermatel-Alert-Id", |id| id.0.clone());

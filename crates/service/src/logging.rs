//! Logs: human on a terminal, compact elsewhere, and foreign text made harmless before it is written.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Filter when none is configured.
pub const DEFAULT_FILTER: &str = "info";
/// Longest foreign text in a log field, in bytes.
pub const FIELD_MAX: usize = 256;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter does not parse.
    #[error("log filter '{filter}' does not parse, write for example info,gateway=debug")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What the parser said.
        #[source]
        source: ParseError,
    },
    /// Another subscriber is installed in this process.
    #[error("logging is already set up in this process")]
    Installed(#[source] TryInitError),
}

/// Installs the process's log writer on standard error.
///
/// `filter` is in the syntax of `RUST_LOG` (`info,gateway=debug`); empty means [`DEFAULT_FILTER`].
///
/// # Errors
/// When the filter does not parse or logging is already installed.
pub fn init(filter: &str) -> Result<(), LoggingError> {
    let parsed = parse(filter)?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr)
        // A log line that cannot be written (its disk is full) is lost; telling so on the same stderr would panic.
        .log_internal_errors(false)
        .with_ansi(terminal);
    let installed = if terminal {
        builder.finish().try_init()
    } else {
        builder.compact().finish().try_init()
    };
    installed.map_err(LoggingError::Installed)
}

/// Whether [`init`] would take this filter; installs nothing.
///
/// # Errors
/// When the filter does not parse.
pub fn check(filter: &str) -> Result<(), LoggingError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, LoggingError> {
    let text = if filter.trim().is_empty() {
        DEFAULT_FILTER
    } else {
        filter
    };
    EnvFilter::try_new(text).map_err(|source| LoggingError::Filter {
        filter: clean(text, FIELD_MAX),
        source,
    })
}

/// Foreign text for a log field, a reason or a page: control characters become `\u{fffd}`, and it is cut to `max` bytes at
/// a character boundary, with `…` to show the cut.
pub fn clean(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        let c = if is_harmful(c) { '\u{fffd}' } else { c };
        if out.len() + c.len_utf8() > max {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out
}

/// Foreign bytes for a log field, as [`clean`] does; what is not UTF-8 is replaced.
pub fn clean_bytes(bytes: &[u8], max: usize) -> String {
    // Four times `max` is enough for `max` bytes of output, and bounds the work on a large payload.
    let head = bytes.get(..max.saturating_mul(4)).unwrap_or(bytes);
    clean(&String::from_utf8_lossy(head), max)
}

/// Control characters, and the marks that turn the direction of text: both can fake a log line.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_forged_line_stays_on_one_line() {
        assert_eq!(
            clean("ok\nERROR fake\u{1b}[31m", 64),
            "ok\u{fffd}ERROR fake\u{fffd}[31m"
        );
    }

    #[test]
    fn a_bad_filter_is_refused_by_name() {
        let error = init("gateway=loud=very").unwrap_err();
        assert!(error.to_string().contains("gateway=loud=very"), "{error}");
    }

    proptest! {
        #[test]
        fn cleaned_text_is_bounded_and_has_no_control_characters(bytes: Vec<u8>, max in 0usize..64) {
            let cleaned = clean_bytes(&bytes, max);
            prop_assert!(cleaned.len() <= max + '…'.len_utf8());
            prop_assert!(!cleaned.chars().any(char::is_control));
        }
    }
}

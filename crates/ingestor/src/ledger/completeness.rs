//! What is there of a session, in numbers and in a sentence: "4,212 of 4,212 strokes stored".

use std::fmt;

use telemetry::SessionEndReason;

/// Most missing runs that a summary lists; the count is always whole.
pub const MAX_LISTED: usize = 32;

/// Most missing runs in the sentence: a person reads no more.
const MAX_IN_SENTENCE: usize = 5;

/// Why a session counts as over; a flag, never a barrier: whatever comes later amends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Closed {
    /// The device said so.
    End,
    /// The device went on to another session, or booted again.
    Next,
    /// Nothing was heard of it for a while, by the watermark.
    Quiet,
}

impl Closed {
    /// The name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Next => "next",
            Self::Quiet => "quiet",
        }
    }
}

/// Readings of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// How many the store confirmed.
    pub stored: u64,
    /// How many the device made, if it said so.
    pub total: Option<u64>,
    /// How many are known to be made and are not stored.
    pub missing: u64,
    /// The first runs of them, half-open, at most [`MAX_LISTED`].
    pub missing_runs: Vec<(u64, u64)>,
    /// Greatest ordinal stored.
    pub last_ordinal: Option<u64>,
}

impl Counted {
    /// The missing runs as `118–131, 200`; `None` if nothing is missing.
    pub fn ranges(&self) -> Option<String> {
        (!self.missing_runs.is_empty()).then(|| ranges(&self.missing_runs, self.missing))
    }

    /// Whether there is anything to say.
    fn is_silent(&self) -> bool {
        self.stored == 0 && self.missing == 0 && self.total.unwrap_or(0) == 0
    }

    fn sentence(&self, f: &mut fmt::Formatter<'_>, noun: &str) -> fmt::Result {
        match self.total {
            Some(total) => write!(f, "{} of {} {noun} stored", thousands(self.stored), thousands(total))?,
            None => {
                write!(f, "{} {noun} stored, total unknown", thousands(self.stored))?;
                if let Some(last) = self.last_ordinal {
                    write!(f, ", last ordinal {}", thousands(last))?;
                }
            }
        }
        if self.missing > 0 {
            let shown = self.missing_runs.get(..MAX_IN_SENTENCE).unwrap_or(&self.missing_runs);
            write!(f, ", missing {}", ranges(shown, self.missing))?;
        }
        Ok(())
    }
}

/// What is there of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Completeness {
    /// Strokes.
    pub strokes: Counted,
    /// Pulses.
    pub pulses: Counted,
    /// Stored strokes without a reading.
    pub strokes_unread: u64,
    /// Readings not stored because they were older than the store keeps.
    pub expired: u64,
    /// Readings not stored because the store refused them; they are in quarantine.
    pub refused: u64,
    /// From the first stored reading to the end of the last, in microseconds.
    pub duration_us: Option<u64>,
    /// End of the last stored reading, in milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// Zones of the stored readings: bit n is the zone with the number n on the wire, bit 0 a reading without one.
    pub zones: u32,
    /// Whether the device said when the session started.
    pub start_known: bool,
    /// Whether it is over, and why.
    pub closed: Option<Closed>,
    /// Why the device ended it.
    pub end_reason: Option<SessionEndReason>,
}

impl Completeness {
    /// Whether everything is there; `None` while no total is known.
    pub fn complete(&self) -> Option<bool> {
        if self.strokes.total.is_none() && self.pulses.total.is_none() {
            return None;
        }
        let whole = |c: &Counted| c.missing == 0 && c.total.is_none_or(|total| c.stored == total);
        Some(whole(&self.strokes) && whole(&self.pulses))
    }

    /// Names of the zones, separated by commas.
    pub fn zone_names(&self) -> Option<String> {
        crate::schema::zone_names(self.zones)
    }
}

impl fmt::Display for Completeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strokes = !self.strokes.is_silent();
        let pulses = !self.pulses.is_silent();
        if strokes || !pulses {
            self.strokes.sentence(f, "strokes")?;
        }
        if pulses {
            if strokes {
                f.write_str("; ")?;
            }
            self.pulses.sentence(f, "pulses")?;
        }
        if self.expired > 0 {
            write!(f, "; {} came later than the store keeps", thousands(self.expired))?;
        }
        if self.refused > 0 {
            write!(f, "; {} refused by the store, in quarantine", thousands(self.refused))?;
        }
        Ok(())
    }
}

/// Runs as `118–131, 200`, with `…` when more are missing than the runs hold.
fn ranges(runs: &[(u64, u64)], missing: u64) -> String {
    let mut texts: Vec<String> = runs
        .iter()
        .map(|&(start, end)| match end - start {
            1 => start.to_string(),
            _ => format!("{start}–{}", end - 1),
        })
        .collect();
    if runs.iter().map(|&(start, end)| end - start).sum::<u64>() < missing {
        texts.push("…".to_owned());
    }
    texts.join(", ")
}

/// A number with a comma every three digits.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(stored: u64, total: Option<u64>, runs: &[(u64, u64)]) -> Counted {
        let missing = runs.iter().map(|&(s, e)| e - s).sum();
        Counted {
            stored,
            total,
            missing,
            missing_runs: runs.to_vec(),
            last_ordinal: Some(4_211),
        }
    }

    #[test]
    fn a_session_reads_as_a_person_would_say_it() {
        let mut session = Completeness {
            strokes: counted(4_212, Some(4_212), &[]),
            ..Completeness::default()
        };
        assert_eq!(session.to_string(), "4,212 of 4,212 strokes stored");
        assert_eq!(session.complete(), Some(true));

        session.strokes = counted(4_197, Some(4_212), &[(118, 132), (200, 201)]);
        assert_eq!(
            session.to_string(),
            "4,197 of 4,212 strokes stored, missing 118–131, 200"
        );
        assert_eq!(session.complete(), Some(false));

        session.strokes = counted(4_212, None, &[]);
        assert_eq!(
            session.to_string(),
            "4,212 strokes stored, total unknown, last ordinal 4,211"
        );
        assert_eq!(session.complete(), None);

        session.pulses = counted(31, Some(31), &[]);
        session.refused = 2;
        assert_eq!(
            session.to_string(),
            "4,212 strokes stored, total unknown, last ordinal 4,211; 31 of 31 pulses stored; \
             2 refused by the store, in quarantine"
        );
    }

    #[test]
    fn more_holes_than_are_listed_end_in_an_ellipsis() {
        let runs: Vec<(u64, u64)> = (0..7).map(|n| (n * 10, n * 10 + 1)).collect();
        let session = Completeness {
            strokes: counted(93, Some(100), &runs),
            ..Completeness::default()
        };
        assert_eq!(
            session.to_string(),
            "93 of 100 strokes stored, missing 0, 10, 20, 30, 40, …"
        );
    }
}

//! A fence between instances that judge the same shards: at most one of them may page, and it knows when it may not any more.
//!
//! A lease on one topic of the broker. All that is needed of the broker is that every subscriber of that topic gets what was published
//! there in one and the same order. Each instance hears its own words too:
//!
//! - Whoever heard nothing for a term **claims** the fence. Whoever hears the claim of another has it no more, or claims it no more: of
//!   several, the one that the broker had last is left. If the claim comes back within half a term, it holds one term after it was said.
//! - The holder says a **beat** every eighth of the term. For half a term after it said one it may page, if it heard that one come back:
//!   then nobody had claimed the fence before it.
//!
//! Why two never page at once: let B's claim, said at c, come back by c + term/2. Every beat of A that the broker had after it comes back to A
//! after the claim did, and extends nothing. So A's last one was said before c + term/2, and A may page until c + term at the longest, when B
//! begins. Clocks need only run equally fast. A process that is started again and finds its own name on the last claim waits half a term only:
//! that process has ended, and whoever was before it had said nothing later than our claim. Pure; time is given.
mod line;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use line::{CONDITION, run};
use telemetry::proto;

/// Beats of which the time is remembered: a term's worth and more.
const BEATS_MAX: usize = 64;

/// One instance's side of the fence.
#[derive(Debug)]
pub struct Fence {
    instance: String,
    /// Drawn at every start: a process before ours was somebody else.
    run: u64,
    term: Duration,
    /// The highest epoch that was heard of.
    epoch: u64,
    /// Who claimed last, of those that were heard.
    claimed: Option<String>,
    /// When something of anybody's was heard, or we began to listen.
    heard: Instant,
    part: Part,
}

#[derive(Debug)]
enum Part {
    Standby,
    /// Claims or holds.
    Beats(Beats),
    /// Held and lost it: pages of this process may be under way, so it does not begin again.
    Lost,
}

#[derive(Debug)]
struct Beats {
    epoch: u64,
    said_first: Instant,
    /// The claim came back in time.
    held: bool,
    /// From when on it may page.
    from: Instant,
    count: u64,
    said: VecDeque<(u64, Instant)>,
    last: Instant,
    /// Until when.
    until: Option<Instant>,
}

impl Fence {
    /// Begins to listen. `term`: how long nothing is heard of a holder before another takes over.
    pub fn new(instance: String, run: u64, term: Duration, now: Instant) -> Self {
        Self {
            instance,
            run,
            term,
            epoch: 0,
            claimed: None,
            heard: now,
            part: Part::Standby,
        }
    }

    /// From when until when this instance may page, as far as is known; none: it may not.
    pub fn may_page(&self) -> Option<(Instant, Instant)> {
        match &self.part {
            Part::Beats(beats) if beats.held => beats.until.map(|until| (beats.from, until)),
            _ => None,
        }
    }

    /// Whether it held the fence, and another instance has it now or may have.
    pub fn is_lost(&self) -> bool {
        matches!(self.part, Part::Lost)
    }

    /// Who claimed last, and the highest epoch that was heard of: it grows with each claim.
    pub fn holder(&self) -> Option<(&str, u64)> {
        self.claimed.as_deref().map(|instance| (instance, self.epoch))
    }

    /// Gives what is to be said now, if anything; to be asked every eighth of the term or more often.
    pub fn tick(&mut self, now: Instant) -> Option<proto::FenceBeat> {
        match &self.part {
            Part::Lost => return None,
            // A claim that came back too late, or not at all, proves nothing: another one has to.
            Part::Beats(beats) if !beats.held && now.duration_since(beats.said_first) > self.term / 2 => {
                (self.part, self.heard) = (Part::Standby, now);
                return None;
            }
            Part::Beats(beats) if now.duration_since(beats.last) < self.term / 8 => return None,
            Part::Beats(_) => {}
            Part::Standby if self.was_ours() || now.duration_since(self.heard) >= self.term => {
                // Never twice the same, or a claim that was given up and comes back later would be taken for the next.
                self.epoch += 1;
                self.part = Part::Beats(Beats::new(self.epoch, now, self.term));
            }
            Part::Standby => return None,
        }
        let Part::Beats(beats) = &mut self.part else {
            return None;
        };
        let count = beats.say(now);
        Some(proto::FenceBeat {
            instance: self.instance.clone(),
            run: self.run,
            epoch: beats.epoch,
            count,
        })
    }

    fn was_ours(&self) -> bool {
        self.claimed.as_ref() == Some(&self.instance)
    }

    /// Something came on the topic: anybody's, our own among it.
    pub fn hear(&mut self, beat: &proto::FenceBeat, now: Instant) {
        let ours = beat.run == self.run && beat.instance == self.instance;
        self.heard = now;
        self.epoch = self.epoch.max(beat.epoch);
        let inherited = self.was_ours();
        let claim = is_claim(beat);
        if claim {
            self.claimed = Some(beat.instance.clone());
        }
        match &mut self.part {
            Part::Beats(beats) if ours && beats.epoch == beat.epoch => {
                if claim {
                    beats.won(inherited, self.term, now);
                }
                beats.came_back(beat.count, self.term);
            }
            Part::Beats(beats) if claim => self.part = if beats.held { Part::Lost } else { Part::Standby },
            _ => {}
        }
    }

    /// The broker has forgotten our subscription: a claim may have been missed.
    pub fn forgotten(&mut self, now: Instant) {
        self.heard = now;
        self.claimed = None;
        if let Part::Beats(beats) = &self.part {
            self.part = if beats.held { Part::Lost } else { Part::Standby };
        }
    }
}

/// Whether it claims the fence: the broker retains those, so that whoever comes later knows whose it is.
pub fn is_claim(beat: &proto::FenceBeat) -> bool {
    beat.count == 1
}

impl Beats {
    fn new(epoch: u64, now: Instant, term: Duration) -> Self {
        Self {
            epoch,
            said_first: now,
            held: false,
            from: now + term,
            count: 0,
            said: VecDeque::new(),
            last: now,
            until: None,
        }
    }

    fn say(&mut self, now: Instant) -> u64 {
        self.last = now;
        self.count += 1;
        if self.said.len() >= BEATS_MAX {
            self.said.pop_front();
        }
        self.said.push_back((self.count, now));
        self.count
    }

    /// The claim came back. `inherited`: the claim before it was that of our own process, which has ended.
    fn won(&mut self, inherited: bool, term: Duration, now: Instant) {
        self.held |= now.duration_since(self.said_first) <= term / 2;
        if inherited {
            self.from = self.said_first + term / 2;
        }
    }

    fn came_back(&mut self, count: u64, term: Duration) {
        let said = self.said.iter().find(|(number, _)| *number == count);
        if let Some((_, at)) = said {
            let until = *at + term / 2;
            self.until = Some(self.until.map_or(until, |before| before.max(until)));
        }
    }
}

#[cfg(test)]
mod tests;

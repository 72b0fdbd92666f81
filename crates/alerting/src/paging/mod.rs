//! From a step of an alert to people: a second pure machine, `(state, input) -> (state', pages)`.
//!
//! The [`Plan`] says who is told when; a [`Course`] is how far the telling of one alert is; the [`Planner`] moves courses by
//! transitions, commands and ticks of the input log, and by nothing else, so that a restart changes nothing. An alert that
//! needs a person always has a step that was or will be told, or a hold with an end.
pub mod course;
pub mod effect;
pub mod labels;
pub mod next;
pub mod plan;
mod planner;
pub mod silence;
mod who;

pub use self::who::{Told, parse_time, show_time, who};
pub use course::{Course, Hold, Stage};
pub use effect::{Changes, Effect, PageOut};
pub use labels::{Labels, Matcher};
pub use plan::Plan;
pub use planner::{Alerts, Event, Planner, preview};
pub use silence::{Preview, Silence, SilenceError, SilencePolicy};

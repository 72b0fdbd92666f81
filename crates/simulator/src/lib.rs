//! Fleets that do not exist, with faults and their ground truth: for the demonstration, tests, backtests and load.
//!
//! The same seed and [`FleetSpec`] give the same bytes. [`Fleet::frames`] is everything without MQTT; [`Simulator`] runs one
//! MQTT client per device; [`load`] saturates an endpoint with pre-encoded batches.
//!
//! # What is modelled, and how sure it is
//!
//! | what | model | sureness |
//! |---|---|---|
//! | stroke rate | 100 to 150 Hz set by the operator, or a fixed 117 Hz | cleared pens (K180778; De Novo DEN160029) |
//! | factory offset | constant per pen, normal with 50 µm, within ±150 µm | the tolerance: K180778; the spread is assumed |
//! | noise | first-order autoregressive, sigma 30 or 40 µm, lag-1 0.6 | assumed: no public figure |
//! | needles on the skin | passes of 2 to 6 s, about half of the time | assumed (volume estimate) |
//! | depth by zone | [`treatment`]: within three sellers' charts | weak: retail |
//! | staff | dials so that offset and 6.5 sigma stay below the limit; one cartridge a visit; wipes between visits | assumed |
//! | pulses | 2 x 2.5 ms, 10 ms apart, 4.0 to 9.9 J/cm² by skin type | published studies for types I to IV, V assumed |
//! | energy | within ±5 % of what is set; 10 % less at the end of a lamp's life | assumed: no curve was found |
//! | hygiene | wipe per visit, load every few hours at 134 °C, weekly biological indicator | CDC 2008 (weekly); times assumed |
//!
//! Deliberately absent: no code of the services. The simulator speaks to them over the wire, as devices do.

mod behaviour;
mod device;
mod fault;
mod fleet;
mod live;
pub mod load;
mod noise;
mod registry_files;
mod rng;
mod run;
mod scenario;
mod spec;
mod stream;
pub mod treatment;
mod uplink;
mod visit;

pub use behaviour::{Noise, Staff};
pub use device::Who;
pub use fault::{FaultKind, FaultSpec, SelectionError, Truth};
pub use fleet::{AUTOCLAVE_MODEL, DEFAULT_START, Device, Fleet, IPL_MODEL, PEN_ADJUSTABLE, PEN_FIXED, STATION_MODEL};
pub use live::{Live, LiveCounts, TRUTHS_MAX};
pub use noise::{LAG_1_AUTOCORRELATION, SCALE_TOLERANCE_UM};
pub use registry_files::Credential;
pub use run::{Pace, Report, Simulator, Target};
pub use scenario::{DEMO, EVERY_FAULT, Scenario, ScenarioError};
pub use spec::{DEVICES_MAX, FleetSpec, Span};
pub use stream::Frames;
pub use uplink::TimedFrame;

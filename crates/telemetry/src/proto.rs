//! The generated types of `proto/dermatel/v1`. Only [`crate::decode`] and tests read them; the rest of the workspace
//! speaks the types of this crate.
#![allow(missing_docs, clippy::all, unreachable_pub)]

include!(concat!(env!("OUT_DIR"), "/dermatel.v1.rs"));

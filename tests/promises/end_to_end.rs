//! A device that shares no code with us, the real binary, real stores: a treatment goes in, points and pages come out.
mod endpoint;
mod treatment;

//! Gateway, ingestor and alerting as processes apart: the same points and pages as one process, whatever dies in between.
mod ack_up_to;
mod cluster;
mod console;
mod crashes;
mod newcomer;
mod one_broker;
mod parked;
mod registry;
mod replay;
mod standby;
mod trust;

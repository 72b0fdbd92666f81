//! Gateway, ingestor and alerting as processes apart: the same points and pages as one process, whatever dies in between.
mod cluster;
mod crashes;
mod one_broker;
mod standby;
mod trust;

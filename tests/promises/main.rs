//! The promises of the README, a module each. Every test runs the real binary, real files and real peers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod a_backup_can_be_gone_on_from;
mod a_hazard_reaches_a_person;
mod a_plan_tells_the_next_person;
mod a_silence_hides_what_it_says;
mod a_silent_watcher_is_an_alarm;
mod a_tenant_sees_its_own_only;
mod an_upgrade_keeps_everything;
mod beyond_one_machine;
mod end_to_end;
mod every_reading_is_accounted_for;
mod influx_is_set_up_and_doctored;
mod memory_is_bounded;
mod no_dashboard_shows_nothing;
mod no_direct_identifiers;
mod offline_is_not_resolved;
mod one_bad_message_costs_one_message;
mod one_tenants_trouble_is_its_own;
mod operations;
mod puback_means_on_disk;
mod the_api_is_described;
mod the_bench;
mod the_command_line_shows_the_console;
mod the_console;
mod the_console_in_a_browser;
mod the_console_shows_what_is_stored;
mod the_deployment;
mod the_documentation;
mod the_registry_changes_while_it_runs;
mod the_runbook;
mod the_shipped_broker;
mod tidy;
mod two_instances_page_once;
mod what_others_wrote_is_text;

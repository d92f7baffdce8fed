//! What a Kafka broker does, as a list of cases. Each is a function of a bootstrap address and runs twice: against the
//! embedded broker, and against Apache Kafka if `SANDBAR_TEST_KAFKA` names one. If the two differ, Kafka is
//! right. A few have brokers of their own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "this is a test binary: what is not as promised ends the case"
)]

mod client;
mod wire;
mod topics;
mod configs;
mod records;
mod times;
mod idempotence;
mod groups;
mod static_members;
mod offsets;
mod transactional_wire;
mod transactions;
mod fencing;
mod pending_offsets;
mod survival;
mod transactions_survive;
mod clients;

use sandbar::broker::{Broker, BrokerSettings};
use std::time::{Duration, Instant};

/// Longer than any case takes. What waits in a case has a limit of its own, `client::LIMIT`; but some calls of
/// librdkafka have none: a commit that waits for its answer, positions sent to a transaction, the end of a client.
const CASE_LIMIT: Duration = Duration::from_secs(300);

/// Runs a case against a fresh embedded broker.
fn on_embedded(case: fn(&str)) {
    within_limit(move || {
        let broker = Broker::start(BrokerSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: None,
        })
        .unwrap();
        case(&broker.address().to_string());
    });
}

/// Runs a case against Apache Kafka, or says loudly that it did not.
fn on_kafka(case: fn(&str)) {
    match std::env::var("SANDBAR_TEST_KAFKA") {
        Ok(bootstrap) => within_limit(move || case(&bootstrap)),
        Err(_) => eprintln!("NOT RUN: no Apache Kafka, SANDBAR_TEST_KAFKA is not set"),
    }
}

/// Runs a case to its end, or fails with its name; the thread of one that does not end is left to the end of the
/// process.
fn within_limit(case: impl FnOnce() + Send + 'static) {
    let start = Instant::now();
    let name = std::thread::current().name().unwrap_or("case").to_owned();
    let thread = std::thread::Builder::new().name(name).spawn(case).unwrap();
    while !thread.is_finished() {
        assert!(
            start.elapsed() < CASE_LIMIT,
            "the case did not end within {CASE_LIMIT:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Whether a case is at an Apache Kafka of before version 4, which does otherwise in a few places; the embedded broker
/// does as Kafka 4 does.
fn is_before_kafka_4(bootstrap: &str) -> bool {
    std::env::var("SANDBAR_TEST_KAFKA").is_ok_and(|kafka| kafka == bootstrap)
        && sandbar_tests::kafka::version().starts_with("3.")
}

/// Cases that end and start brokers of their own: Apache Kafka is not ours to kill here.
macro_rules! cases_with_own_brokers {
    ($($file:ident: $($case:ident),+;)+) => {
        mod own { $(mod $file { $(#[test] fn $case() { crate::within_limit(crate::$file::$case); })+ })+ }
    };
}

macro_rules! cases {
    ($($file:ident: $($case:ident),+;)+) => {
        mod embedded { $(mod $file { $(#[test] fn $case() { crate::on_embedded(crate::$file::$case); })+ })+ }
        mod kafka { $(mod $file { $(#[test] fn $case() { crate::on_kafka(crate::$file::$case); })+ })+ }
    };
}

cases! {
    topics: a_topic_is_created_grown_and_deleted, what_cannot_be_created_is_refused,
        an_unknown_topic_is_an_error_and_is_not_created;
    configs: a_topic_tells_its_settings, a_limit_on_bytes_counts_from_when_it_is_set,
        a_time_outside_the_limits_is_refused, what_is_not_named_stays,
        what_is_not_named_to_the_elder_request_goes_back, what_cannot_be_set_is_refused_by_name,
        only_what_is_asked_for_is_told, the_broker_tells_of_itself;
    clients: kafka_python_works, kafkajs_works, kafkas_own_tools_work;
    records: records_come_back_as_they_went_in, every_codec_comes_back, a_reader_starts_in_the_middle_of_a_batch,
        a_waiting_reader_hears_of_a_new_record_at_once, deleted_records_are_out_of_range;
    times: a_time_finds_the_first_record_not_older, a_time_is_exact_inside_every_codec, an_empty_partition_has_no_times,
        a_time_before_the_deleted_records_finds_the_beginning;
    idempotence: an_idempotent_producer_writes_each_record_once, a_repeated_batch_gets_its_old_offset,
        a_gap_is_out_of_order, an_old_epoch_is_refused, a_damaged_batch_is_refused;
    groups: two_members_share_and_take_over, a_lost_member_is_replaced_after_its_session;
    static_members: a_static_member_comes_back_without_a_rebalance;
    offsets: a_commit_comes_back_byte_for_byte, a_stranger_cannot_commit_for_a_live_group,
        a_stranger_commits_for_an_idle_group, a_deleted_group_has_no_offsets;
    transactions: a_commit_is_seen_at_once_and_nothing_before, an_abort_is_never_seen,
        a_transaction_of_many_batches_is_whole, interleaved_transactions_have_their_aborted_list,
        a_marker_has_these_bytes, the_stable_end_is_not_the_end,
        a_time_finds_no_record_that_is_not_decided, an_empty_transaction_is_one,
        what_does_not_belong_to_the_transaction_is_refused, a_transaction_counts_its_batches, a_timeout_has_limits;
    fencing: a_second_producer_fences_the_first, a_producer_without_a_transaction_is_fenced_too,
        a_fenced_client_is_told_so, a_producer_gets_its_own_next_epoch, a_timeout_aborts_and_frees_the_readers;
    pending_offsets: positions_come_with_the_commit_byte_for_byte, the_leader_epoch_comes_with_it,
        who_wants_stable_positions_waits, the_later_commit_counts, a_zombie_commits_nothing,
        who_says_nothing_of_a_member_is_believed,
        positions_need_a_group_in_the_transaction, a_deleted_group_takes_its_pending_positions_along;
}

cases_with_own_brokers! {
    configs: what_the_embedded_broker_cannot_do_is_refused_by_name, settings_survive_a_kill;
    survival: a_kill_in_the_middle_of_produce_loses_nothing_acknowledged,
        everything_acknowledged_is_there_after_a_kill, a_group_goes_on_after_a_kill,
        a_torn_log_is_read_to_the_last_whole_batch, a_folder_in_use_is_refused,
        what_is_not_kafka_ends_its_connection_and_nothing_else, a_million_records_in_and_out;
    transactions_survive: every_step_of_a_commit_can_be_the_last, every_step_of_an_abort_can_be_the_last,
        an_open_transaction_outlives_a_kill, a_time_out_outlives_a_kill,
        killed_at_any_moment_every_transaction_is_whole, a_deleted_topic_holds_no_transaction_up;
}

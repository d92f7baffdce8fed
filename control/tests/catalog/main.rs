//! The catalog by its public face, in SQLite and on a PostgreSQL server of its own.
//!
//! Always: a case says the same of both databases, each in an empty one of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails loudly, and says what it skips"
)]

mod place;
mod server;
mod cases;

/// Every case by name, once as a test with SQLite and once within the test with PostgreSQL, whose server is slow to
/// start.
macro_rules! on_both {
    ($($room:ident: $($case:ident)*;)*) => {
        $($(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                cases::$room::$case(&place::Place::sqlite()).await;
            }
        )*)*

        #[tokio::test(flavor = "multi_thread")]
        async fn all_of_it_on_postgresql() {
            let Some(server) = server::Server::start().await else { return };
            $($(
                eprintln!("on PostgreSQL: {}", stringify!($case));
                cases::$room::$case(&server.place(stringify!($case)).await).await;
            )*)*
        }
    };
}

on_both! {
    tenants:
        tenants_are_made_once_and_listed_by_name
        a_tenant_with_pipelines_stays
        what_goes_with_a_tenant;
    tokens:
        a_token_is_known_until_it_is_revoked
        a_token_is_known_until_it_expires
        the_platform_and_tenants_have_their_own_tokens
        no_secret_is_kept_or_shown;
    plugins:
        plugins_are_noted_once_and_listed_by_digest;
    pipelines:
        versions_and_revisions_grow
        the_same_again_is_no_change
        a_revision_that_was_not_expected_is_refused
        a_revision_never_comes_twice
        the_same_name_in_two_tenants
        plugins_of_others_are_refused
        hostile_texts_come_back_as_they_were
        what_cannot_be_kept_is_refused
        no_apply_of_many_at_once_is_lost
        one_of_many_with_the_same_expectation_wins;
    secrets:
        secrets_are_kept_and_opened_for_their_tenant
        no_text_of_a_secret_is_in_the_database
        a_row_in_the_place_of_another_does_not_open
        another_key_is_told_and_nothing_is_lost
        of_many_first_keys_one_is_the_key
        a_tenant_has_so_many_secrets_at_most;
    means:
        all_that_a_tenant_has_is_one_answer
        a_cluster_is_its_tenants_own_and_goes_with_it
        means_that_cannot_be_are_refused
        no_tenant_has_more_pipelines_than_its_quota
        the_newest_versions_are_kept
        no_tenant_has_more_plugins_than_its_quota;
    signing:
        a_signature_counts_as_long_as_its_key_is_there
        keys_and_signatures_go_with_their_tenant;
    usage:
        what_was_used_is_summed_up_by_the_hour
        figures_that_cannot_be_break_no_report
        nothing_that_many_add_at_once_is_lost;
    upgrades:
        an_upgrade_is_kept_as_it_goes_on
        a_phase_is_written_by_one
        an_upgrade_is_taken_back_once_and_noted
        the_newest_word_ends_an_upgrade
        what_is_still_to_begin_is_not_upgraded;
    audit:
        the_audit_log_has_no_gap
        the_audit_log_takes_every_text;
    opening:
        all_is_there_after_a_restart
        many_open_at_once
        a_newer_schema_is_refused_by_name
        a_catalog_of_a_step_before_is_brought_up_to_date
        what_others_wrote_wrongly_is_named;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_of_another_process_is_waited_for() {
    cases::opening::a_writer_of_another_process_is_waited_for(&place::Place::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_for_one_user_alone() {
    cases::opening::the_file_is_for_one_user_alone(&place::Place::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_opened_is_named() {
    cases::opening::what_cannot_be_opened_is_named().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_is_found_again() {
    let Some(server) = server::Server::start().await else {
        return;
    };
    cases::opening::a_server_that_comes_back_is_found_again(server).await;
}

"""The faults, and the tests that cover them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

TESTS = Path(__file__).parents[1]
ROWS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "killed at any instant": {
        "crash/test_crash.py": (
            "test_a_process_killed_at_any_statement_leaves_the_data_as_before_or_after_the_poll",
            "test_a_process_killed_while_it_waits_for_the_endpoint_leaves_a_run_that_the_next_poll_marks_as_abandoned",
            "test_a_process_killed_at_a_random_time_leaves_the_data_as_before_or_after_the_poll",
        ),
        "service/test_run.py": ("test_two_daemons_share_the_polls_and_one_takes_over_when_the_other_is_killed",),
    },
    "SIGTERM in a fetch or a transaction": {
        "service/test_run.py": (
            "test_a_poll_in_progress_is_finished_before_the_daemon_stops",
            "test_a_hanging_or_refused_account_delays_no_other_and_refused_ones_are_polled_less_often",
        ),
        "faults/test_process.py": (
            "test_sigterm_in_a_transaction_commits_within_the_timeout_or_rolls_back_and_exits_with_0",
        ),
    },
    "stopped for a minute and resumed while another replica polls": {
        "crash/test_crash.py": ("test_a_process_frozen_until_another_has_committed_is_superseded",),
        "faults/test_process.py": (
            "test_a_replica_resumed_after_another_has_polled_is_superseded_and_continues_polling",
        ),
    },
    "database gone or restarted": {
        "service/test_run.py": ("test_it_waits_for_the_database_and_recovers_after_every_outage",),
        "service/test_sync.py": ("test_with_the_database_down_the_poll_fails_with_1_and_sends_no_request",),
        "integration/test_concurrency.py": (
            "test_a_backend_terminated_during_the_transaction_fails_the_poll_and_leaves_the_data_untouched",
            "test_a_commit_whose_acknowledgement_is_lost_is_reported_as_committed",
        ),
    },
    "database read-only or failed over": {
        "faults/test_database.py": (
            "test_a_read_only_database_is_reported_once_and_polls_continue_when_it_accepts_writes",
            "test_after_a_failover_to_a_standby_it_waits_until_that_is_promoted_and_then_continues",
        ),
    },
    "socket black-holed": {
        "service/test_run.py": (
            "test_a_database_that_accepts_connections_without_answering_does_not_block_the_shutdown",
        ),
        "integration/test_engine.py": ("test_pools_whose_network_drops_all_packets_are_disposed_of_without_waiting",),
        "faults/test_database.py": (
            "test_a_network_that_drops_all_packets_is_reported_once_and_polls_continue_when_it_recovers",
            "test_a_network_that_drops_all_packets_delays_neither_a_stop_nor_new_connections",
            "test_a_connection_that_breaks_in_a_transaction_fails_the_poll_and_the_next_poll_applies_the_changes",
        ),
    },
    "a newer or older schema than ours": {
        "service/test_run.py": ("test_with_a_missing_or_newer_schema_it_polls_nothing_and_says_what_to_do",),
        "faults/test_database.py": ("test_with_an_older_schema_it_claims_no_account_and_names_the_command_to_run",),
    },
    "endpoint 401, 403": {
        "service/test_run.py": (
            "test_a_hanging_or_refused_account_delays_no_other_and_refused_ones_are_polled_less_often",
        ),
    },
    "429, 503 with Retry-After": {
        "integration/test_endpoint_client.py": ("test_the_retry_waits_for_retry_after",),
        "faults/test_endpoint.py": ("test_a_retry_after_within_the_poll_interval_is_obeyed_and_a_longer_one_is_not",),
    },
    "redirect, HTML with 200, half a body, slow drip, gzip bomb": {
        "faults/test_endpoint.py": (
            "test_every_invalid_response_fails_the_poll_with_its_error_kind_and_memory_stays_bounded",
        ),
        "unit/test_json_array.py": ("test_more_than_ten_thousand_tiny_elements_are_refused_before_they_take_memory",),
    },
    "a list of names 401, 403, 404, 429, 500, half, an object, HTML, empty, hanging, cut off, huge": {
        "integration/test_name_reader.py": (
            "test_a_list_that_fails_leaves_the_names_and_says_why",
            "test_an_id_that_is_not_listed_keeps_its_name_and_a_list_without_any_ends_nothing",
        ),
        "integration/test_name_schedule.py": (
            "test_no_poll_depends_on_a_list_that_fails",
            "test_large_lists_that_drip_take_no_slot_and_no_connection_of_large_polls",
        ),
    },
    "a password, a login or an e-mail address in a list of names": {
        "unit/test_names.py": ("test_nothing_but_the_stored_fields_gets_out_of_any_json",),
        "service/test_names.py": (
            "test_no_secret_of_the_lists_is_stored_logged_or_shown",
            "test_no_password_of_the_lists_stays_in_the_memory_of_the_daemon",
        ),
    },
    "killed while a list of names is read": {
        "crash/test_names_killed.py": (
            "test_a_killed_process_leaves_the_names_as_before_or_after_the_list",
            "test_a_process_killed_while_it_waits_for_a_list_leaves_a_lease_that_ends",
        ),
    },
    "simultaneous migrations": {
        "service/test_migrate.py": ("test_six_simultaneous_migrations_and_another_one_all_succeed",),
    },
    "the disk is full": {
        "faults/test_disk.py": (
            "test_on_a_full_disk_the_poll_fails_and_writes_nothing_and_polls_succeed_again_when_there_is_space",
        ),
    },
}


@pytest.mark.parametrize("row", ROWS)
def test_every_fault_has_existing_tests(row: str) -> None:
    for file, names in ROWS[row].items():
        parsed = ast.parse((TESTS / file).read_text())
        found = {node.name for node in parsed.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert found >= {*names}

"""Every key of the conf file does something: a table names the proof of each, and what no other file proves is tested here.

A new key needs one line in PROOFS: the test that sets it and sees what it changes. READ: only that the program reads it.
Long, because the table and the proofs that stand nowhere else are read together, key by key.
"""
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import threading
import time

import pytest

from fake_model import FakeModel, delta, usage_chunk
from harness import ROOT, SLOW, Client, Gateway, error_of, events_of, form_of, free_port, run, until

READ = None  # nothing is seen from outside, or not in a test's time; it is read outside gateway/config all the same

PROOFS = {
    "server.name": "test_reload.py::test_log_format_and_name_and_access_change_by_a_reload",
    "server.workers": "test_reload.py::test_what_is_read_at_start_alone_is_named_wherever_one_looks",
    "server.state_dir": "test_check.py::test_a_state_folder_that_cannot_be_made",
    "server.grace": "test_lifecycle.py::test_contract_40_what_outlasts_the_grace_ends_in_an_error",
    "server.core_dumps": "test_conf_keys.py::test_core_dumps_are_off_unless_the_conf_allows_them",
    "listener.address": "test_lifecycle.py::test_each_listener_has_the_cors_of_its_own",
    "listener.transport": "test_reload.py::test_a_changed_listener_has_its_new_settings",
    "listener.plain_anywhere": "test_conf_keys.py::test_plain_beyond_loopback_is_for_those_who_say_so",
    "listener.tunnels": "test_conf_keys.py::test_agents_are_let_in_by_listeners_that_take_tunnels",
    "listener.proxy_protocol": "test_conf_keys.py::test_a_proxy_header_is_believed_from_the_networks_of_the_conf",
    "listener.trust_forwarded_for": "test_lifecycle.py::test_a_forwarded_address_is_believed_from_trusted_networks_only",
    "listener.cors_origins": "test_lifecycle.py::test_each_listener_has_the_cors_of_its_own",
    "listener.cors_max_age": "test_lifecycle.py::test_each_listener_has_the_cors_of_its_own",
    "tls.certificate": "test_check.py::test_an_expired_certificate",
    "tls.key": "test_check.py::test_a_key_of_another_certificate",
    "tls.min_version": "test_conf_keys.py::test_tls_12_is_spoken_where_min_version_says_so",
    "tls.cipher_suites": "test_privacy.py::test_the_conf_orders_the_cipher_suites",
    "tls.groups": READ,
    "tls.handshakes": READ,
    "tls.handshake_queue": READ,
    "tls.tickets": "test_conf_keys.py::test_tickets_are_given_for_as_long_as_the_conf_says",
    "tls.ticket_lifetime": "test_conf_keys.py::test_tickets_are_given_for_as_long_as_the_conf_says",
    "tls.handshake_time": "test_conf_keys.py::test_who_says_nothing_is_cut_after",
    "http.head_limit": "test_conf_keys.py::test_a_head_beyond_head_limit_is_refused",
    "http.body_limit": "test_lifecycle.py::test_reload_applies_a_conf_without_dropping_a_connection_or_rejects_it_whole",
    "http.buffered_limit": "test_calls.py::test_bodies_beyond_the_global_cap_are_503_with_retry_after",
    "http.read_ahead": READ,
    "http.head_time": "test_attacks.py::test_whoever_sends_a_head_byte_by_byte_is_cut_off_in_time",
    "http.idle_time": "test_conf_keys.py::test_who_says_nothing_is_cut_after",
    "http.body_gap": "test_conf_keys.py::test_who_says_nothing_is_cut_after",
    "http.write_gap": "test_conf_keys.py::test_a_client_that_takes_nothing_is_gone_after_write_gap",
    "http.max_connections": "test_conf_keys.py::test_connections_beyond_max_connections_are_not_taken",
    "stream.first_ping": "test_streams.py::test_contract_02_a_silent_stream_lives_on_pings_between_events",
    "stream.ping_interval": "test_streams.py::test_contract_02_a_silent_stream_lives_on_pings_between_events",
    "stream.event_limit": "test_conf_keys.py::test_an_event_beyond_event_limit_breaks_the_stream",
    "route.hold": "test_lifecycle.py::test_known_models_are_held_for_and_refused_with_503_never_404",
    "route.queue": "test_routing.py::test_a_full_queue_is_refused_at_once",
    "route.queue_per_user": "test_queue.py::test_calls_of_one_user_beyond_its_bound_are_429_and_others_may_wait",
    "route.queue_passed_over": "test_queue.py::test_the_conf_says_whose_calls_go_first",
    "route.queue_memory": READ,
    "route.queue_time": "test_routing.py::test_a_call_waits_for_a_slot_as_long_as_the_queue_time_and_no_longer",
    "route.connect_attempts": "test_conf_keys.py::test_as_many_upstreams_are_tried_as_the_conf_says",
    "route.forward_headers": "test_forwarding.py::test_the_conf_says_which_headers_pass",
    "route.scoped_headers": "test_forwarding.py::test_the_conf_says_which_headers_pass",
    "route.models_per_source": "test_many_models.py::test_models_beyond_the_bound_of_one_server_are_ignored_with_one_line",
    "route.learned_models": "test_many_models.py::test_a_name_that_is_listed_no_more_is_unknown_and_its_place_is_free",
    "route.forget_models": READ,
    "route.refused_members": "test_odd_upstreams.py::test_contract_45_what_was_refused_is_tried_again_after_a_while",
    "route.answer_limit": "test_routing.py::test_an_answer_beyond_the_limit_is_refused_before_its_head",
    "route.retry_unsafe": "test_places.py::test_what_may_have_generated_is_sent_again_where_the_conf_lists_it_and_each_attempt_is_charged",
    "breaker.enabled": "test_places.py::test_a_breaker_that_is_off_ejects_nobody",
    "breaker.failures": "test_places.py::test_half_the_calls_failing_ejects_a_server",
    "breaker.rate_percent": READ,
    "breaker.rate_calls": READ,
    "breaker.window": READ,
    "breaker.slow_head": "test_places.py::test_a_slow_head_of_a_stream_ejects_and_that_of_a_whole_answer_does_not",
    "breaker.eject_time": "test_places.py::test_a_server_that_is_well_again_is_tried_by_one_call_and_then_gets_its_share",
    "breaker.max_eject_time": "test_places.py::test_while_it_stays_sick_one_call_a_time_tries_it_and_each_time_later",
    "breaker.max_hold_off": READ,
    "tunnel.tunnels_per_agent": "test_reload.py::test_changed_options_of_tunnels_replace_the_tunnels_and_calls_go_on",
    "tunnel.ping_interval": "test_conf_keys.py::test_an_agent_that_answers_no_pings_is_given_up",
    "tunnel.missed_pings": "test_conf_keys.py::test_an_agent_that_answers_no_pings_is_given_up",
    "tunnel.connection_window": READ,
    "tunnel.stream_window": "test_lifecycle.py::test_a_list_of_models_longer_than_any_window_is_read_to_its_end",
    "tunnel.max_streams": READ,
    "tunnel.control_frames": READ,
    "tunnel.max_agent_slots": "test_bindings.py::test_slots_that_an_agent_claims_are_clamped",
    "tunnel.agent_slots": READ,
    "tunnel.head_time": "test_bounds.py::test_each_place_has_the_bounds_of_its_own",
    "tunnel.stream_gap": "test_bounds.py::test_each_place_has_the_bounds_of_its_own",
    "tunnel.first_token_time": "test_bounds.py::test_each_place_has_the_bounds_of_its_own",
    "tunnel.total_time": "test_bounds.py::test_each_place_has_the_bounds_of_its_own",
    "tunnel.reconnect_cap": "test_bounds.py::test_an_agent_obeys_the_gateways_reconnect_cap",
    "pairing.key_lifetime": "test_conf_keys.py::test_a_pairing_key_is_good_for_its_lifetime",
    "pairing.certificate_lifetime": "test_conf_keys.py::test_an_agents_certificate_is_good_for_its_lifetime",
    "ledger.slice": "test_conf_keys.py::test_a_call_reserves_a_slice_at_a_time",
    "ledger.default_max_output": "test_limits.py::test_a_model_without_an_entry_has_the_output_cap_that_the_conf_gives",
    "ledger.time_zone": "test_check.py::test_a_folder_that_is_no_time_zone",
    "ledger.drain_aborted": "test_ends.py::test_an_aborted_call_is_read_to_its_usage_where_the_conf_says_so",
    "ledger.drain_time": "test_ends.py::test_an_aborted_call_is_read_to_its_usage_where_the_conf_says_so",
    "ledger.max_claim": "test_usage.py::test_contract_41_where_nothing_bounds_a_claim_the_conf_does",
    "ledger.warn_percent": "test_conf_keys.py::test_a_budget_warns_at_its_percent",
    "journal.enabled": "test_start_errors.py::test_another_gateway_on_the_same_state_folder",
    "journal.dir": "test_conf_keys.py::test_the_journal_is_where_and_as_the_conf_says",
    "journal.sync": READ,
    "journal.segment": "test_conf_keys.py::test_the_journal_is_where_and_as_the_conf_says",
    "journal.on_full": "test_full_disk.py::test_on_a_full_disk_the_conf_may_let_calls_go_on_unjournalled",
    "journal.sink_interval": "test_conf_keys.py::test_records_reach_the_store_each_sink_interval",
    "journal.sink_batch": READ,
    "store.kind": "test_start_errors.py::test_a_store_that_this_version_does_not_have",
    "store.path": "test_start_errors.py::test_a_store_of_another_program",
    "store.backup_time": READ,
    "store.url": "test_start_errors.py::test_a_store_that_this_version_does_not_have",
    "responses.keep": "test_stored_responses.py::test_responses_are_kept_as_long_and_as_many_as_the_conf_says",
    "responses.most_per_user": "test_stored_responses.py::test_responses_are_kept_as_long_and_as_many_as_the_conf_says",
    "responses.look_up_time": READ,
    "responses.poll_interval": "test_background.py::test_the_gaps_between_questions_grow_up_to_the_longest",
    "responses.longest_poll_interval": "test_background.py::test_the_gaps_between_questions_grow_up_to_the_longest",
    "responses.poll_time": READ,
    "responses.polls_at_once": READ,
    "responses.background_life": "test_background.py::test_one_that_never_ends_is_ended_and_charged_what_it_held",
    "responses.most_in_background": "test_background.py::test_as_many_run_as_the_conf_says",
    "admin.socket": "test_start_errors.py::test_an_admin_socket_whose_folder_is_missing",
    "admin.metrics": "test_reload.py::test_the_metrics_endpoint_moves",
    "audit.label_headers": "test_conf_keys.py::test_labels_are_kept_as_many_as_the_conf_says",
    "audit.label_members": "test_labels.py::test_members_of_the_dialect_are_labels_where_the_conf_says_so",
    "audit.max_labels": "test_conf_keys.py::test_labels_are_kept_as_many_as_the_conf_says",
    "audit.keep": READ,
    "log.level": "test_log.py::test_debug_shows_connections_tunnels_retries_and_refusals",
    "log.format": "test_log.py::test_a_json_log_is_an_object_a_line",
    "log.access": "test_log.py::test_the_access_log_has_one_line_a_call_with_ids_and_numbers_only",
    "log.access_rate": "test_log.py::test_access_lines_beyond_the_rate_are_counted",
    "policies.order": "test_conf_keys.py::test_a_policy_that_the_order_leaves_out_does_not_decide",
    "policies.stored_prompts": "test_stored_state.py::test_a_stored_prompt_is_for_the_tenants_that_the_conf_names",
    "share.tenant": "test_queue.py::test_the_conf_says_whose_calls_go_first",
    "share.user": "test_queue.py::test_the_conf_says_whose_calls_go_first",
    "share.key": "test_queue.py::test_a_key_has_a_share_of_its_own",
    "share.weight": "test_queue.py::test_a_key_has_a_share_of_its_own",
    "share.priority": "test_queue.py::test_the_conf_says_whose_calls_go_first",
    "prices.file": "test_prices.py::test_models_of_a_price_file_cost_what_it_says",
    "secrets.master_key": "test_secrets.py::test_a_new_master_key_seals_everything_anew",
    "secrets.old_master_key": "test_secrets.py::test_a_new_master_key_seals_everything_anew",
    "upstream.name": "test_reload.py::test_more_or_fewer_slots_of_an_upstream_hold_at_once",
    "upstream.kind": "test_providers.py::test_azure_has_the_deployment_in_the_path",
    "upstream.credential": "test_providers.py::test_the_key_is_shown_as_the_kind_or_the_conf_has_it",
    "upstream.api_version": "test_providers.py::test_azure_has_the_deployment_in_the_path",
    "upstream.dialects": "test_providers.py::test_a_server_that_lacks_a_dialect_is_not_called_in_it",
    "upstream.lacks": "test_providers.py::test_a_server_that_lacks_an_endpoint_is_called_at_another",
    "upstream.files": "test_files.py::test_where_no_model_server_keeps_files_a_client_is_told",
    "upstream.url": "test_reload.py::test_more_or_fewer_slots_of_an_upstream_hold_at_once",
    "upstream.api_key": "test_conf_keys.py::test_an_upstream_is_called_as_the_conf_says",
    "upstream.models": "test_conf_keys.py::test_an_upstream_is_called_as_the_conf_says",
    "upstream.slots": "test_reload.py::test_more_or_fewer_slots_of_an_upstream_hold_at_once",
    "upstream.usage_in_stream": "test_conf_keys.py::test_an_upstream_is_called_as_the_conf_says",
    "upstream.cost_file": "test_prices.py::test_a_cost_file_goes_by_the_upstreams_names_and_a_model_that_it_lacks_is_not_known",
    "upstream.cost_percent": "test_prices.py::test_what_an_upstream_takes_stands_beside_what_is_charged",
    "upstream.ca_file": "test_check.py::test_a_ca_file_that_holds_no_ca",
    "upstream.proxy": "test_upstream_proxy.py::test_an_upstream_is_called_through_the_proxy_of_its_conf",
    "upstream.connect_time": "test_upstream_proxy.py::test_a_silent_proxy_takes_connect_time",
    "upstream.resolve_interval": READ,
    "upstream.cap_member": "test_odd_upstreams.py::test_contract_45_the_members_that_are_added_can_be_set",
    "upstream.head_time": "test_bounds.py::test_each_place_has_the_bounds_of_its_own",
    "upstream.stream_gap": "test_bounds.py::test_each_place_has_the_bounds_of_its_own",
    "upstream.first_token_time": "test_bounds.py::test_each_place_has_the_bounds_of_its_own",
    "upstream.total_time": "test_bounds.py::test_each_place_has_the_bounds_of_its_own",
    "upstream.health_path": "test_routes.py::test_a_server_whose_health_path_is_not_well_is_not_called",
    "upstream.tags": "test_routes.py::test_the_routes_of_the_readme_are_good_as_written",
    "routes.model": "test_routes.py::test_places_are_asked_in_their_order_and_tags_name_several",
    "routes.tenants": "test_routes.py::test_a_tenant_has_a_route_of_its_own",
    "routes.places": "test_routes.py::test_places_are_asked_in_their_order_and_tags_name_several",
    "routes.alias": "test_routes.py::test_an_alias_is_listed_called_and_charged_as_what_it_stands_for",
    "routes.fallback": "test_routes.py::test_routes_are_shown_and_explained",
    "upstream.idle_time": "test_conf_keys.py::test_an_idle_connection_to_an_upstream_is_kept_for_idle_time",
    "upstream.pool": "test_conf_keys.py::test_an_idle_connection_to_an_upstream_is_kept_for_idle_time",
    "upstream.health_interval": "test_conf_keys.py::test_an_upstream_is_asked_for_its_models_each_health_interval",
    "model.name": "test_conf_keys.py::test_a_model_is_called_and_limited_as_the_conf_says",
    "model.upstream_name": "test_conf_keys.py::test_a_model_is_called_and_limited_as_the_conf_says",
    "model.head_time": "test_routes.py::test_times_of_a_model_go_before_those_of_its_place",
    "model.first_token_time": READ,
    "model.stream_gap": READ,
    "model.total_time": READ,
    "model.max_output": "test_conf_keys.py::test_a_model_is_called_and_limited_as_the_conf_says",
    "model.price_prompt": "test_conf_keys.py::test_each_price_counts_for_its_tokens",
    "model.price_cached": "test_conf_keys.py::test_each_price_counts_for_its_tokens",
    "model.price_cache_write": "test_conf_keys.py::test_each_price_counts_for_its_tokens",
    "model.price_cache_write_1h": "test_prices.py::test_a_cache_that_is_kept_for_an_hour_has_a_price_of_its_own",
    "model.price_long_above": "test_prices.py::test_a_long_prompt_costs_what_its_prices_say_of_it",
    "model.price_long_prompt": "test_prices.py::test_a_long_prompt_costs_what_its_prices_say_of_it",
    "model.price_long_cached": "test_prices.py::test_a_long_prompt_costs_what_its_prices_say_of_it",
    "model.price_long_cache_write": "test_prices.py::test_a_long_prompt_costs_what_its_prices_say_of_it",
    "model.price_long_cache_write_1h": "test_prices.py::test_a_long_prompt_costs_what_its_prices_say_of_it",
    "model.price_long_completion": "test_prices.py::test_a_long_prompt_costs_what_its_prices_say_of_it",
    "model.price_long_reasoning": "test_prices.py::test_a_long_prompt_costs_what_its_prices_say_of_it",
    "model.price_batch_percent": READ,  # nothing calls in batches yet
    "model.price_audio_input": "test_conf_keys.py::test_each_price_counts_for_its_tokens",
    "model.price_audio_output": "test_conf_keys.py::test_each_price_counts_for_its_tokens",
    "model.price_images": "test_conf_keys.py::test_the_price_of_images_counts_those_that_were_made",
    "model.price_seconds": "test_conf_keys.py::test_the_price_of_what_is_heard_counts_its_seconds",
    "model.price_characters": "test_conf_keys.py::test_the_price_of_what_is_spoken_counts_its_characters",
    "model.price_searches": "test_conf_keys.py::test_each_price_counts_for_its_tokens",
    "model.price_completion": "test_conf_keys.py::test_each_price_counts_for_its_tokens",
    "model.price_reasoning": "test_conf_keys.py::test_each_price_counts_for_its_tokens",
    "model.rpm": "test_conf_keys.py::test_a_limit_of_a_model_holds_for_all_callers",
    "model.tpm": "test_conf_keys.py::test_a_limit_of_a_model_holds_for_all_callers",
    "model.concurrency": "test_conf_keys.py::test_a_limit_of_a_model_holds_for_all_callers",
    "model.budgets": "test_conf_keys.py::test_a_limit_of_a_model_holds_for_all_callers",
    "model.user_budgets": "test_conf_keys.py::test_a_limit_of_a_model_holds_for_all_callers",
}


# --- the table

def schema():
    """{"table.key": the field that it fills, "limits.requests_per_minute"}"""
    fields = {}
    table = None
    text = (ROOT / "gateway/config/schema.cc").read_text().split("void describe(Settings")[0]
    for word in re.finditer(r'void describe_(\w+)\(|\bk(?:\.at_start\(\))?\.\w+\(\s*(?:s\.[\w.]+,\s*)*"(\w+)",\s*s\.([\w.]+)', text):
        if word[1]:
            table = word[1]
        else:
            fields[f"{table}.{word[2]}"] = word[3]
    return fields


def keys_of_the_reference():
    keys, table = [], None
    for line in (ROOT / "conf/sluice.toml").read_text().splitlines():
        if header := re.match(r"#?\[\[?(\w+)\]", line):
            table = header[1]
        elif key := re.match(r"#?(\w+) = ", line):
            keys.append(f"{table}.{key[1]}")
    return keys


def test_every_key_has_a_line_in_the_table_and_every_line_a_key():
    assert sorted(PROOFS) == sorted(keys_of_the_reference())
    assert sorted(PROOFS) == sorted(schema())


def test_every_proof_is_a_test_that_sets_its_key():
    for key, proof in PROOFS.items():
        if proof is READ:
            continue
        file, name = proof.split("::")
        text = (pathlib.Path(__file__).parent / file).read_text()
        part = re.search(rf"(?:^@.*\n(?:^[ \])}}].*\n)*)*^def {name}\(.*\n(?:(?:[ \])}}].*)?\n)*", text, re.MULTILINE)
        assert part, f"{key}: no test {proof}"
        assert re.search(rf"\b{key.split('.')[1]}\b", part[0].replace("\\n", "\n")), f"{proof} does not mention {key}"


def test_every_key_is_read_outside_the_conf_reader():
    sources = [p for p in [*(ROOT / "gateway").rglob("*.cc"), *(ROOT / "gateway").rglob("*.h"), *(ROOT / "plugins").rglob("*.cc")]
               if "config" not in p.relative_to(ROOT).parts]
    code = "\n".join(re.sub(r"//.*", "", p.read_text()) for p in sources)
    settings = (ROOT / "gateway/config/settings.h").read_text()
    # "journal_dir": the accessors that give a key its default, and what they read.
    accessors = {name: body for name, body in re.findall(r"(\w+)\(\) const \{\s*return ([^}]*)\}", settings)}
    # What a conf may say at all, not what is served: the reader's own judge reads these.
    judged = {"prices.file", "upstream.cost_file", "upstream.proxy", "listener.plain_anywhere", "store.kind", "store.url"}
    judges = ["check.cc", "check_upstreams.cc", "price_files.cc"]
    judge = "".join((ROOT / "gateway/config" / name).read_text() for name in judges)
    for key, field in schema().items():
        table = {"routes": "rule"}.get(key.split(".")[0], key.split(".")[0])
        read = f"{table}.{field.split('.')[0]}"
        ways = [read] + [name + "()" for name, body in accessors.items() if read in body]
        found = any(re.search(rf"\b{re.escape(way)}(?!\w)", judge if key in judged else code) for way in ways)
        assert found, f"nothing reads {key}"


# --- the gateway itself

@pytest.fixture
def gateway_of(fake):
    """gateway_of(conf="", upstream=[lines], **options): with the fake model as its upstream."""
    made = []

    def make(conf="", upstream=(), **options):
        gateway = Gateway(conf, upstreams=[("fake", fake.url, *upstream)], **options)
        made.append(gateway)
        gateway.ready_key = gateway.key()
        return gateway

    yield make
    for gateway in made:
        gateway.close()


@pytest.fixture
def stopped():
    gateway = Gateway(start=False)
    yield gateway
    gateway.close()


@pytest.mark.parametrize("server, limit", [("", "0"), ("core_dumps = true", None)])
def test_core_dumps_are_off_unless_the_conf_allows_them(gateway_of, server, limit):
    gateway = gateway_of(server=server)
    soft = re.search(r"Max core file size\s+(\S+)", pathlib.Path(f"/proc/{gateway.process.pid}/limits").read_text())[1]
    if limit is None:
        own = re.search(r"Max core file size\s+\S+\s+(\S+)", pathlib.Path("/proc/self/limits").read_text())[1]
        limit = own if own == "0" else soft
        assert own == "0" or soft != "0"
    assert soft == limit


def test_plain_beyond_loopback_is_for_those_who_say_so(stopped):
    plain = f'[[listener]]\naddress = "0.0.0.0:{free_port()}"\ntransport = "plain"\n'
    stopped.write_conf(plain)
    refused = run("check", "--config", stopped.config, check=False)
    assert refused.returncode == 1 and "plain_anywhere" in refused.stderr
    stopped.write_conf(plain + "plain_anywhere = true\n")
    assert run("check", "--config", stopped.config, check=False).returncode == 0


def test_agents_are_let_in_by_listeners_that_take_tunnels(make_gateway):
    gateway = make_gateway(via="agent")
    state = lambda: json.loads(gateway.cli("agent", "list", "--json").stdout)[0]["state"]
    until(lambda: state() == "connected", what="the agent is let in")
    gateway.stop()
    gateway.config.write_text(gateway.config.read_text().replace("[tls]", "tunnels = false\n[tls]"))
    gateway.start()
    until(lambda: "takes no agents (tunnels = false)" in gateway.agents[0].process.log, what="the agent is turned away")
    until(lambda: "an agent dials a listener that takes no agents" in gateway.process.log, what="the gateway's log says why")
    assert state() == "away"


def test_an_agent_that_answers_no_pings_is_given_up(make_gateway):
    gateway = make_gateway('[tunnel]\nping_interval = "200ms"\nmissed_pings = 3\n', via="agent")
    agent = gateway.agents[0].process
    os.kill(agent.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        until(lambda: json.loads(gateway.cli("agent", "list", "--json").stdout)[0]["state"] == "away", what="given up")
        assert time.monotonic() - began < 8 * SLOW, "the default is 15 s"
    finally:
        os.kill(agent.pid, signal.SIGCONT)


def test_a_proxy_header_is_believed_from_the_networks_of_the_conf(gateway_of):
    gateway = gateway_of(listener='proxy_protocol = ["127.0.0.0/8"]')
    plain = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
    plain.sendall(b"PROXY TCP4 203.0.113.7 127.0.0.1 1000 443\r\n")
    context = ssl.create_default_context(cafile=gateway.ca)
    with context.wrap_socket(plain, server_hostname="localhost") as client:
        body = json.dumps({"model": "none", "messages": []}).encode()
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
                       % (gateway.ready_key["key"].encode(), len(body), body))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += client.recv(4096)
    request_id = re.search(rb"(?i)x-request-id: (\S+)", answer)[1].decode()
    assert gateway.audit_of(request_id)["client_ip"] == "203.0.113.0"


# --- TLS and connections

def handshake(gateway, version=None, session=None):
    context = ssl.create_default_context(cafile=gateway.ca)
    if version:
        context.maximum_version = version
    return context.wrap_socket(socket.create_connection(("127.0.0.1", gateway.port), timeout=20), server_hostname="localhost")


def test_tls_12_is_spoken_where_min_version_says_so(stopped):
    stopped.config.write_text(stopped.config.read_text().replace("[tls]", '[tls]\nmin_version = "1.2"'))
    stopped.start()
    with handshake(stopped, ssl.TLSVersion.TLSv1_2) as client:
        assert client.version() == "TLSv1.2"
    stopped.config.write_text(stopped.config.read_text().replace('min_version = "1.2"', 'min_version = "1.3"'))
    stopped.cli("reload")
    with pytest.raises(OSError):
        handshake(stopped, ssl.TLSVersion.TLSv1_2)


def test_tickets_are_given_for_as_long_as_the_conf_says(stopped):
    def ticket():
        with handshake(stopped) as client:
            client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(4096)  # a ticket of TLS 1.3 comes before it
            return (client.session.has_ticket, client.session.ticket_lifetime_hint) if client.session else (False, 0)

    text = stopped.config.read_text()
    stopped.start()
    assert ticket() == (True, 7200)
    stopped.config.write_text(text.replace("[tls]", '[tls]\nticket_lifetime = "10m"'))
    stopped.cli("reload")
    assert ticket() == (True, 600)
    stopped.config.write_text(text.replace("[tls]", "[tls]\ntickets = false"))
    stopped.cli("reload")
    assert not ticket()[0]


@pytest.mark.parametrize("where, key", [("tls", "handshake_time"), ("http", "idle_time"), ("http", "body_gap")])
def test_who_says_nothing_is_cut_after(stopped, where, key):
    """handshake_time before TLS is up, idle_time between requests, body_gap inside a body."""
    stopped.config.write_text(stopped.config.read_text().replace("[tls]", f'[{where}]\n{key} = "300ms"' + ("\n[tls]" if where != "tls" else "")))
    stopped.start()
    api_key = stopped.key()
    began = time.monotonic()
    if key == "handshake_time":
        with socket.create_connection(("127.0.0.1", stopped.port), timeout=20 * SLOW) as silent:
            assert silent.recv(1) == b""
    else:
        with Client(stopped, api_key, timeout=20) as client:
            if key == "body_gap":
                client.sock.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api_key['key']}\r\n"
                                    "Content-Length: 100\r\n\r\n{".encode())
            else:
                assert client.get("/v1/models")[0] == 200
            assert client.closed_by_peer(timeout=20)
    assert time.monotonic() - began < 8 * SLOW


def test_a_head_beyond_head_limit_is_refused(gateway_of):
    gateway = gateway_of('[http]\nhead_limit = "1KiB"\n')
    with Client(gateway, gateway.ready_key) as client:
        assert client.get("/v1/models")[0] == 200
        assert client.get("/v1/models", headers=[("X-Long", "x" * 2000)])[0] == 431


def test_connections_beyond_max_connections_are_not_taken(gateway_of):
    gateway = gateway_of("[http]\nmax_connections = 2\n")
    with Client(gateway, gateway.ready_key) as one, Client(gateway, gateway.ready_key) as two:
        assert one.get("/v1/models")[0] == two.get("/v1/models")[0] == 200
        with pytest.raises(OSError):
            Client(gateway, gateway.ready_key)


def test_a_client_that_takes_nothing_is_gone_after_write_gap(gateway_of, fake, mark):
    def flood(connection):
        connection.head()
        for _ in range(400):
            connection.event(delta("x" * 100_000))

    fake.on(mark, flood)
    gateway = gateway_of('[http]\nwrite_gap = "300ms"\n')
    gateway.wait_models(gateway.ready_key, "fake-model")
    with Client(gateway, gateway.ready_key) as client:
        client.start_chat(mark)
        _, headers = client.read_head()
        assert gateway.audit_of(headers["x-request-id"], timeout=20)["end_reason"] == "client_gone"


def test_an_event_beyond_event_limit_breaks_the_stream(gateway_of, fake, mark):
    def long_event(connection):
        connection.head()
        connection.event(delta("x" * 100_000))
        connection.event(delta(None, "stop"))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    fake.on(mark, long_event)
    gateway = gateway_of('[stream]\nevent_limit = "64KiB"\n')
    gateway.wait_models(gateway.ready_key, "fake-model")
    with Client(gateway, gateway.ready_key) as client:
        _, _, body = client.chat(mark, stream=True)
        assert error_of(events_of(body)[-1])
    gateway.write_conf("")
    gateway.cli("reload")
    with Client(gateway, gateway.ready_key) as client:
        assert events_of(client.chat(mark, stream=True)[2])[-1] == "[DONE]"


# --- pairing

def test_a_pairing_key_is_good_for_its_lifetime(gateway_of, tmp_path):
    gateway = gateway_of('[pairing]\nkey_lifetime = "1s"\n')
    pairing = json.loads(gateway.cli("pair", "create", "--any-model", "--json").stdout)
    time.sleep(1.2)  # what is measured
    late = run("agent", "pair", "--gateway", f"https://127.0.0.1:{gateway.port}", "--pairing-key", pairing["key"],
               "--dir", tmp_path / "a", "--ca", gateway.ca, check=False)
    assert late.returncode != 0


def test_an_agents_certificate_is_good_for_its_lifetime(gateway_of, fake, tmp_path):
    gateway = gateway_of('[pairing]\ncertificate_lifetime = "2h"\n')
    agent = gateway.agent(fake.url)
    found = [p for p in agent.dir.iterdir() if b"BEGIN CERTIFICATE" in p.read_bytes()]
    lives = [ssl._ssl._test_decode_cert(str(p)) for p in found]
    spans = [ssl.cert_time_to_seconds(c["notAfter"]) - ssl.cert_time_to_seconds(c["notBefore"]) for c in lives]
    assert any(7200 <= span <= 7200 + 1200 for span in spans), spans


# --- ledger, journal, audit

def test_a_call_reserves_a_slice_at_a_time(gateway_of, fake, mark):
    gate = threading.Event()

    def waits(connection):
        connection.head()
        connection.event(delta("w "))
        gate.wait(30)
        connection.event(delta(None, "stop"))
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    fake.on(mark, waits)
    gateway = gateway_of("[ledger]\nslice = 100\n")
    gateway.wait_models(gateway.ready_key, "fake-model")
    key = gateway.key("--budget", "tokens:1000000/day")
    try:
        with Client(gateway, key) as client:
            client.start_chat(mark)
            client.read_head()
            reserved = until(lambda: json.loads(gateway.cli("status", "--json").stdout)["reserved"], what="a reservation")
            assert 100 <= reserved < 2048, "the default slice is 2,048"
            gate.set()
    finally:
        gate.set()


def test_a_budget_warns_at_its_percent(gateway_of, fake):
    gateway = gateway_of("[ledger]\nwarn_percent = 1\n")
    gateway.wait_models(gateway.ready_key, "fake-model")
    key = gateway.key("--budget", "tokens:500/day")
    with Client(gateway, key) as client:
        assert client.chat("x")[0] == 200  # uses 8 of 500: 1.6 %
    until(lambda: "budget nearly used up" in gateway.process.log, what="the warning")


def test_the_journal_is_where_and_as_the_conf_says(stopped):
    """[journal] dir and segment."""
    stopped.write_conf(f'[journal]\ndir = "{stopped.folder}/elsewhere"\nsegment = "2MiB"\n')
    stopped.start()
    sizes = [p.stat().st_size for p in (stopped.folder / "elsewhere").glob("*.journal")]
    assert sizes and all(abs(size - (2 << 20)) < 65536 for size in sizes), sizes
    assert not (stopped.state / "journal").exists()


def test_records_reach_the_store_each_sink_interval(gateway_of):
    gateway = gateway_of('[journal]\nsink_interval = "10m"\n')
    with Client(gateway, gateway.ready_key) as client:
        client.chat("x", model="nobody-has-it")
    counts = lambda: json.loads(gateway.cli("status", "--json").stdout)["audit"]
    until(lambda: counts()["recorded"] >= 1, what="the record")
    time.sleep(1)  # five times the default interval
    assert counts()["stored"] < counts()["recorded"]


def test_labels_are_kept_as_many_as_the_conf_says(gateway_of):
    gateway = gateway_of('[audit]\nlabel_headers = ["x-a", "x-b", "x-c"]\nmax_labels = 2\n')
    with Client(gateway, gateway.ready_key) as client:
        _, headers, _ = client.chat("x", model="nobody-has-it", headers=[("X-A", "1"), ("X-B", "2"), ("X-C", "3")])
    labels = gateway.audit_of(headers["x-request-id"])["labels"]
    assert set(labels) == {"x-a", "x-b"}


def test_a_policy_that_the_order_leaves_out_does_not_decide(gateway_of, fake):
    gateway = gateway_of()
    gateway.wait_models(gateway.ready_key, "fake-model")
    key = gateway.key("--rpm", "1")

    def statuses():
        with Client(gateway, key) as client:
            return [client.chat("x")[0] for _ in range(3)]

    assert 429 in statuses()
    gateway.write_conf('[policies]\norder = ["model_access", "budget", "audit"]\n')
    gateway.cli("reload")
    assert statuses() == [200] * 3


# --- upstreams and models

@pytest.mark.parametrize("attempts", [1, 3])
def test_as_many_upstreams_are_tried_as_the_conf_says(gateway_of, attempts):
    """connect_attempts, and what debug tells of them."""
    dies = FakeModel()
    gateway = gateway_of(f'[log]\nlevel = "debug"\n[route]\nconnect_attempts = {attempts}\n'
                         f'[[upstream]]\nname = "dies"\nurl = "{dies.url}"\nhealth_interval = "1h"\npool = 0\n')

    def slots():
        return {m["name"]: m["free_slots"] for m in json.loads(gateway.cli("models", "--json").stdout)}.get("fake-model")

    until(lambda: slots() == 512, what="both serve the model")
    dies.close()
    with Client(gateway, gateway.ready_key) as client:
        statuses = [client.chat("x")[0] for _ in range(10)]
    failed = 10 - statuses.count(200)  # one connection may still be taken by a server that is about to go
    assert failed <= 1 if attempts == 3 else failed >= 2, statuses
    if attempts == 3:
        until(lambda: "another upstream is tried" in gateway.process.log, what="the line of debug")
    assert ("another upstream is tried" in gateway.process.log) is (attempts == 3)
    until(lambda: max((r["attempts"] for r in gateway.audit()), default=0) == min(attempts, 2), what="records of so many attempts")


def test_an_upstream_is_called_as_the_conf_says(gateway_of, fake, mark, tmp_path):
    """api_key, models and usage_in_stream."""
    (tmp_path / "key").write_text("sk-upstream\n")
    gateway = gateway_of(upstream=[f'api_key = "file:{tmp_path}/key"', 'models = ["fake-model", "only-named"]', "usage_in_stream = false"])
    gateway.wait_models(gateway.ready_key, "only-named")
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat(mark, stream=True)[0] == 200
    request = fake.seen(mark)[0]
    assert request.header("authorization") == "Bearer sk-upstream" and b"stream_options" not in request.body
    gateway.stop()
    gateway.config.write_text(gateway.config.read_text().replace("usage_in_stream = false\n", ""))
    gateway.start()
    with Client(gateway, gateway.ready_key) as client:
        assert client.chat(mark, stream=True)[0] == 200
    assert b"include_usage" in fake.seen(mark)[1].body


@pytest.mark.parametrize("lines, again", [((), True), (('idle_time = "100ms"',), False), (("pool = 0",), False)])
def test_an_idle_connection_to_an_upstream_is_kept_for_idle_time(gateway_of, fake, mark, lines, again):
    """idle_time, and pool: how many are kept."""
    connections = []

    def answer(connection):
        connections.append(connection.sock)
        connection.answer(200, {"object": "chat.completion", "choices": []})

    fake.on(mark, answer)
    gateway = gateway_of(upstream=['models = ["fake-model"]', *lines], workers=1)
    gateway.wait_models(gateway.ready_key, "fake-model")
    with Client(gateway, gateway.ready_key) as client:
        client.chat(mark)
        if not again:
            until(lambda: connections[0] not in fake.open, what="it is closed")
        client.chat(mark)
    assert (connections[0] is connections[1]) is again


def test_an_upstream_is_asked_for_its_models_each_health_interval(gateway_of, fake):
    gateway = gateway_of(upstream=['health_interval = "100ms"'])
    gateway.wait_models(gateway.ready_key, "fake-model")
    fake.models.append("came-later")
    try:
        began = time.monotonic()
        gateway.wait_models(gateway.ready_key, "came-later")
        assert time.monotonic() - began < 5 * SLOW, "the default is 10 s"
    finally:
        fake.models.remove("came-later")


def test_a_model_is_called_and_limited_as_the_conf_says(gateway_of, fake, mark):
    """name, upstream_name and max_output."""
    gateway = gateway_of('[[model]]\nname = "ours"\nupstream_name = "fake-model"\nmax_output = 77\n')
    gateway.wait_models(gateway.ready_key, "ours")
    key = gateway.key("--budget", "tokens:50/day")
    with Client(gateway, key) as client:
        assert client.chat(mark, model="ours")[0] == 200
    sent = json.loads(fake.seen(mark)[0].body)
    assert sent["model"] == "fake-model"
    assert min(sent.get("max_tokens", 99), sent.get("max_completion_tokens", 99)) < 77, "clamped to what the budget has"
    with Client(gateway, gateway.key("--budget", "tokens:100000/day")) as client:
        assert client.chat(mark, model="ours")[0] == 200
    sent = json.loads(fake.seen(mark)[1].body)
    assert "max_tokens" not in sent and "max_completion_tokens" not in sent, "77 is less than what is left"


@pytest.mark.parametrize("key, cost", [("price_prompt", 45), ("price_cached", 40), ("price_cache_write", 10), ("price_audio_input", 5),
                                       ("price_completion", 22), ("price_reasoning", 20), ("price_audio_output", 8), ("price_searches", 3)])
def test_each_price_counts_for_its_tokens(gateway_of, fake, mark, key, cost):
    """100 prompt tokens: 40 from a cache, 10 into one, 5 of audio; 50 completion tokens: 20 of reasoning, 8 of audio;
    3 searches."""
    def answer(connection):
        connection.answer(200, {"object": "chat.completion", "choices": [], "usage": {
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "server_tool_use": {"web_search_requests": 3},
            "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10, "audio_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 8}}})

    fake.on(mark, answer)
    names = [line.split(".")[1] for line in PROOFS if line.startswith("model.price_")]
    prices = {name: 1 if name == key else 0 for name in names if name != "price_batch_percent"}
    gateway = gateway_of('[[model]]\nname = "fake-model"\n' + "".join(f"{name} = {value}\n" for name, value in prices.items()))
    gateway.wait_models(gateway.ready_key, "fake-model")
    with Client(gateway, gateway.ready_key) as client:
        _, headers, _ = client.chat(mark)
    assert gateway.audit_of(headers["x-request-id"])["cost_micros"] == cost


def test_the_price_of_images_counts_those_that_were_made(gateway_of, fake, mark):
    fake.on(mark, lambda c: c.answer(200, {"data": [{"url": "https://x/1"}, {"url": "https://x/2"}]}))
    gateway = gateway_of('[[model]]\nname = "fake-model"\nprice_images = 40000\n')
    gateway.wait_models(gateway.ready_key, "fake-model")
    with Client(gateway, gateway.ready_key) as client:
        _, headers, _ = client.call("POST", "/v1/images/generations", {"model": "fake-model", "prompt": mark, "n": 3})
    assert gateway.audit_of(headers["x-request-id"])["cost_micros"] == 80_000, "two of three"


def test_the_price_of_what_is_heard_counts_its_seconds(gateway_of, fake, mark):
    fake.on(mark, lambda c: c.answer(200, {"text": "x", "usage": {"type": "duration", "seconds": 6.5}}))
    gateway = gateway_of('[[model]]\nname = "fake-model"\nprice_seconds = 100\n')
    gateway.wait_models(gateway.ready_key, "fake-model")
    body, label = form_of({"model": "fake-model", "prompt": mark}, {"file": b"x" * 1000})
    with Client(gateway, gateway.ready_key) as client:
        _, headers, _ = client.call("POST", "/v1/audio/transcriptions", body, [("content-type", label)])
    assert gateway.audit_of(headers["x-request-id"])["cost_micros"] == 700


def test_the_price_of_what_is_spoken_counts_its_characters(gateway_of, fake, mark):
    fake.on(mark, lambda c: c.answer(200, b"ID3 sound", "audio/mpeg"))
    gateway = gateway_of('[[model]]\nname = "fake-model"\nprice_characters = 2\n')
    gateway.wait_models(gateway.ready_key, "fake-model")
    with Client(gateway, gateway.ready_key) as client:
        _, headers, _ = client.call("POST", "/v1/audio/speech", {"model": "fake-model", "voice": "alloy", "input": mark.ljust(30, "x")})
    assert gateway.audit_of(headers["x-request-id"])["cost_micros"] == 60


@pytest.mark.parametrize("line", ["rpm = 1", "tpm = 1", 'budgets = ["tokens:1/day"]', 'user_budgets = ["tokens:1/day"]', "concurrency = 1"])
def test_a_limit_of_a_model_holds_for_all_callers(gateway_of, fake, mark, line):
    gate = threading.Event()

    def waits(connection):
        connection.head()
        connection.event(delta("w "))
        gate.wait(30)
        connection.event(delta(None, "stop"))
        connection.event(usage_chunk())
        connection.chunk("data: [DONE]\n\n")
        connection.end()

    fake.on(mark, waits)
    gateway = gateway_of(f'[[model]]\nname = "fake-model"\n{line}\n')
    gateway.wait_models(gateway.ready_key, "fake-model")
    try:
        with Client(gateway, gateway.key()) as one, Client(gateway, gateway.key()) as two:
            one.start_chat(mark)
            first = one.read_head()[0]
            if not line.startswith("concurrency"):
                gate.set()
            if first == 200 and gate.is_set():
                b"".join(data for _, data in one.chunks())
            assert 429 in (first, two.chat("x")[0])
    finally:
        gate.set()
    gateway.write_conf('[[model]]\nname = "fake-model"\n')
    gateway.cli("reload")
    with Client(gateway, gateway.key()) as client:
        assert client.chat("x")[0] == 200

"""How registries were broken before, and which test forbids each of it here. A test that is renamed is missed here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("portolan", "ui", "ingest", "catalog", "auth", "cas", "database")

_ACCESS = "tests/catalog/registry/test_access.py"
_ERRORS = "tests/catalog/registry/test_errors.py"
_BLOBS = "tests/catalog/registry/test_blobs.py"
_MANIFESTS = "tests/catalog/registry/test_manifests.py"
_HUB = "tests/catalog/test_hub_answers.py"
_AUTH = "tests/auth/test_pitfalls.py"
_PRIVACY = "tests/catalog/api/test_privacy.py"
_REFUSALS = "tests/catalog/api/test_refusals.py"
_SEARCH = "tests/catalog/search/test_service.py"
_SOURCES = "tests/ingest/sources/test_sources.py"
_WORKER = "tests/ingest/test_worker.py"
_FORMS = "tests/ui/test_forms.py"

PITFALLS: dict[str, list[tuple[str, str]]] = {
    "a mount takes a blob from a repository that its caller may not pull (Gitea CVE-2026-117685)": [
        (_ACCESS, "test_forbids_mounting_from_a_repository_that_the_caller_may_not_pull"),
        (_ACCESS, "test_a_mount_from_anywhere_finds_public_repositories_and_those_of_the_token"),
        (_AUTH, "test_a_scope_for_the_source_of_a_mount_is_not_granted_to_a_stranger"),
    ],
    "a blob is read by its digest past the repository's check (zot CVE-2024-39897)": [
        (_BLOBS, "test_a_blob_of_another_repository_is_not_here"),
        (_MANIFESTS, "test_a_manifest_needs_its_blobs_in_its_own_repository"),
    ],
    "an anonymous token is a wide one, a list shows everything (Gitea CVE-2026-27771, Harbor CVE-2020-29662)": [
        (_HUB, "test_forbids_listing_what_a_caller_may_not_see"),
        (_HUB, "test_a_narrow_token_lists_what_it_was_narrowed_to"),
        (_HUB, "test_an_anonymous_search_that_finds_nothing_sends_podman_on"),
        (_AUTH, "test_a_token_without_a_subject_sees_and_changes_nothing_that_is_private"),
    ],
    "hits, facets, counts, suggestions or look-ups tell of what is private": [
        (_PRIVACY, "test_forbids_telling_what_is_hidden_from_what_is_absent"),
        (_SEARCH, "test_forbids_telling_what_is_private_by_any_other_way"),
        ("tests/catalog/search/test_what_others_hold.py", "test_files"),
        ("tests/catalog/search/test_answers.py", "test_images"),
    ],
    "an upload is read, changed or cancelled by somebody else (Quay CVE-2026-32589)": [
        (_ACCESS, "test_forbids_touching_the_upload_of_somebody_else"),
    ],
    "the state of an upload is unpickled (Quay CVE-2026-32590)": [
        ("tests/contracts/blob_store.py", "test_an_upload_begun_anew_elsewhere_is_not_taken_for_the_old_one"),
        ("tests/test_pitfalls.py", "test_nothing_is_ever_unpickled"),
    ],
    "one method is allowed by the right to another (zot CVE-2026-61833, distribution CVE-2026-41888)": [
        (_ACCESS, "test_every_route_method_and_caller"),
        (_AUTH, "test_one_action_does_not_bring_another"),
    ],
    "a key that comes with the token is believed, or any algorithm (distribution CVE-2025-24976)": [
        (_ACCESS, "test_every_route_method_and_caller"),
        (_AUTH, "test_a_key_in_the_header_is_not_used"),
        (_AUTH, "test_other_algorithms_are_not_ours"),
    ],
    "a name or a digest becomes a path (Ollama CVE-2024-37032, containers/image CVE-2024-3727)": [
        (_ERRORS, "test_a_wrong_request_is_told_what_is_wrong"),
        (_AUTH, "test_another_spelling_reaches_nothing"),
        ("tests/cas/test_manifest.py", "test_any_object_is_read_or_refused"),
    ],
    "credentials are sent to whatever realm an upstream names (distribution CVE-2026-33540)": [
        (_SOURCES, "test_credentials_go_to_no_wrong_realm"),
        (_SOURCES, "test_a_redirect_to_another_host_gets_no_credentials"),
    ],
    "what an archive names is written, or followed (Claircore CVE-2021-3762)": [
        ("tests/catalog/stacks/test_laying.py", "test_links_do_not_leave_the_root"),
        (_SOURCES, "test_a_link_leads_to_no_file_of_this_machine"),
        ("tests/ingest/test_hostile.py", "test_it_ends_as_the_table_says"),
        ("tests/ingest/test_decompression.py", "test_a_bomb_is_given_up_long_before_it_has_gone_off"),
    ],
    "a request costs without limit (distribution CVE-2023-2253, Starlette CVE-2025-62727)": [
        (_MANIFESTS, "test_a_page_size_that_is_no_number_is_refused"),
        (_HUB, "test_pages_of_the_list_follow_each_other_in_the_order_of_what_is_shown"),
        (_BLOBS, "test_ranges_that_would_cost_too_much_or_mean_nothing_give_the_whole"),
        (_MANIFESTS, "test_a_manifest_larger_than_the_limit_is_refused"),
        ("tests/cas/test_manifest.py", "test_depth_is_refused_and_costs_little"),
        (
            "tests/catalog/stacks/test_manifests.py",
            "test_annotations_by_the_ten_thousand_are_cut_as_labels_are_and_that_is_told",
        ),
        ("tests/catalog/search/test_pattern_cost.py", "test_what_would_hold_the_interpreter_is_refused"),
        ("tests/contracts/layer_index.py", "test_no_pattern_holds_everybody_up"),
    ],
    "what a manifest claims shows or shares what is another's": [
        (_MANIFESTS, "test_a_manifest_needs_its_blobs_in_its_own_repository"),
        (_MANIFESTS, "test_referrers_under_the_fallback_tag_are_listed_too"),
        (_WORKER, "test_what_a_config_claims_shows_nothing_of_the_layer_that_it_names"),
        (_WORKER, "test_diff_ids_that_do_not_fit_are_a_failure"),
        (_PRIVACY, "test_a_manifest_shows_nothing_of_blobs_that_it_merely_names"),
    ],
    "one manifest is two things (CVE-2021-41190)": [
        ("tests/cas/test_manifest.py", "test_forbids_what_could_be_read_in_two_ways"),
        (_MANIFESTS, "test_what_is_no_manifest_or_two_at_once_is_refused"),
    ],
    "what was deleted or revoked lives on in a cache (distribution CVE-2026-35172, zot CVE-2025-23208)": [
        (_ACCESS, "test_forbids_reading_what_was_deleted_through_anything_remembered"),
        (_SEARCH, "test_forbids_finding_what_was_just_made_private_or_deleted"),
        (_FORMS, "test_who_is_disabled_is_out_at_once"),
        (_AUTH, "test_a_new_password_ends_the_old_one_at_once"),
        (_AUTH, "test_who_is_disabled_gets_nothing_from_anything_they_hold"),
        (_AUTH, "test_asking_for_tokens_makes_nobody_an_administrator"),
    ],
    "a query becomes part of a statement (Harbor CVE-2025-30086, CVE-2019-19026)": [
        (_HUB, "test_descriptions_are_searched_and_wildcards_are_letters"),
        (_AUTH, "test_a_name_is_never_part_of_a_statement"),
        (_SEARCH, "test_every_sort_that_is_offered_is_there"),
        (_REFUSALS, "test_hostile_queries_are_refused_or_answered"),
        (_REFUSALS, "test_what_cannot_be_answered_is_a_problem"),
        ("tests/catalog/search/language/test_language.py", "test_any_text_is_a_query_or_an_error_within_it"),
    ],
    "an account for everybody, a default password, secrets in logs (Harbor CVE-2019-16097, CVE-2026-4404)": [
        (_AUTH, "test_nobody_makes_an_account_for_themselves"),
        (_AUTH, "test_there_is_no_default_password"),
        (_AUTH, "test_a_wrong_name_and_a_wrong_password_look_the_same"),
        (_AUTH, "test_no_secret_is_in_a_log_a_repr_or_an_error"),
    ],
    "a page sends people elsewhere, runs what somebody pushed, or obeys another site (Harbor CVE-2024-22244)": [
        (_FORMS, "test_no_other_site_is_led_to_after_signing_in"),
        (_FORMS, "test_whatever_is_asked_for_one_stays_within_the_site"),
        (_FORMS, "test_a_form_that_another_site_sent_changes_nothing"),
        (_FORMS, "test_a_form_without_the_sessions_token_changes_nothing"),
        (_FORMS, "test_each_change_asks_for_the_right_that_the_registry_asks_for"),
        ("tests/ui/test_rendering.py", "test_hostile_texts_are_shown_as_they_are"),
        ("tests/ui/test_pages.py", "test_every_answer_has_the_headers_that_keep_browsers_strict"),
        ("tests/ui/test_in_a_browser.py", "test_what_somebody_pushed_to_break_pages_breaks_none"),
    ],
}


@pytest.mark.parametrize("pitfall", PITFALLS)
def test_each_pitfall_has_its_tests(pitfall: str) -> None:
    for file, name in PITFALLS[pitfall]:
        tree = ast.parse((ROOT / file).read_text())
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in defined, f"{file} has no {name}"


def test_nothing_is_ever_unpickled() -> None:
    forbidden = {"pickle", "cPickle", "dill", "shelve", "marshal"}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                assert forbidden.isdisjoint(name.partition(".")[0] for name in names), file

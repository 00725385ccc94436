"""What an npm registry's answer is worth: the full dialect, the stripped one, removals, and nonsense."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.vetting.registry.making import NOW, SRI, day, packument, release, stripped
from vsm_operator.domain.vetting.model import PackageEvidence
from vsm_runtime.vetting.documents import Answer, read, unavailable
from vsm_runtime.vetting.npm_facts import Dates, NpmFacts, npm_facts

PURL = "pkg:npm/widget@1.0.2"


def facts(document: Any, version: str = "1.0.2") -> NpmFacts:
    answer = read(status=200, body=json.dumps(document).encode())
    return npm_facts(answer, version=version, purl=PURL, now=NOW)


def rules(found: NpmFacts) -> set[tuple[str, str]]:
    return {(finding.check, finding.rule) for finding in found.findings}


def states(found: NpmFacts) -> dict[str, str]:
    return {state.id: state.status for state in found.sources}


HISTORY = (release("1.0.0"), release("1.0.1"), release("1.0.2"))


class TestFullDialect:
    def test_tells_everything_and_finds_nothing(self) -> None:
        found = facts(packument(*HISTORY))

        assert found.findings == ()
        assert found.dates is Dates.PUBLISHED
        assert found.published_at == NOW - timedelta(days=10)
        assert found.first_published_at == NOW - timedelta(days=210)
        assert (found.versions_count, found.deprecated, found.publishers) == (3, "", ("ann", "bob"))
        assert str(found.repository) == "https://github.com/acme/widget"
        assert found.integrity == SRI
        assert [r.version for r in found.earlier] == ["1.0.1", "1.0.0"]
        assert set(states(found).values()) == {"ok"}

    def test_fits_the_evidence(self) -> None:
        evidence = PackageEvidence(
            purl=PURL, ecosystem="npm", name="widget", version="1.0.2", **facts(packument(*HISTORY)).fields()
        )

        assert evidence.published_at == "2026-05-22T00:00:00Z"
        assert not evidence.published_is_lower_bound
        assert evidence.previous_publishers == ("ann",)
        assert evidence.deprecated is False

    def test_no_source_answers_for_malware_or_bytes(self) -> None:
        feeds = {check for state in facts(packument(*HISTORY)).sources for check in state.feeds}

        assert feeds == {"C7", "C9", "G4"}

    @pytest.mark.parametrize(("told", "want"), [("use gadget", "use gadget"), (True, "deprecated"), ("", ""), (7, "")])
    def test_deprecation(self, told: object, want: str) -> None:
        found = facts(packument(release("1.0.0"), release("1.0.2", deprecated=told)))

        assert found.deprecated == want
        assert (("C9", "deprecated") in rules(found)) is bool(want)

    def test_a_date_in_the_future_is_no_date(self) -> None:
        found = facts(packument(*HISTORY, days={"1.0.2": -3}))

        assert found.published_at is None
        assert ("G4", "publish-time-in-future") in rules(found)
        assert states(found)["npm-publish-times"] == "unavailable"


class TestStrippedDialect:
    def test_dates_are_lower_bounds_and_silence_is_not_no(self) -> None:
        found = facts(stripped(packument(*HISTORY)))

        assert found.dates is Dates.INGESTED
        assert found.fields()["published_is_lower_bound"] is True
        assert found.deprecated is None
        assert found.signatures is None
        assert found.fields()["publishers"] is None
        assert found.fields()["previous_publishers"] is None
        assert {k: v for k, v in states(found).items() if v != "ok"} == {
            "npm-publishers": "unavailable", "npm-deprecations": "unavailable", "npm-signatures": "unavailable",
        }  # fmt: skip

    def test_a_mirrors_dates_tell_no_order(self) -> None:
        document = stripped(packument(*HISTORY, days={"1.0.0": 1}))

        assert facts(document).earlier == ()

    def test_attestations_are_unknown_not_absent(self) -> None:
        found = facts(stripped(packument(*HISTORY)))

        assert found.release is not None
        assert found.release.attested is None

    @pytest.mark.parametrize("status", [404, 405, 410, 500, 503, 301, None])
    def test_no_answer_makes_every_source_unavailable(self, status: int | None) -> None:
        found = npm_facts(read(status=status, body=b""), version="1.0.2", purl=PURL, now=NOW)

        assert not found.listed
        assert set(states(found).values()) == {"unavailable"}
        assert len({state.reason for state in found.sources}) == 1
        assert str(status) in found.sources[0].reason or found.sources[0].reason == "the registry did not answer"
        assert found.findings == ()

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"[" * 100_000, b"\xff\xfe", b"1" * 10_000])
    def test_garbage_is_an_error_and_never_clean(self, body: bytes) -> None:
        found = npm_facts(read(status=200, body=body), version="1.0.2", purl=PURL, now=NOW)

        assert states(found)["npm-packument"] == "error"
        assert "ok" not in states(found).values()


class TestRemoval:
    def test_the_placeholder_itself(self) -> None:
        found = facts(packument(release("0.0.1-security")), version="0.0.1-security")

        assert [(f.check, f.rule, f.severity) for f in found.findings] == [("G2", "security-holding", "critical")]

    def test_an_old_version_of_a_package_that_became_a_placeholder(self) -> None:
        assert ("G2", "security-holding") in rules(facts(packument(*HISTORY, release("0.0.1-security"))))

    def test_a_version_that_merely_sounds_like_one_is_none(self) -> None:
        found = facts(packument(release("1.0.2-security")), version="1.0.2-security")

        assert found.findings == ()

    def test_an_unpublished_package(self) -> None:
        document = packument(
            versions=..., time={"created": day(9), "modified": day(1), "unpublished": {"time": day(1)}}
        )

        assert rules(facts(document)) == {("G2", "unpublished")}

    def test_an_unpublished_version(self) -> None:
        document = packument(release("1.0.0"), days={"1.0.2": 3})

        assert rules(facts(document)) == {("G2", "version-unpublished")}

    def test_a_version_that_never_was(self) -> None:
        found = facts(packument(release("1.0.0")))

        assert rules(found) == {("G3", "version-not-listed")}
        assert states(found)["npm-publish-times"] == "unavailable"


class TestContinuity:
    def test_a_new_publisher_is_a_signal(self) -> None:
        found = facts(packument(*HISTORY[:2], release("1.0.2", _npmUser={"name": "mallory"})))

        assert rules(found) == {("C7", "publisher-changed")}

    def test_all_maintainers_at_once_are_a_stronger_one(self) -> None:
        last = release("1.0.2", _npmUser={"name": "mallory"}, maintainers=[{"name": "mallory"}])

        assert rules(facts(packument(*HISTORY[:2], last))) == {
            ("C7", "publisher-changed"),
            ("C7", "maintainers-replaced"),
        }

    def test_who_published_before_may_publish_again(self) -> None:
        bob = release("1.0.1", _npmUser={"name": "bob"})

        assert facts(packument(HISTORY[0], bob, HISTORY[2])).findings == ()

    def test_from_a_person_to_a_build_service_is_progress(self) -> None:
        last = release("1.0.2", _npmUser={"name": "GitHub Actions", "trustedPublisher": {"id": "github"}})

        assert facts(packument(*HISTORY[:2], last)).findings == ()

    def test_from_a_build_service_back_to_a_token_is_an_alarm(self) -> None:
        built = {"name": "GitHub Actions", "trustedPublisher": {"id": "github"}}
        document = packument(release("1.0.0", _npmUser=built), release("1.0.1", _npmUser=built), release("1.0.2"))

        assert rules(facts(document)) == {("C7", "left-trusted-publishing")}

    def test_attested_before_and_not_now_closes_the_gate(self) -> None:
        dist = HISTORY[0]["dist"] | {"attestations": {"url": "/-/x", "provenance": {}}}
        found = facts(packument(release("1.0.0", dist=dist), release("1.0.1", dist=dist), release("1.0.2")))

        assert rules(found) == {("G9", "provenance-regression")}
        assert found.findings[0].data["last_attested"] == "1.0.1"

    def test_attested_once_long_ago_is_only_noted(self) -> None:
        dist = HISTORY[0]["dist"] | {"attestations": {"url": "/-/x"}}
        rest = [release(f"1.0.{n}") for n in (1, 2)]

        assert rules(facts(packument(release("1.0.0", dist=dist), *rest))) == {("C6", "provenance-lapsed")}

    def test_a_registry_that_does_not_sign_says_nothing_of_attestations(self) -> None:
        bare = {"integrity": SRI, "tarball": "x"}
        dist = bare | {"attestations": {"url": "/-/x"}}

        assert facts(packument(release("1.0.1", dist=dist), release("1.0.2", dist=bare))).findings == ()

    def test_another_owner_of_the_repository_is_noted(self) -> None:
        last = release("1.0.2", repository="github:mallory/widget")

        assert rules(facts(packument(*HISTORY[:2], last))) == {("C6", "repository-changed")}

    def test_a_repository_that_is_no_longer_named_is_noted(self) -> None:
        assert rules(facts(packument(*HISTORY[:2], release("1.0.2", repository=...)))) == {("C6", "repository-changed")}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("time", "versions", "dist-tags", "maintainers", "modified")
INNER = ("dist", "_npmUser", "maintainers", "repository", "deprecated", "mcpName", "description", "version")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_document_of_wrong_types_never_raises(data: st.DataObject) -> None:
    document = packument(*HISTORY)
    for field in data.draw(st.sets(st.sampled_from(FIELDS), max_size=3)):
        document[field] = data.draw(JSON)
    if isinstance(document["versions"], dict) and isinstance(document["versions"].get("1.0.2"), dict):
        changed = dict(document["versions"]["1.0.2"])
        for field in data.draw(st.sets(st.sampled_from(INNER), max_size=4)):
            changed[field] = data.draw(JSON)
        document["versions"]["1.0.2"] = changed

    found = npm_facts(Answer("ok", "", document), version="1.0.2", purl=PURL, now=NOW)

    PackageEvidence(
        purl=PURL, ecosystem="npm", name="widget", version="1.0.2", findings=found.findings, **found.fields()
    )
    json.dumps(found.fields()).encode()


def test_a_history_of_many_versions_takes_no_time() -> None:
    versions = [release(f"1.{n}.0", description="x" * 50) for n in range(5000)]
    document = packument(*versions)

    assert facts(document, version="1.4999.0").versions_count == 5000


def test_unavailable_says_why() -> None:
    assert unavailable("because").state("x", purl=PURL, feeds=("C9",)).reason == "because"

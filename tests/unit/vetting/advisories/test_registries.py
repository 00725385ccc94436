"""The two registries' own advisories over HTTP: what they say is found, and no failure to answer passes for clean."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.vetting.advisories.kit import (
    BULK,
    CRITICAL,
    Registry,
    bomb,
    bulk_item,
    drip,
    drip_headers,
    hang_up,
    npm,
    pypi,
    registry,
)
from vsm_runtime.vetting.advisories.capability import Capabilities
from vsm_runtime.vetting.advisories.collect import collect
from vsm_runtime.vetting.advisories.fetch import Bounds, JsonSource
from vsm_runtime.vetting.advisories.npm_bulk import NpmBulk
from vsm_runtime.vetting.advisories.port import Answer
from vsm_runtime.vetting.advisories.pypi_json import PypiJson

DAY = "2026-11-23"
PATIENT = Bounds(max_answer_bytes=4 * 1024 * 1024, deadline_seconds=20)
QUICK = Bounds(deadline_seconds=0.5)


@pytest.fixture
def index() -> Iterator[Registry]:
    with registry() as served:
        yield served


def bulk(index: Registry, *, bounds: Bounds = PATIENT) -> NpmBulk:
    return NpmBulk(index.source(bounds=bounds), DAY)


def json_api(
    index: Registry,
    *,
    latest: bool = False,
    cache: Path | None = None,
    canary: bool = True,
    day: str = DAY,
    bounds: Bounds = PATIENT,
) -> PypiJson:
    if canary:
        path = "/pypi/pycrypto/json" if latest else "/pypi/pycrypto/2.6.1/json"
        if ("GET", path) not in index.replies:
            index.release("pycrypto", "2.6.1", [{"id": "PYSEC-1"}], latest=latest)
    return PypiJson(index.source(bounds=bounds), Capabilities(cache, day), day, latest=latest)


def statuses(answer: Answer) -> dict[str, str]:
    return {purl: state.status for state in answer.states for purl in state.purls}


def test_one_post_answers_for_a_tree_of_a_hundred(index: Registry) -> None:
    index.bulk({"thing-7": [bulk_item("<1.2.0", cvss={"score": 9.8, "vectorString": CRITICAL})]})
    tree = [npm(f"thing-{number}", "1.0.0") for number in range(100)]
    report = collect([bulk(index)], tree)
    assert [request[:2] for request in index.requests] == [("POST", BULK)]
    assert len(index.requests[0][2]) == 101
    (finding,) = report.findings
    assert (finding.check, finding.purl, finding.severity) == ("C1", "pkg:npm/thing-7@1.0.0", "critical")
    assert finding.data["fixed"] == "1.2.0"
    assert finding.data["cvss"] == 9.8
    assert finding.remedy == "use thing-7 1.2.0 or later"
    (state,) = report.sources
    assert (state.status, state.feeds, len(state.purls)) == ("ok", ("C1", "G2", "G5"), 100)


def test_an_advisory_counts_only_for_the_version_that_it_covers(index: Registry) -> None:
    index.bulk({"@s/thing": [bulk_item("<1.2.0")]})
    answer = bulk(index).ask([npm("@s/thing", "1.0.0"), npm("@s/thing", "2.0.0")])
    assert index.requests[0][2]["@s/thing"] == ["1.0.0", "2.0.0"]
    assert [hit.subject.version for hit in answer.hits] == ["1.0.0"]
    assert set(statuses(answer).values()) == {"ok"}


def test_a_range_that_cannot_be_read_is_reported_as_undecided(index: Registry) -> None:
    index.bulk({"thing": [bulk_item("certainly <<1")]})
    (finding,) = collect([bulk(index)], [npm("thing", "1.0.0")]).findings
    assert (finding.check, finding.rule, finding.data["undecided"]) == ("C1", "vulnerability-undecided", True)


def test_embedded_malicious_code_fires_the_malware_gate(index: Registry) -> None:
    index.bulk({"thing": [bulk_item("*", cwe=["CWE-506"], severity="critical")]})
    (finding,) = collect([bulk(index)], [npm("thing", "1.0.0")]).findings
    assert (finding.check, finding.rule, finding.severity) == ("G2", "known-malicious", "critical")


FAILURES: list[Any] = [
    pytest.param(404, "unavailable", id="404"),
    pytest.param(405, "unavailable", id="405"),
    pytest.param(410, "unavailable", id="410"),
    pytest.param(401, "unavailable", id="401"),
    pytest.param(500, "unavailable", id="500"),
    pytest.param(503, "unavailable", id="503"),
    pytest.param(204, "unavailable", id="no content"),
    pytest.param((301, b""), "unavailable", id="redirect"),
    pytest.param(drip, "unavailable", id="drip"),
    pytest.param(drip_headers, "unavailable", id="drip of headers"),
    pytest.param(hang_up, "unavailable", id="hung up"),
    pytest.param(bomb, "error", id="bomb"),
    pytest.param(b"<html>welcome</html>", "error", id="html"),
    pytest.param(b"", "error", id="empty body"),
    pytest.param(b"null", "error", id="null"),
    pytest.param(b"[]", "error", id="list"),
    pytest.param(b'{"a": [', "error", id="cut off"),
    pytest.param(b"\xff\xfe{}", "error", id="not utf-8"),
    pytest.param(b"[" * 200_000, "error", id="deep"),
    pytest.param(b'{"x":' + b"[" * 200_000, "error", id="deep in an unknown field"),
    pytest.param(b" " * (5 * 1024 * 1024), "error", id="huge"),
]


@pytest.mark.parametrize(("reply", "wanted"), FAILURES)
def test_no_failure_of_the_npm_registry_passes_for_clean(index: Registry, reply: Any, wanted: str) -> None:
    index.serve("POST", BULK, reply)
    begun = time.perf_counter()
    answer = bulk(index, bounds=QUICK if reply in (drip, drip_headers) else PATIENT).ask([npm("thing", "1.0.0")])
    assert statuses(answer) == {"pkg:npm/thing@1.0.0": wanted}
    assert all(state.reason for state in answer.states)
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize(
    "reply",
    [
        {"thing": "none"},
        {"thing": [{"id": 1}]},
        {"thing": [bulk_item("<1") | {"vulnerable_versions": 5}]},
        {"thing": [bulk_item("<1") | {"url": None}]},
        {"thing": [bulk_item("<9.0.0")] * 3000},
    ],
    ids=["text", "no range", "number as range", "no url", "too many"],
)
def test_a_bulk_answer_of_another_shape_is_an_error(index: Registry, reply: dict[str, Any]) -> None:
    index.bulk(reply)
    assert statuses(bulk(index).ask([npm("thing", "1.0.0")])) == {"pkg:npm/thing@1.0.0": "error"}


@pytest.mark.parametrize("reply", [{}, {"minimist": []}, {"minimist": [bulk_item("<0.0.1")]}], ids=str)
def test_a_registry_that_misses_what_everybody_knows_has_not_answered(index: Registry, reply: dict[str, Any]) -> None:
    index.serve("POST", BULK, reply)
    assert statuses(bulk(index).ask([npm("thing", "1.0.0")])) == {"pkg:npm/thing@1.0.0": "unavailable"}


def test_the_question_that_tests_the_registry_is_no_finding(index: Registry) -> None:
    index.bulk({})
    answer = bulk(index).ask([npm("minimist", "1.2.8")])
    assert index.requests[0][2] == {"minimist": ["0.0.8", "1.2.8"]}
    assert (answer.hits, set(statuses(answer).values())) == ((), {"ok"})


def test_an_outage_that_passes_is_asked_once_more(index: Registry) -> None:
    replies = iter([503, 200])

    def flaky(handler: Any) -> None:
        status = next(replies)
        body = json.dumps({"minimist": [bulk_item("<1.0.0")]}).encode() if status == 200 else b""
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    index.serve("POST", BULK, flaky)
    assert set(statuses(bulk(index).ask([npm("thing", "1.0.0")])).values()) == {"ok"}
    assert len(index.requests) == 2


def test_nobody_listening_is_unavailable() -> None:
    source = JsonSource("http://127.0.0.1:1", bounds=QUICK, sleep=lambda _: None)
    assert statuses(NpmBulk(source, DAY).ask([npm("thing", "1.0.0")])) == {"pkg:npm/thing@1.0.0": "unavailable"}


def test_reasons_hold_neither_address_nor_credentials(index: Registry) -> None:
    url = index.url.replace("http://", "http://user:hunter2@")
    source = JsonSource(url, bounds=QUICK)
    (state,) = NpmBulk(source, DAY).ask([npm("thing", "1.0.0")]).states
    assert "hunter2" not in source.url
    assert "127.0.0.1" not in state.reason


def test_other_ecosystems_are_not_asked_about(index: Registry) -> None:
    assert bulk(index).ask([pypi("thing", "1.0")]) == Answer(())
    assert json_api(index).ask([npm("thing", "1.0.0")]) == Answer(())
    assert index.requests == []


def test_each_release_is_asked_for_and_found(index: Registry) -> None:
    index.release("thing", "1.0", [{"id": "PYSEC-2", "aliases": ["CVE-1"], "fixed_in": ["0.9", "1.4", "2.0"]}])
    index.release("clean", "2.0", [])
    report = collect([json_api(index)], [pypi("Thing", "1.0"), pypi("clean", "2.0")])
    (finding,) = report.findings
    assert finding.data["id"] == "PYSEC-2"
    assert finding.data["aliases"] == "CVE-1"
    assert finding.data["fixed"] == "1.4"
    assert finding.severity == "high"
    assert "cvss" not in finding.data
    (state,) = report.sources
    assert (state.status, len(state.purls)) == ("ok", 2)


def test_a_withdrawn_vulnerability_is_none(index: Registry) -> None:
    index.release("thing", "1.0", [{"id": "PYSEC-2", "withdrawn": "2026-01-01T00:00:00Z"}])
    assert json_api(index).ask([pypi("thing", "1.0")]).hits == ()


@pytest.mark.parametrize(("reply", "wanted"), FAILURES)
def test_no_failure_of_the_index_passes_for_clean(index: Registry, reply: Any, wanted: str) -> None:
    index.serve("GET", "/pypi/thing/1.0/json", reply)
    provider = json_api(index, bounds=QUICK if reply in (drip, drip_headers) else PATIENT)
    begun = time.perf_counter()
    assert statuses(provider.ask([pypi("thing", "1.0")])) == {"pkg:pypi/thing@1.0": wanted}
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize(
    "reply",
    [
        {"info": {"name": "thing", "version": "1.0"}},
        {"info": {"name": "thing", "version": "1.0"}, "vulnerabilities": None},
        {"info": {"name": "thing", "version": "1.0"}, "vulnerabilities": [{"aliases": []}]},
        {"info": {"name": "thing", "version": "1.0"}, "vulnerabilities": [{"id": "no id\n"}]},
        {"info": {"name": "thing", "version": "1.1"}, "vulnerabilities": []},
        {"info": {"name": "other", "version": "1.0"}, "vulnerabilities": []},
        {"vulnerabilities": []},
    ],
    ids=["no field", "null", "no id", "bad id", "another version", "another project", "no info"],
)
def test_a_document_about_something_else_is_an_error(index: Registry, reply: dict[str, Any]) -> None:
    index.serve("GET", "/pypi/thing/1.0/json", reply)
    assert statuses(json_api(index).ask([pypi("thing", "1.0")])) == {"pkg:pypi/thing@1.0": "error"}


def test_a_mirror_without_the_document_is_probed_once_a_day(index: Registry, tmp_path: Path) -> None:
    index.serve("GET", "/pypi/pycrypto/2.6.1/json", 404)
    tree = [pypi(f"thing-{number}", "1.0") for number in range(30)]
    for _ in range(3):
        assert set(statuses(json_api(index, cache=tmp_path).ask(tree)).values()) == {"unavailable"}
    assert len(index.requests) == 1
    json_api(index, cache=tmp_path, day="2026-11-24").ask(tree)
    assert len(index.requests) == 2


def test_an_outage_is_not_remembered(index: Registry, tmp_path: Path) -> None:
    index.serve("GET", "/pypi/pycrypto/2.6.1/json", 500)
    json_api(index, cache=tmp_path).ask([pypi("thing", "1.0")])
    index.release("pycrypto", "2.6.1", [{"id": "PYSEC-1"}])
    index.release("thing", "1.0", [])
    assert set(statuses(json_api(index, cache=tmp_path).ask([pypi("thing", "1.0")])).values()) == {"ok"}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"day": "2026-11-23", "endpoints": []}', b"[" * 100_000, b"\xff"])
def test_a_damaged_memory_is_probed_again(index: Registry, tmp_path: Path, content: bytes) -> None:
    index.release("thing", "1.0", [])
    provider = json_api(index, cache=tmp_path)
    provider.ask([pypi("thing", "1.0")])
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(content)
    assert set(statuses(provider.ask([pypi("thing", "1.0")])).values()) == {"ok"}


def test_an_index_whose_lists_are_always_empty_has_not_answered(index: Registry) -> None:
    index.release("pycrypto", "2.6.1", [])
    index.release("thing", "1.0", [])
    assert statuses(json_api(index).ask([pypi("thing", "1.0")])) == {"pkg:pypi/thing@1.0": "unavailable"}


def test_the_stripped_dialect_answers_for_latest_releases_only(index: Registry) -> None:
    """Per-version documents are 404; the project's document is real, but speaks of its latest release."""
    index.serve("GET", "/pypi/pycrypto/2.6.1/json", 404)
    index.release("current", "3.0", [{"id": "PYSEC-3"}], latest=True)
    index.release("behind", "9.0", [], latest=True)
    providers = [json_api(index), json_api(index, latest=True)]
    report = collect(providers, [pypi("current", "3.0"), pypi("behind", "1.0"), npm("thing", "1.0.0")])
    assert [finding.data["id"] for finding in report.findings] == ["PYSEC-3"]
    ok = {purl for state in report.sources if state.status == "ok" for purl in state.purls}
    assert ok == {"pkg:pypi/current@3.0"}
    assert {state.id for state in report.sources} == {"pypi-version-json", "pypi-latest-json"}


def test_the_latest_document_is_asked_for_only_where_the_version_had_none(index: Registry) -> None:
    index.release("thing", "1.0", [])
    index.release("pycrypto", "2.6.1", [{"id": "PYSEC-1"}], latest=True)
    index.release("rare", "1.0", [], latest=True)
    collect([json_api(index), json_api(index, latest=True)], [pypi("thing", "1.0"), pypi("rare", "1.0")])
    asked = [path for _, path, _ in index.requests]
    assert "/pypi/thing/json" not in asked
    assert "/pypi/rare/json" in asked


def test_questions_about_a_tree_are_asked_at_most_eight_at_once(index: Registry) -> None:
    gate = threading.Event()

    def slow(name: str) -> Any:
        def reply(handler: Any) -> None:
            gate.wait(0.05)
            body = json.dumps({"info": {"name": name, "version": "1.0"}, "vulnerabilities": []}).encode()
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        return reply

    tree = [pypi(f"thing-{number}", "1.0") for number in range(40)]
    for subject in tree:
        index.serve("GET", f"/pypi/{subject.name}/1.0/json", slow(subject.name))
    assert set(statuses(json_api(index).ask(tree)).values()) == {"ok"}
    assert 2 <= index.most_at_once <= 8


def test_a_name_cannot_leave_its_segment_of_the_path(index: Registry) -> None:
    json_api(index).ask([pypi("a/../../simple/x", "1.0?x#y")])
    assert index.requests[-1][1] == "/pypi/a%2F-%2F-%2Fsimple%2Fx/1.0%3Fx%23y/json"

"""The forms a verdict leaves in: our own JSON, SARIF 2.1.0 and CycloneDX 1.6, each held to its schema."""

import dataclasses
import json
import warnings
from typing import Any

import pytest
from hypothesis import given

from unit.vetting.verdict.making import (
    DEEP,
    DEP,
    PACKAGE_STAGE,
    ROOT,
    TODAY,
    evidence,
    evidences,
    finding,
    package,
    policies,
    source,
    waiver,
    with_dependency,
    with_finding,
    with_root,
)
from vsm_operator.domain.vetting.cyclonedx import bom
from vsm_operator.domain.vetting.model import Evidence
from vsm_operator.domain.vetting.policy import PRODUCTION, Policy
from vsm_operator.domain.vetting.sarif import sarif
from vsm_operator.domain.vetting.verdict import cache_key, evaluate


def judged(value: Evidence, **changes: Any) -> Any:
    return evaluate(value, dataclasses.replace(PRODUCTION, **changes), today=TODAY)


def dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def valid_cyclonedx(document: dict[str, Any]) -> None:
    schema = pytest.importorskip("cyclonedx.schema", reason="brings the official schemas")
    validation = pytest.importorskip("cyclonedx.validation.json")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the validator's own
        error = validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(dump(document))
    assert error is None, str(error.data)[:500] if error else ""


def valid_sarif(document: dict[str, Any]) -> None:
    models = pytest.importorskip("pydantic_sarif.model", reason="models made from the official schema")
    models.StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate_json(dump(document))


def test_the_json_has_the_promised_fields() -> None:
    shown = judged(with_finding(finding("C1", DEEP, data={"id": "GHSA-1", "cvss": 7.5}))).to_json(duration_ms=12)
    promised = {
        "package", "ecosystem", "version", "integrity", "verdict", "score", "coverage", "gates", "checks", "tree",
        "datasets", "durationMs",
    }  # fmt: skip
    assert promised <= set(shown)
    assert (shown["package"], shown["ecosystem"], shown["version"]) == ("@acme/server", "npm", "1.2.3")
    assert [gate["id"] for gate in shown["gates"]] == [f"G{n}" for n in range(1, 13)]
    assert all({"id", "fired", "evidence"} <= set(gate) for gate in shown["gates"])
    assert [check["id"] for check in shown["checks"]] == [f"C{n}" for n in range(1, 12)]
    assert all({"id", "weight", "score", "conclusive", "evidence"} <= set(check) for check in shown["checks"])
    assert shown["tree"]["packages"] == sorted([ROOT, DEP, DEEP])
    assert shown["tree"]["edges"] == sorted([[ROOT, DEP], [DEP, DEEP]])
    assert shown["datasets"] == [{"name": "advisories", "digest": "sha256:aa", "asOf": "2026-11-23"}]
    seen = shown["checks"][0]["evidence"][0]
    assert (seen["purl"], seen["path"], seen["data"]["id"]) == (DEEP, [ROOT, DEEP], "GHSA-1")


def test_how_long_it_took_is_no_part_of_the_verdict() -> None:
    assert "durationMs" not in judged(evidence()).to_json()


def test_a_flood_of_findings_is_cut_and_counted() -> None:
    flood = tuple(finding("C1", DEEP, rule=f"r{n}", severity="low") for n in range(500))
    shown = judged(with_dependency(findings=flood)).to_json()
    assert (len(shown["checks"][0]["evidence"]), shown["checks"][0]["omitted"]) == (20, 480)


def test_the_cache_key_follows_artefacts_data_rules_and_policy_and_nothing_else() -> None:
    base = cache_key(evidence(), PRODUCTION)
    assert cache_key(dataclasses.replace(evidence(), collected_at="later"), PRODUCTION) == base
    others = [
        cache_key(with_dependency(artifact_digest="sha256:ff"), PRODUCTION),
        cache_key(evidence(datasets=()), PRODUCTION),
        cache_key(evidence(rule_pack="2026.12"), PRODUCTION),
        cache_key(evidence(stage="trial"), PRODUCTION),
        cache_key(evidence(tools_hash="sha256:00"), PRODUCTION),
        cache_key(evidence(), dataclasses.replace(PRODUCTION, min_score=81)),
    ]
    assert len({base, *others}) == 7


@given(evidences(), policies)
def test_every_verdict_is_valid_sarif_and_cyclonedx(value: Evidence, policy: Policy) -> None:
    verdict = evaluate(value, policy, today=TODAY)
    valid_sarif(sarif(verdict))
    valid_cyclonedx(bom(value, verdict=verdict))


def test_the_validators_refuse_what_is_wrong() -> None:
    document = sarif(judged(evidence()))
    document["runs"][0]["results"][0]["level"] = "terrible"
    with pytest.raises(ValueError, match="level"):
        valid_sarif(document)
    with pytest.raises(AssertionError):
        valid_cyclonedx(bom(evidence()) | {"components": [{"name": "left"}]})


def test_sarif_names_rule_level_place_and_way_out() -> None:
    found = finding("G9", DEEP, severity="low", file="dist/a b.js", line=4, remedy="use 2.0.1", snippet_sha256="ab")
    document = sarif(judged(with_finding(found)))
    result = document["runs"][0]["results"][0]
    assert (result["ruleId"], result["level"]) == ("G9", "error")
    assert document["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "G9"
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "right%403.0.0/dist/a%20b.js"}, "region": {"startLine": 4}}
    assert "use 2.0.1" in result["message"]["text"]
    valid_sarif(document)


@pytest.mark.parametrize(
    "file", ["../../../etc/passwd", "/etc/passwd", "https://evil.invalid/x", "a/./../b", "C:\\x", "%2e%2e/x"]
)
def test_a_path_from_a_package_stays_below_it(file: str) -> None:
    document = sarif(judged(with_finding(finding("C2", ROOT, file=file, data={"points": 1}))))
    uris = [
        place["physicalLocation"]["artifactLocation"]["uri"]
        for result in document["runs"][0]["results"]
        for place in result["locations"]
        if "physicalLocation" in place
    ]
    assert uris
    for uri in uris:
        assert uri.startswith("%40acme/server%401.2.3/")
        assert ".." not in uri.split("/")
        assert ":" not in uri
    valid_sarif(document)


def test_waived_findings_are_suppressed_with_their_reason_and_not_left_out() -> None:
    verdict = judged(with_dependency(install_scripts=("install",)), waivers=(waiver("G7"), waiver("C3")))
    results = sarif(verdict)["runs"][0]["results"]
    suppressed = [each for each in results if "suppressions" in each]
    assert {each["ruleId"] for each in suppressed} == {"G7", "C3"}
    assert "looked at" in suppressed[0]["suppressions"][0]["justification"]


def test_sources_that_did_not_answer_are_notifications() -> None:
    rest = source(*(name for name in PACKAGE_STAGE if name != "C1"))
    verdict = judged(evidence(sources=(rest, source("C1", id="bulk", status="unavailable", reason="405"))))
    told = sarif(verdict)["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert [each["message"]["text"] for each in told] == ["bulk is unavailable: 405"]


def test_the_bill_of_materials_has_digests_licences_and_the_graph() -> None:
    document = bom(evidence())
    assert document["metadata"]["component"]["bom-ref"] == ROOT
    assert (document["metadata"]["component"]["group"], document["metadata"]["component"]["name"]) == (
        "@acme",
        "server",
    )
    assert [each["purl"] for each in document["components"]] == [DEP, DEEP]
    assert document["components"][0]["hashes"] == [{"alg": "SHA-512", "content": "00" * 64}]
    assert document["components"][0]["licenses"] == [{"expression": "MIT"}]
    assert {"ref": DEP, "dependsOn": [DEEP]} in document["dependencies"]
    valid_cyclonedx(document)


def test_the_bill_of_materials_tells_vulnerabilities_once_with_all_they_affect_and_what_is_waived() -> None:
    both = finding("C1", DEP, severity="high", data={"id": "GHSA-1", "cvss": 7.5})
    value = with_finding(dataclasses.replace(both, purl=DEEP), onto=with_finding(both))
    verdict = judged(value, waivers=(waiver("C1", "left", rule="GHSA-1"),))
    [told] = bom(value, verdict=verdict)["vulnerabilities"]
    assert told["affects"] == [{"ref": DEP}, {"ref": DEEP}]
    assert told["ratings"] == [{"severity": "high", "score": 7.5}]
    assert "looked at" in told["analysis"]["detail"]


@pytest.mark.parametrize("digest", ["", "sha512-!!!", "sha512-AAAA", "md5-AAAA", "sha256:zz", "-", ":"])
def test_a_digest_that_is_none_is_left_out(digest: str) -> None:
    document = bom(evidence(package(integrity=digest, artifact_digest=digest)))
    assert "hashes" not in document["metadata"]["component"]
    valid_cyclonedx(document)


@pytest.mark.parametrize("licence", ["FILE", "UNKNOWN", None, "as you like", "MIT OR ISC"])
@pytest.mark.parametrize("repository", [None, "https://code.invalid/a b", "git@code.invalid:x", "javascript:alert(1)"])
def test_hostile_or_missing_fields_make_no_invalid_bill(licence: str | None, repository: str | None) -> None:
    valid_cyclonedx(bom(with_root(licence=licence, repository=repository)))


def test_the_serial_number_follows_the_content() -> None:
    assert bom(evidence())["serialNumber"] == bom(evidence())["serialNumber"]
    assert bom(evidence())["serialNumber"] != bom(with_dependency(licence="ISC"))["serialNumber"]

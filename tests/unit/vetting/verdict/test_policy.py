"""Policies: complete, checked when they are made, and identified by what they demand."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given

from unit.vetting.verdict.making import DEEP, finding, package, policies, waiver
from vsm_operator.domain.vetting.policy import BLOCKED_PACKAGES, DEVELOPMENT, PRODUCTION, Policy

NODE_BUILT_INS = "child_process cluster dgram dns net tls crypto fs path os process eval vm domain"


def test_the_built_in_policy_blocks_the_fourteen_names() -> None:
    assert set(BLOCKED_PACKAGES) == set(NODE_BUILT_INS.split())


def test_nothing_given_is_the_production_policy_and_a_profile_brings_its_own_defaults() -> None:
    assert Policy.from_json({}) == PRODUCTION
    assert Policy.from_json({"profile": "development"}) == DEVELOPMENT
    changed = Policy.from_json({"profile": "development", "minScore": 75, "blockedPackages": ["left"]})
    assert changed == dataclasses.replace(DEVELOPMENT, min_score=75, blocked_packages=("left",))


@given(policies)
def test_a_policy_survives_json(policy: Policy) -> None:
    again = Policy.from_json(json.loads(json.dumps(policy.to_json())))
    assert again.to_json() == policy.to_json()
    assert again.digest() == policy.digest()


def test_the_digest_follows_the_demands_and_not_their_order() -> None:
    assert PRODUCTION.digest() == dataclasses.replace(PRODUCTION, blocked_packages=BLOCKED_PACKAGES[::-1]).digest()
    seen = {PRODUCTION.digest(), DEVELOPMENT.digest()}
    for changes in (
        {"min_score": 81}, {"blocked_packages": ()}, {"waivers": (waiver("C2"),)}, {"waivers": (waiver("C3"),)},
        {"inconclusive_allowed": True}, {"licences": ("MIT",)}, {"required": ("C1",)},
    ):  # fmt: skip
        seen.add(dataclasses.replace(PRODUCTION, **changes).digest())
    assert len(seen) == 9


WAIVER = {"check": "C2", "package": "left", "versions": "*", "reason": "read it", "expires": "2027-01-01"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"minScroe": 3}, "no such field: 'minScroe'"),
        ({"profile": "test"}, "no such profile"),
        ({"minScore": "80"}, "minScore is of type int"),
        ({"minScore": True}, "minScore is of type int"),
        ({"minScore": 101}, "minScore is between 0 and 100"),
        ({"minCoveragePercent": -1}, "minCoveragePercent is between"),
        ({"minReleaseAgeHours": 10**9}, "minReleaseAgeHours is between"),
        ({"whitelistEnforced": "false"}, "whitelistEnforced is of type bool"),
        ({"lifecycleScripts": "Maybe"}, "Deny or Allow"),
        ({"blockedPackages": "fs"}, "blockedPackages is a list"),
        ({"blockedPackages": [""]}, "blockedPackages is a list of strings"),
        ({"blockedPackages": [7]}, "blockedPackages is a list of strings"),
        ({"blockedPackages": ["pkg:cargo/left"]}, "names no package"),
        ({"required": ["C99"]}, "no such check or gate"),
        ({"waivers": {}}, "waivers is a list"),
        ({"waivers": ["C2"]}, "a waiver has only"),
        ({"waivers": [{**WAIVER, "until": "2027"}]}, "a waiver has only"),
        ({"waivers": [{**WAIVER, "check": 2}]}, "a waiver has only"),
        ({"waivers": [{"check": "C2"}]}, "a waiver needs expires"),
        ({"waivers": [{**WAIVER, "check": "G3"}]}, "G3 cannot be waived"),
        ({"waivers": [{**WAIVER, "check": "C12"}]}, "no such check"),
        ({"waivers": [{**WAIVER, "reason": " "}]}, "reason are needed"),
        ({"waivers": [{**WAIVER, "expires": "soon"}]}, "Invalid isoformat"),
        ({"waivers": [{**WAIVER, "package": "@acme/*"}]}, "one name"),
        ({"waivers": [{**WAIVER, "package": "left@1"}]}, "one name"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_with_a_sentence(value: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        Policy.from_json(value)


def test_a_waiver_is_for_one_ecosystem_where_it_says_so() -> None:
    found = finding("C2", DEEP)
    assert waiver("C2").covers(found, package(DEEP))
    assert waiver("C2", "pkg:npm/right").covers(found, package(DEEP))
    assert not waiver("C2", "pkg:pypi/right").covers(found, package(DEEP))
    spelled = package("pkg:pypi/foo-bar@1.0", name="Foo_Bar")
    assert waiver("C2", "foo.bar", versions="<2").covers(finding("C2", spelled.purl), spelled)


def test_scripts_are_excused_for_the_npm_package_of_that_name_only() -> None:
    assert all(entry.startswith("pkg:npm/") for entry in PRODUCTION.allowed_install_scripts)

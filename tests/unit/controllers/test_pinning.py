"""Which tools are admitted: by whom, for which artefact, and for how long."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.controllers.kit import NPM, read
from vsm_operator.api.v1alpha1 import McpServerStatus, ToolsStatus
from vsm_operator.controllers.mcpserver.pinning import Pin, decide
from vsm_operator.resources.common import Owner
from vsm_operator.resources.pins import MAX_KEPT

ONE, TWO, THREE = ("sha256:" + digit * 64 for digit in "123")
ARTIFACT, OTHER_ARTIFACT = "sha256:" + "a" * 64, "sha256:" + "b" * 64
KEY, OTHER_KEY = ARTIFACT.replace(":", "-"), OTHER_ARTIFACT.replace(":", "-")
OWNER = Owner("team", "memory", "uid")


def status(pinned: str | None = None, *, artifact: str = ARTIFACT, handled: str | None = None) -> McpServerStatus:
    tools = ToolsStatus(hash=pinned, pinned_hash=pinned, pinned_artifact=artifact) if pinned else None
    return McpServerStatus(tools=tools, last_handled_admission=handled)


def decided(mode: str = "TrustOnFirstUse", **changes: Any) -> Pin:
    given_: dict[str, Any] = {"artifact": ARTIFACT, "admission": "", "before": status(), "kept": {}} | changes
    return decide(read(NPM | {"toolPin": mode}), **given_)


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param({}, "", id="nothing known yet"),
        pytest.param({"before": status(ONE)}, ONE, id="as the status says"),
        pytest.param({"kept": {KEY: ONE}}, ONE, id="as the ConfigMap says, the status was lost"),
        pytest.param({"before": status(ONE), "kept": {KEY: TWO}}, ONE, id="the ConfigMap was edited by hand"),
        pytest.param({"before": status(ONE, artifact=OTHER_ARTIFACT)}, "", id="another version starts afresh"),
        pytest.param(
            {"before": status(ONE, artifact=OTHER_ARTIFACT), "kept": {KEY: TWO}}, TWO, id="back to a known version"
        ),
        pytest.param({"before": status(ONE), "admission": TWO}, TWO, id="a person admits"),
        pytest.param({"admission": TWO}, TWO, id="a person admits beforehand"),
        pytest.param(
            {"before": status(THREE, handled=TWO), "admission": TWO}, THREE, id="an admission that counted before"
        ),
        pytest.param(
            {"before": status(TWO, artifact=OTHER_ARTIFACT, handled=TWO), "admission": TWO},
            "",
            id="an admission left in the manifest says nothing of a later version",
        ),
        pytest.param(
            {"before": status(ONE, handled=TWO), "admission": f"{TWO}@again"}, TWO, id="the same hash admitted again"
        ),
        pytest.param(
            {"before": status(ONE, handled=f"{TWO}@again"), "admission": f"{TWO}@again"}, ONE, id="and it counts once"
        ),
        pytest.param({"before": status(ONE), "admission": "yes"}, ONE, id="an admission that is no hash"),
        pytest.param({"kept": {KEY: "garbage"}}, "", id="a pin that is no hash"),
    ],
)
def test_first_use_decides_until_a_person_does(changes: dict[str, Any], want: str) -> None:
    pin = decided(**changes)
    assert pin.hash == want
    assert pin.awaits_first_use == (not want)


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param({}, "", id="nobody has admitted anything"),
        pytest.param({"admission": ONE}, ONE, id="a person admits"),
        pytest.param({"admission": f"{ONE}@again"}, ONE, id="a person admits again"),
        pytest.param({"admission": ONE, "before": status(ONE, handled=ONE)}, ONE, id="and it stays so"),
        pytest.param({"before": status(ONE, handled=ONE), "kept": {"admitted": ONE}}, "", id="taken back"),
        pytest.param({"admission": "sha256:abc"}, "", id="no hash"),
        pytest.param({"kept": {"admitted": ONE}}, "", id="written into the ConfigMap by hand"),
    ],
)
def test_strict_admits_what_the_annotation_says_and_nothing_else(changes: dict[str, Any], want: str) -> None:
    pin = decided("Strict", **changes)
    assert pin.hash == want
    assert not pin.awaits_first_use
    assert pin.worth_storing
    assert pin.manifest(OWNER).get("data", {}) == ({"admitted": want} if want else {})


def test_off_decides_nothing_and_stores_nothing() -> None:
    pin = decided("Off", admission=ONE, before=status(TWO), kept={KEY: TWO})
    assert (pin.hash, pin.worth_storing, pin.awaits_first_use) == ("", False, False)


def test_annotation_that_is_no_hash_is_explained_and_does_not_count_as_handled() -> None:
    pin = decided(admission="latest", before=status(handled=ONE))
    assert "is not sha256: and 64 hex digits" in pin.trouble
    assert pin.handled == ONE
    assert decided(admission=TWO).trouble == ""


def test_annotation_that_is_taken_away_can_be_given_again() -> None:
    gone = decided(before=status(TWO, handled=ONE))
    assert gone.handled == ""
    assert decided(admission=ONE, before=status(TWO, handled=gone.handled or None)).hash == ONE


def test_first_use_is_stored_beside_the_pins_of_other_versions() -> None:
    pin = decided(kept={OTHER_KEY: TWO, "bad": "x"}).first_use(ONE)
    assert pin.manifest(OWNER)["data"] == {KEY: ONE, OTHER_KEY: TWO}


def test_pins_of_other_versions_are_bounded() -> None:
    kept = {f"sha256-{number:064x}": ONE for number in range(100)}
    assert len(decided(kept=kept).first_use(TWO).manifest(OWNER)["data"]) == MAX_KEPT + 1


hashes = st.sampled_from([ONE, TWO, THREE, "", "x"])


@given(
    st.sampled_from(["TrustOnFirstUse", "Strict"]),
    hashes,
    st.sampled_from([status(), status(ONE), status(TWO, artifact=OTHER_ARTIFACT), status(ONE, handled=TWO)]),
    st.dictionaries(st.sampled_from([KEY, OTHER_KEY, "admitted", "x"]), hashes),
)
def test_deciding_again_upon_what_was_written_says_the_same(
    mode: str, admission: str, before: McpServerStatus, kept: dict[str, str]
) -> None:
    once = decided(mode, admission=admission, before=before, kept=kept)
    written = status(once.hash or None, handled=once.handled or None)
    stored = once.manifest(OWNER).get("data", {}) if once.worth_storing else kept
    again = decided(mode, admission=admission, before=written, kept=stored)
    assert again.hash == once.hash
    assert again.handled == once.handled
    if again.worth_storing:
        assert again.manifest(OWNER) == once.manifest(OWNER)

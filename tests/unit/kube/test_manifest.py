"""Hash, drift and names: what decides whether anything is written at all."""

import json
import re
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsm_operator.kube.kinds import DEPLOYMENT, Key, Kind
from vsm_operator.kube.manifest import (
    APPLIED_HASH,
    canonical_hash,
    child_name,
    controller_of,
    drift,
    owner_reference,
    stamped,
    stripped,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(st.text(min_size=1, max_size=6), json_values, max_size=5)
names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,80}[a-z0-9])?", fullmatch=True)


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(item) for key, item in reversed(list(value.items()))}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(objects)
def test_hash_does_not_depend_on_the_order_of_keys(body: dict[str, Any]) -> None:
    manifest = {"metadata": {"name": "x"}, "spec": body}
    assert canonical_hash(manifest) == canonical_hash(shuffled(manifest))


@given(objects, objects)
def test_hash_differs_when_the_content_does(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (canonical_hash({"spec": one}) == canonical_hash({"spec": other})) == same


def test_hash_of_a_stamped_manifest_is_that_of_the_original() -> None:
    manifest = {"metadata": {"name": "x", "annotations": {"note": "y"}}, "spec": {}}
    bare = {"metadata": {"name": "x"}, "spec": {}}
    assert canonical_hash(stamped(manifest, "0" * 32)) == canonical_hash(manifest)
    assert canonical_hash(stamped(bare, "0" * 32)) == canonical_hash(bare)


def test_stamping_leaves_the_original_alone() -> None:
    manifest = {"metadata": {"name": "x", "annotations": {"note": "y"}}}
    before = deepcopy(manifest)
    assert stamped(manifest, "abc")["metadata"]["annotations"] == {"note": "y", APPLIED_HASH: "abc"}
    assert manifest == before


@given(objects)
def test_nothing_drifts_from_itself(body: dict[str, Any]) -> None:
    assert drift(body, deepcopy(body)) == []


@given(objects, objects)
def test_keys_of_others_are_not_drift(body: dict[str, Any], extra: dict[str, Any]) -> None:
    assert drift(body, {**extra, **body}) == []


@given(objects, st.data())
def test_a_removed_key_is_drift_and_named(body: dict[str, Any], data: st.DataObject) -> None:
    body = {**body, "always": 1}
    gone = data.draw(st.sampled_from(sorted(body)))
    live = {key: value for key, value in body.items() if key != gone}
    if gone == "value" and body[gone] == "":
        return  # an empty value is not sent back by the API server
    pointer = "/" + gone.replace("~", "~0").replace("/", "~1")
    assert drift(body, live) == [pointer]


@pytest.mark.parametrize(
    ("desired", "live", "want"),
    [
        pytest.param({"spec": {"replicas": 2}}, {"spec": {"replicas": 3}}, ["/spec/replicas"], id="changed value"),
        pytest.param({"a": [1, 2]}, {"a": [1, 2, 3]}, ["/a"], id="longer list"),
        pytest.param({"a": [{"b": 1}]}, {"a": [{"b": 2, "c": 3}]}, ["/a/0/b"], id="item of a list"),
        pytest.param({"a": 1}, {"a": True}, ["/a"], id="one is not true"),
        pytest.param({"a": {"b/c~d": 1}}, {"a": {}}, ["/a/b~1c~0d"], id="escaped pointer"),
        pytest.param({"a": {}}, {"a": []}, ["/a"], id="mapping instead of list"),
        pytest.param({"hostNetwork": False}, {}, [], id="zero value that is not sent back"),
        pytest.param({"hostNetwork": False}, {"hostNetwork": True}, ["/hostNetwork"], id="zero value overwritten"),
        pytest.param(
            {"automountServiceAccountToken": False},
            {},
            ["/automountServiceAccountToken"],
            id="false that protects is not taken for absent",
        ),
    ],
)
def test_drift(desired: Any, live: Any, want: list[str]) -> None:
    assert drift(desired, live) == want


def test_drift_names_at_most_max_paths() -> None:
    desired = {"a": {str(number): number for number in range(50)}, "b": [1]}
    assert len(drift(desired, {"a": {}, "b": [2]}, max_paths=3)) == 3
    with pytest.raises(ValueError, match="max_paths"):
        drift({}, {}, max_paths=0)


@given(names, st.sampled_from(["", "intake", "np"]), st.integers(10, 63))
def test_child_names_are_always_dns_labels(owner: str, suffix: str, length: int) -> None:
    name = child_name(owner, suffix, max_length=length)
    assert len(name) <= length
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert name == child_name(owner, suffix, max_length=length)


@given(names, names)
def test_different_owners_have_different_children(one: str, other: str) -> None:
    assert (child_name(one, "np") == child_name(other, "np")) == (one == other)


@pytest.mark.parametrize(
    ("owner", "suffix", "want"),
    [
        pytest.param("web", "intake", "web-intake", id="readable where possible"),
        pytest.param("web", "", "web", id="no suffix"),
        pytest.param("a.b", "", r"a-b-[0-9a-f]{8}", id="dot replaced, hash added"),
        pytest.param("9lives", "", r"x-9lives-[0-9a-f]{8}", id="digit first"),
        pytest.param("l" * 80, "np", r"l{54}-[0-9a-f]{8}", id="cut to length"),
    ],
)
def test_child_name(owner: str, suffix: str, want: str) -> None:
    assert re.fullmatch(want, child_name(owner, suffix))


def test_child_name_refuses_a_length_without_room_for_the_hash() -> None:
    with pytest.raises(ValueError, match="max_length"):
        child_name("web", max_length=9)


def test_stripped_drops_what_the_server_keeps_for_itself() -> None:
    body = {
        "metadata": {
            "name": "x",
            "managedFields": [{}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "y"},
        }
    }
    assert stripped(body) == {"metadata": {"name": "x", "annotations": {"note": "y"}}}


def test_the_controller_is_found_among_owners() -> None:
    kind = Kind("example.test", "v1", "widgets", "Widget")
    reference = owner_reference(kind, Key("Widget", "ns", "w"), "u1")
    body = {"metadata": {"ownerReferences": [{"kind": "Other", "uid": "u0"}, reference]}}
    assert controller_of(body) == reference
    assert controller_of({"metadata": {}}) is None


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2fb"])
def test_a_name_that_would_leave_its_path_segment_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        DEPLOYMENT.object_path(DEPLOYMENT.key("ns", name))


def test_paths_follow_group_and_scope() -> None:
    pod = Kind("", "v1", "pods", "Pod")
    assert DEPLOYMENT.collection_path() == "/apis/apps/v1/deployments"
    assert DEPLOYMENT.object_path(DEPLOYMENT.key("ns", "w")) == "/apis/apps/v1/namespaces/ns/deployments/w"
    assert pod.collection_path("ns") == "/api/v1/namespaces/ns/pods"
    assert pod.object_path(pod.key("", "w")) == "/api/v1/pods/w"

"""What holds for every object that the operator makes, whatever the spec and the settings are."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from support.podsecurity import containers, hardening_gaps, restricted_violations
from unit.resources import kit
from unit.resources.kit import Input, inputs
from vsm_operator.domain.quantity import canonical
from vsm_operator.kube.manifest import Manifest, canonical_hash

LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh", "env", "eval"}
some = settings(max_examples=40)


def pods(given_: Input) -> Iterator[Manifest]:
    for manifest in given_.manifests():
        if "template" in manifest.get("spec", {}):
            yield manifest["spec"]["template"]["spec"]


def walk(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, f"{path}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, f"{path}/{index}")


@some
@given(inputs)
def test_pod_satisfies_the_restricted_standard(given_: Input) -> None:
    for pod in pods(given_):
        assert restricted_violations(pod) == []


@some
@given(inputs)
def test_pod_has_read_only_roots_limits_bounded_scratch_and_no_token(given_: Input) -> None:
    for pod in pods(given_):
        assert hardening_gaps(pod) == []


@some
@given(inputs)
def test_container_is_limited_and_unprivileged_by_its_own_word(given_: Input) -> None:
    for pod in pods(given_):
        for name, container in containers(pod):
            context = container["securityContext"]
            assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}, name
            assert "0" not in container["resources"]["limits"].values(), name
            assert context["runAsUser"] >= 10_000, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name


@some
@given(inputs)
def test_nothing_of_the_host_is_touched(given_: Input) -> None:
    for manifest in given_.manifests():
        found = {path.rsplit("/", 1)[-1] for path, _ in walk(manifest)}
        assert not found & {"hostPath", "hostNetwork", "hostPID", "hostIPC", "hostPort", "privileged", "nodeName"}


@some
@given(inputs)
def test_request_is_at_most_the_limit(given_: Input) -> None:
    from vsm_operator.domain.quantity import value_of  # noqa: PLC0415

    for pod in pods(given_):
        for name, container in containers(pod):
            limits = container["resources"]["limits"]
            for what, amount in container["resources"]["requests"].items():
                assert value_of(amount) <= value_of(limits[what]), f"{what} of {name}"


@some
@given(inputs)
def test_manifest_says_only_what_is_meant(given_: Input) -> None:
    """An empty selector means everything; any other null, {} or [] would differ from what comes back."""
    for manifest in given_.manifests():
        empty = [path for path, value in walk(manifest) if value is None or value in ({}, [])]
        assert [path for path in empty if not path.endswith(("/podSelector", "/namespaceSelector"))] == []


@some
@given(inputs)
def test_manifest_is_plain_json(given_: Input) -> None:
    for manifest in given_.manifests():
        assert json.loads(json.dumps(manifest)) == manifest


@some
@given(inputs)
def test_quantity_is_canonical(given_: Input) -> None:
    for manifest in given_.manifests():
        for path, value in walk(manifest):
            if re.search(r"/(limits|requests)/[^/]+$|/sizeLimit$", path):
                assert value == canonical(value), path


@some
@given(inputs)
def test_name_and_labels_fit(given_: Input) -> None:
    for manifest in given_.manifests():
        metadata = manifest["metadata"]
        assert NAME.fullmatch(metadata["name"])
        template = manifest.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
        for value in (*metadata["labels"].values(), *template.values()):
            assert LABEL.fullmatch(value)


@some
@given(inputs)
def test_object_says_whose_it_is(given_: Input) -> None:
    for manifest in given_.manifests():
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "vsm-operator"
        if manifest["kind"] != "Job":
            (owner,) = manifest["metadata"]["ownerReferences"]
            assert (owner["kind"], owner["name"], owner["uid"]) == ("McpServer", "memory", kit.OWNER.uid)
            assert owner["controller"] is True


@some
@given(inputs)
def test_every_program_is_started_without_a_shell(given_: Input) -> None:
    for pod in pods(given_):
        for name, container in containers(pod):
            words = container.get("command", [])
            assert all(isinstance(word, str) for word in words)
            if words:
                assert words[0].rsplit("/", 1)[-1] not in SHELLS, name
            assert "lifecycle" not in container
            assert not any("exec" in container.get(probe, {}) for probe in ("livenessProbe", "readinessProbe"))


@some
@given(inputs)
def test_names_are_unique_where_kubernetes_merges_by_name(given_: Input) -> None:
    for pod in pods(given_):
        assert no_twins(volume["name"] for volume in pod["volumes"])
        assert no_twins(name for name, _ in containers(pod))
        for _, container in containers(pod):
            assert no_twins(entry["name"] for entry in container.get("env", []))
            assert no_twins(mount["mountPath"] for mount in container.get("volumeMounts", ()))


def no_twins(names: Iterator[str]) -> bool:
    found = list(names)
    return len(found) == len(set(found))


@some
@given(inputs)
def test_every_mount_has_its_volume_and_every_volume_a_use(given_: Input) -> None:
    for pod in pods(given_):
        mounted = {mount["name"] for _, container in containers(pod) for mount in container.get("volumeMounts", ())}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@some
@given(inputs)
def test_same_input_gives_equal_manifests_and_stays_as_it_was(given_: Input) -> None:
    before = (given_.spec.model_dump(), kit.BUNDLE.model_dump(), given_.settings.model_dump())
    first = given_.manifests()
    kept = copy.deepcopy(first)
    assert given_.manifests() == first
    assert (given_.spec.model_dump(), kit.BUNDLE.model_dump(), given_.settings.model_dump()) == before
    assert first == kept
    assert list(map(canonical_hash, first)) == list(map(canonical_hash, given_.manifests()))


def test_manifest_can_be_changed_without_changing_the_next() -> None:
    spoilt = kit.npm()
    for manifest in spoilt.manifests():
        for _, node in list(walk(manifest)):
            if isinstance(node, dict):
                node.clear()
    assert spoilt.deployment()["kind"] == "Deployment"


@pytest.mark.parametrize("field", ["command", "args"])
def test_hostile_words_stay_single_words(field: str) -> None:
    word = "x; rm -rf / $(reboot) `id` && curl \n"
    given_ = kit.npm(**{field: ["node", word]})
    assert word in given_.server()["command"]
    assert sum("rm -rf" in text for _, text in walk(given_.deployment()) if isinstance(text, str)) == 1

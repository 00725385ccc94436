"""Pure functions over manifests: what we want, whether the cluster has it, and what a child may be called."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vsm_operator.kube.kinds import Key, Kind

Manifest = dict[str, Any]
"""One decoded object. Renderers return new ones; nobody changes what was handed over."""

MANAGER = "vsm-operator"
"""Field manager of children, and the value of the managed-by label."""
STATUS_MANAGER = "vsm-operator-status"
APPLIED_HASH = "vsm-mcp.io/applied-hash"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_SELECTOR = f"{LABEL_MANAGED_BY}={MANAGER}"

MAX_NAME_LENGTH = 63
_HASH_LENGTH = 8
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")

# The API server leaves these out of its answers when they carry the zero value, so absent means equal.
_ZERO_IS_OMITTED: Mapping[str, object] = {
    "hostNetwork": False,
    "hostPID": False,
    "hostIPC": False,
    "readOnly": False,
    "stdin": False,
    "stdinOnce": False,
    "tty": False,
    "value": "",
}


def canonical_hash(manifest: Mapping[str, Any]) -> str:
    """Equal for equal content, whatever the order of keys. 128 bits as hex; the hash annotation itself is left out."""
    text = json.dumps(_without_hash(manifest), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def stamped(manifest: Manifest, digest: str) -> Manifest:
    """A copy that carries the hash of what was asked for."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED_HASH: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def drift(desired: Any, live: Any, *, max_paths: int = 20) -> list[str]:
    """Where `live` no longer carries what we asked for.

    Shape:  one decoded manifest each, neither mutated. Returns JSON Pointers such as "/spec/replicas"; [] is no drift.
    Rule:   mappings: desired is a subset of live, other keys belong to others. Lists: same length, compared by index.
            A few zero values that the API server never sends back count as present.
    Units:  nothing is converted; "500m" and "0.5" differ here, canonical quantities are the renderer's job.
    Errors: none for a missing key, that is drift; ValueError if max_paths < 1. Cost: O(size of desired).
    Source: RFC 6901 for the paths ("/" in a key becomes "~1").
    """
    if max_paths < 1:
        raise ValueError("max_paths must be at least 1")
    found: list[str] = []
    _compare(desired, live, "", found=found, max_paths=max_paths)
    return found


def stripped(body: Mapping[str, Any]) -> Manifest:
    """Without what the server keeps for itself: managedFields and the copy that `kubectl apply` leaves."""
    metadata = {key: value for key, value in body.get("metadata", {}).items() if key != "managedFields"}
    annotations = metadata.get("annotations")
    if annotations and "kubectl.kubernetes.io/last-applied-configuration" in annotations:
        metadata["annotations"] = {
            key: value
            for key, value in annotations.items()
            if key != "kubectl.kubernetes.io/last-applied-configuration"
        }
    return {**body, "metadata": metadata}


def child_name(owner: str, suffix: str = "", *, max_length: int = MAX_NAME_LENGTH) -> str:
    """A DNS-1035 label for a child, the same every time, and different for different (owner, suffix).

    Readable where it can be: "web" and "intake" give "web-intake". Whatever had to be changed or cut is replaced by
    a hash of the whole, so that "a.b" and "a-b" do not meet. Not unique against other owners' readable names: two
    owners "a" + "b-c" and "a-b" + "c" would share "a-b-c", hence a fixed set of suffixes without "-".

    Errors: ValueError when max_length leaves no room for a letter, a dash and the hash.
    """
    if max_length < _HASH_LENGTH + 2:
        raise ValueError(f"max_length must be at least {_HASH_LENGTH + 2}")
    readable = f"{owner}-{suffix}" if suffix else owner
    if len(readable) <= max_length and _DNS_1035.fullmatch(readable):
        return readable
    digest = hashlib.sha256(f"{owner}\0{suffix}".encode()).hexdigest()[:_HASH_LENGTH]
    safe = re.sub(r"[^a-z0-9]+", "-", readable.lower()).strip("-")
    if not safe[:1].isalpha():
        safe = f"x-{safe}"
    head = safe[: max_length - _HASH_LENGTH - 1].rstrip("-")
    return f"{head}-{digest}"


def owner_reference(kind: Kind, key: Key, uid: str) -> Manifest:
    """Makes the garbage collector take the child along. Owner and child must share the namespace."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": key.name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The one ownerReference that is marked as controller."""
    references: Sequence[Mapping[str, Any]] = body.get("metadata", {}).get("ownerReferences") or ()
    return next((reference for reference in references if reference.get("controller")), None)


def _without_hash(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    annotations = manifest.get("metadata", {}).get("annotations", {})
    if APPLIED_HASH not in annotations:
        return manifest
    kept = {key: value for key, value in annotations.items() if key != APPLIED_HASH}
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "annotations"}
    return {**manifest, "metadata": metadata | ({"annotations": kept} if kept else {})}


def _compare(desired: Any, live: Any, path: str, *, found: list[str], max_paths: int) -> None:
    if len(found) >= max_paths:
        return
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        for key, value in desired.items():
            if key in live:
                _compare(value, live[key], f"{path}/{_escaped(key)}", found=found, max_paths=max_paths)
            elif not (key in _ZERO_IS_OMITTED and _same(value, _ZERO_IS_OMITTED[key])) and len(found) < max_paths:
                found.append(f"{path}/{_escaped(key)}")
    elif isinstance(desired, list | tuple) and isinstance(live, list | tuple) and len(desired) == len(live):
        for index, (wanted, actual) in enumerate(zip(desired, live, strict=True)):
            _compare(wanted, actual, f"{path}/{index}", found=found, max_paths=max_paths)
    elif not _same(desired, live):
        found.append(path)


def _same(desired: object, live: object) -> bool:
    """JSON equality: Python's `True == 1` is not."""
    return desired == live and isinstance(desired, bool) == isinstance(live, bool)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vsm_operator.domain.packages import Ecosystem, PackageRef
from vsm_runtime.intake import job, npm
from vsm_runtime.intake.facts import BundleFacts, PackageFacts
from vsm_runtime.intake.settings import Settings
from vsm_runtime.oci import Manifest, OciCorruptError, digest_of

LAYER = "sha256:" + "a" * 64
PACKAGE = PackageRef(Ecosystem.NPM, "demo", "1.0.0")
ROOT = PackageFacts("node_modules/demo", "demo", "1.0.0", "sha512-x", "MIT", 5, 1)
FACTS = BundleFacts("npm", "demo", "1.0.0", npm.platform_name(), ("demo",), 5, 1, "sha256:l", "sha256:m", (ROOT,))
CONFIG = {"config": {"digest": digest_of(FACTS.to_json())}}


class Storage:
    """A bundle registry that answers every tag with one manifest."""

    def __init__(self, facts: bytes, *, manifest: Any = None, corrupt: bool = False) -> None:
        described = {"config": {"digest": digest_of(facts)}, "layers": [{"digest": LAYER, "size": 77}]}
        body = json.dumps(described if manifest is None else manifest).encode()
        self._found = Manifest(body, digest_of(body))
        self._facts = facts
        self._corrupt = corrupt

    def manifest(self, _: str) -> Manifest:
        return self._found

    def has_blob(self, digest: str) -> bool:
        return digest == LAYER

    def blob(self, digest: str, *, max_bytes: int) -> bytes:
        if self._corrupt:
            raise OciCorruptError("other content")
        assert digest == digest_of(self._facts)
        assert len(self._facts) < max_bytes
        return self._facts


def look_up(storage: Storage) -> Any:
    settings = Settings.from_env({"VSM_OCI_URL": "http://oci.invalid", "VSM_INTAKE_SCRATCH": str(Path("/nowhere"))})
    return job._look_up(storage, "k-1", PACKAGE, settings)  # type: ignore[arg-type]


def test_a_stored_bundle_for_this_platform_is_used() -> None:
    manifest, facts, size_bytes = look_up(Storage(FACTS.to_json()))
    assert (manifest.digest, facts, size_bytes) == (manifest.digest, FACTS, 77)


@pytest.mark.parametrize(
    "storage",
    [
        pytest.param(Storage(replace(FACTS, platform="linux/s390x/glibc").to_json()), id="another platform"),
        pytest.param(Storage(replace(FACTS, name="other").to_json()), id="another package"),
        pytest.param(Storage(replace(FACTS, version="2.0.0").to_json()), id="another version"),
        pytest.param(Storage(replace(FACTS, ecosystem="pypi").to_json()), id="another ecosystem"),
        pytest.param(Storage(b"{}"), id="unreadable facts"),
        pytest.param(Storage(FACTS.to_json(), corrupt=True), id="damaged facts"),
        pytest.param(Storage(FACTS.to_json(), manifest=[]), id="no manifest"),
        pytest.param(Storage(FACTS.to_json(), manifest={**CONFIG, "layers": []}), id="no layer"),
        pytest.param(
            Storage(FACTS.to_json(), manifest={**CONFIG, "layers": [{"digest": "gone", "size": 1}]}), id="lost layer"
        ),
        pytest.param(Storage(replace(FACTS, packages=()).to_json()), id="facts without the package"),
    ],
)
def test_a_stored_bundle_that_is_not_what_was_asked_for_is_made_again(storage: Storage) -> None:
    assert look_up(storage) is None

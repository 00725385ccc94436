"""One intake from request to outcome: is it there already? else fetch, bundle, push, and only then tag."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vsm_operator.domain.intake import IntakeReason, IntakeRequest, IntakeResult
from vsm_operator.domain.packages import Ecosystem, PackageRef
from vsm_runtime.intake import npm, pypi
from vsm_runtime.intake.bundle import Bundle, make_bundle
from vsm_runtime.intake.errors import IntakeError
from vsm_runtime.intake.facts import BundleFacts
from vsm_runtime.intake.progress import say
from vsm_runtime.intake.settings import Settings
from vsm_runtime.intake.stored import facts_of
from vsm_runtime.intake.tree import Tree
from vsm_runtime.oci import Manifest, OciClient, OciError
from vsm_runtime.oci_auth import Credentials


@dataclass(frozen=True, slots=True)
class _Source:
    build: Callable[..., Tree]
    platform: Callable[[Settings], str]


_SOURCES: Mapping[Ecosystem, _Source] = {
    Ecosystem.NPM: _Source(npm.build, lambda _: npm.platform_name()),
    Ecosystem.PYPI: _Source(pypi.build, pypi.platform_name),
}


def run(request: IntakeRequest, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> IntakeResult:
    """Raises IntakeError; then nothing was tagged, and the scratch directory is as it was found."""
    started = clock()

    def result(digest: str, *, facts: BundleFacts, size_bytes: int, cached: bool) -> IntakeResult:
        return IntakeResult(
            key=request.key,
            digest=digest,
            size_bytes=size_bytes,
            unpacked_bytes=facts.unpacked_bytes,
            name=facts.name,
            version=facts.version,
            integrity=facts.root.integrity,
            license=facts.root.license,
            packages=len(facts.packages),
            lifecycle_scripts=facts.lifecycle_scripts,
            entrypoints=facts.entrypoints,
            cached=cached,
            duration_ms=round((clock() - started) * 1000),
        )

    with _storage(settings) as storage:
        tag = f"k-{request.key}"
        known = _look_up(storage, tag, request.package, settings)
        if known is not None:
            manifest, facts, size_bytes = known
            say(f"already stored as {manifest.digest}")
            return result(manifest.digest, facts=facts, size_bytes=size_bytes, cached=True)
        bundle = _make_and_push(storage, tag, request.package, settings)
        return result(bundle.digest, facts=bundle.facts, size_bytes=bundle.size_bytes, cached=False)


def _make_and_push(storage: OciClient, tag: str, package: PackageRef, settings: Settings) -> Bundle:
    settings.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.scratch, prefix="intake-") as directory:
        scratch = Path(directory)
        tree = _SOURCES[package.ecosystem].build(package, settings=settings, scratch=scratch)
        bundle = make_bundle(tree, package, layer=scratch / "layer.tar.gz")
        say(f"bundled {bundle.facts.files} files, {bundle.facts.unpacked_bytes} bytes, packed {bundle.size_bytes}")
        try:
            storage.push_blob(bundle.layer_digest, bundle.layer)
            storage.push_blob(bundle.facts_digest, bundle.facts.to_json())
            storage.push_manifest(bundle.digest, bundle.manifest)
            storage.push_manifest(tag, bundle.manifest)
        except OciError as error:
            raise _storage_failed(error) from error
        say(f"stored as {bundle.digest}")
        return bundle


def _look_up(
    storage: OciClient, tag: str, package: PackageRef, settings: Settings
) -> tuple[Manifest, BundleFacts, int] | None:
    """The stored bundle, unless it is not what would be made here and now: then it is made again."""
    try:
        manifest = storage.manifest(tag)
        found = facts_of(manifest, storage) if manifest is not None else None
    except OciError as error:
        raise _storage_failed(error) from error
    if manifest is None or found is None:
        return None
    facts, size_bytes = found
    expected = (str(package.ecosystem), package.name, package.version)
    if (facts.ecosystem, facts.name, facts.version) != expected:
        return None
    if facts.platform != _SOURCES[package.ecosystem].platform(settings):
        say(f"stored for {facts.platform}, made again for this platform")
        return None
    return manifest, facts, size_bytes


def _storage(settings: Settings) -> OciClient:
    try:
        directory = settings.oci_credentials_dir
        credentials = Credentials.from_directory(directory) if directory is not None else None
        return OciClient(settings.oci_url, settings.oci_repository, credentials=credentials)
    except OSError as error:
        message = f"the credentials of the bundle registry cannot be read: {error.strerror}"
        raise IntakeError(IntakeReason.STORAGE_UNAVAILABLE, message) from error
    except ValueError as error:
        raise IntakeError(IntakeReason.INVALID_REQUEST, f"VSM_OCI_REPOSITORY: {error}") from error


def _storage_failed(error: OciError) -> IntakeError:
    return IntakeError(IntakeReason.STORAGE_UNAVAILABLE, f"the bundle registry: {error}")

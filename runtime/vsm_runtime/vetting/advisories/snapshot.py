"""The snapshot: a dump reduced to what matching needs, in one zip that is read by package and never whole.

`manifest.json` holds format, date, origin and the digest of every shard; `<ecosystem>/<shard>.json` maps package names
to entries in OSV's own shape. The same dump gives the same bytes. The digest of a snapshot is its manifest's, which
vouches for the shards; a shard that differs from it is as good as missing.

    python -m vsm_runtime.vetting.advisories.snapshot DUMP --output FILE
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec

from vsm_operator.domain.packages import Ecosystem
from vsm_runtime.vetting.advisories.dump import Reading, UnusableDump, entries, started
from vsm_runtime.vetting.advisories.index import Index, Key
from vsm_runtime.vetting.advisories.osv import (
    EMBEDDED_MALICIOUS_CODE,
    MAX_SUMMARY_LENGTH,
    Advisory,
    canonical_name,
    parse_advisory,
    printable,
)

FORMAT = 1
SHARDS = 256
MAX_MANIFEST_BYTES = 1024 * 1024
MAX_SHARD_BYTES = 64 * 1024 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)
_OSV_NAMES = {Ecosystem.NPM: "npm", Ecosystem.PYPI: "PyPI"}


class UnusableSnapshot(UnusableDump):
    """The file is no snapshot of this format, or not the one that its manifest describes."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`entries` and `malware` count by ecosystem; `shards` maps members of the zip to their SHA-256."""

    format: int
    as_of: str
    origin: str
    entries: dict[str, int]
    malware: dict[str, int]
    unreadable: int
    shards: dict[str, str]


def build(source: Path, target: Path, *, today: date) -> Manifest:
    """Writes the snapshot of a dump. Raises UnusableDump, OSError."""
    reading = started()
    counts = Index()
    packed: dict[Key, list[bytes]] = defaultdict(list)
    for name, content in entries(source, reading):
        try:
            raw = msgspec.json.decode(content)
            advisory = parse_advisory(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            reading.reject(name)
            continue
        counts.add(advisory, today=today, wanted=())
        for key in {(affected.ecosystem, affected.name) for affected in advisory.affected}:
            packed[key].append(_reduced(raw, advisory, key))
    return _write(target, packed, counts=counts, reading=reading)


def _write(target: Path, packed: Mapping[Key, list[bytes]], *, counts: Index, reading: Reading) -> Manifest:
    shards: dict[str, dict[str, list[bytes]]] = defaultdict(dict)
    for (ecosystem, name), reduced in packed.items():
        shards[member_of(ecosystem, name)][name] = sorted(reduced)
    handle, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # two may build at once
    os.close(handle)
    temporary = Path(part)
    digests: dict[str, str] = {}
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for member, names in sorted(shards.items()):
                content = msgspec.json.encode(
                    {name: [msgspec.Raw(each) for each in names[name]] for name in sorted(names)}
                )
                digests[member] = hashlib.sha256(content).hexdigest()
                archive.writestr(zipfile.ZipInfo(member, _EPOCH), content, zipfile.ZIP_DEFLATED)
            manifest = Manifest(
                format=FORMAT,
                as_of=counts.newest.isoformat() if counts.newest else "",
                origin=reading.digest,
                entries={str(ecosystem): counts.advisories[ecosystem] for ecosystem in Ecosystem},
                malware={str(ecosystem): counts.malware[ecosystem] for ecosystem in Ecosystem},
                unreadable=len(reading.unreadable),
                shards=digests,
            )
            archive.writestr(zipfile.ZipInfo("manifest.json", _EPOCH), msgspec.json.encode(manifest))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return manifest


@dataclass(frozen=True, slots=True)
class Loaded:
    """The wanted packages' entries; `digest` names the snapshot, `origin` the dump that it was made from."""

    index: Index
    digest: str
    origin: str


def load(path: Path, *, wanted: Iterable[Key]) -> Loaded:
    """Raises UnusableSnapshot, also for a single bad shard."""
    try:
        with zipfile.ZipFile(path) as archive:
            content = _member(archive, "manifest.json", max_bytes=MAX_MANIFEST_BYTES)
            manifest = msgspec.json.decode(content, type=Manifest)
            if manifest.format != FORMAT:
                raise UnusableSnapshot("the snapshot has a format that is not known here")
            index = _counted(manifest)
            by_member: dict[str, list[Key]] = defaultdict(list)
            for key in sorted(set(wanted)):
                by_member[member_of(*key)].append(key)
            for member, keys in by_member.items():
                if member in manifest.shards:
                    _read_shard(archive, member, keys, index=index, digest=manifest.shards[member])
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, KeyError) as error:
        raise UnusableSnapshot("the snapshot cannot be read") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnusableSnapshot("the snapshot is damaged") from error
    return Loaded(index, "sha256:" + hashlib.sha256(content).hexdigest(), manifest.origin)


def member_of(ecosystem: Ecosystem, name: str) -> str:
    """Where a package's entries are."""
    shard = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[0] % SHARDS
    return f"{ecosystem}/{shard:02x}.json"


def _counted(manifest: Manifest) -> Index:
    index = Index(unreadable=manifest.unreadable, newest=date.fromisoformat(manifest.as_of) if manifest.as_of else None)
    for ecosystem in Ecosystem:
        index.advisories[ecosystem] = manifest.entries.get(str(ecosystem), 0)
        index.malware[ecosystem] = manifest.malware.get(str(ecosystem), 0)
    return index


def _read_shard(archive: zipfile.ZipFile, member: str, keys: Iterable[Key], *, index: Index, digest: str) -> None:
    content = _member(archive, member, max_bytes=MAX_SHARD_BYTES)
    if hashlib.sha256(content).hexdigest() != digest:
        raise UnusableSnapshot("a part of the snapshot is not what its manifest lists")
    names = msgspec.json.decode(content, type=dict[str, list[msgspec.Raw]])
    for key in keys:
        index.by_package[key] += [parse_advisory(msgspec.json.decode(each)) for each in names.get(key[1], [])]


def _member(archive: zipfile.ZipFile, name: str, *, max_bytes: int) -> bytes:
    with archive.open(name) as source:
        content = source.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise UnusableSnapshot("a part of the snapshot is too large")
    return content


def _reduced(raw: Mapping[str, Any], advisory: Advisory, key: Key) -> bytes:
    """What `parse_advisory` reads of it, for one package."""
    affected = [
        {name: item[name] for name in ("ranges", "versions", "severity") if item.get(name)}
        | {part: {"severity": label} for part in _LABELLED if (label := (item.get(part) or {}).get("severity"))}
        | {"package": {"ecosystem": _OSV_NAMES[key[0]], "name": key[1]}}
        for item in raw["affected"]
        if _is_about(item, key)
    ]
    database = raw.get("database_specific") or {}
    cwes = [EMBEDDED_MALICIOUS_CODE] if EMBEDDED_MALICIOUS_CODE in (database.get("cwe_ids") or []) else None
    entry = {
        "id": advisory.id,
        "aliases": list(advisory.aliases),
        "modified": advisory.modified.isoformat(),
        "withdrawn": advisory.withdrawn.isoformat() if advisory.withdrawn else None,
        "summary": printable(advisory.summary, max_length=MAX_SUMMARY_LENGTH),
        "severity": raw.get("severity"),
        "database_specific": {"severity": database.get("severity"), "cwe_ids": cwes},
        "affected": affected,
    }
    return msgspec.json.encode({name: value for name, value in entry.items() if value}, order="sorted")


_LABELLED = ("database_specific", "ecosystem_specific")


def _is_about(item: Mapping[str, Any], key: Key) -> bool:
    package = item.get("package")
    if package is None or package["ecosystem"].partition(":")[0] != _OSV_NAMES[key[0]]:
        return False
    return canonical_name(key[0], package["name"]) == key[1]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="snapshot", description="Reduce an OSV dump to a snapshot.")
    parser.add_argument("dump", type=Path, help="directory or zip of OSV JSON files, or a directory of such zips")
    parser.add_argument("--output", type=Path, required=True, help="the snapshot to write")
    given = parser.parse_args(arguments)
    try:
        manifest = build(given.dump, given.output, today=datetime.now(UTC).date())
    except (UnusableDump, OSError) as error:
        print(f"no snapshot: {error}", file=sys.stderr)
        return 1
    told = {name: value for name, value in msgspec.to_builtins(manifest).items() if name != "shards"}
    print(json.dumps(told, sort_keys=True))
    return 0 if not manifest.unreadable else 3


if __name__ == "__main__":
    sys.exit(main())

"""One Sigstore bundle, verified without any network against a root of trust that came with the library.

`sigstore` (and with it cryptography and pydantic: 47 MB on disk, 0.7 s and 45 MiB at the first use) is imported on the
first verification, not before. A bundle either verifies or is Unverifiable with the reason: the formats that the
library does not read, a root of trust older than the log's key and a forgery all end there, and none of them is clean.
"""

import base64
import hashlib
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsm_operator.domain.vetting.model import Dataset
from vsm_runtime.vetting.documents import entries, mapping, sequence, text
from vsm_runtime.vetting.repositories import Repository, parse_repository

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.verify import Verifier

MAX_BUNDLE_BYTES = 4 * 1024 * 1024
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_STATEMENTS = frozenset({"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"})
_ISSUERS = {"https://token.actions.githubusercontent.com": "github.com", "https://gitlab.com": "gitlab.com"}
"""Build services whose certificates name the repository that was built, and the host of those repositories."""
_OID = "1.3.6.1.4.1.57264.1."
"""Fulcio's extensions: 8 issuer, 9 build signer, 11 runner, 12 source repository, 13 commit, 14 ref."""


class Unverifiable(Exception):  # noqa: N818 - a state of knowledge, not a malfunction
    """The bundle proves nothing; the text says why, for a person."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a verified bundle says, and who says it. Everything here is covered by the certificate or its signature."""

    predicate_type: str
    subjects: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """(name, ((algorithm, lower-case hexadecimal digest), ...))."""
    issuer: str
    repository: Repository
    workflow: str
    ref: str
    commit: str
    runner: str

    def digests(self, algorithm: str) -> frozenset[str]:
        """Of everything that the statement is about."""
        return frozenset(value for _, rows in self.subjects for key, value in rows if key == algorithm and value)


class BundleVerifier:
    """Holds the loaded root of trust; one for a whole tree. Safe to make anywhere: loading happens at first use."""

    def __init__(self, trusted_root: Path | None = None) -> None:
        """`trusted_root`: a newer one than the library's, mounted as a file."""
        self._path = trusted_root
        self._loaded: tuple[Verifier, Dataset] | None = None

    def dataset(self) -> Dataset:
        """Which root of trust judged. Raises Unverifiable."""
        return self._load()[1]

    def verify(self, bundle: Mapping[str, Any]) -> Statement:
        """Raises Unverifiable, and nothing else, for whatever is no valid bundle of a known build service."""
        _check_form(bundle)
        verifier, _ = self._load()
        try:
            # The parsers below are other people's and the bundle is hostile: any failure of theirs is "not verified".
            return _verified(verifier, json.dumps(bundle))
        except Unverifiable:
            raise
        except Exception as error:
            raise Unverifiable(f"the bundle does not verify: {str(error)[:100] or type(error).__name__}") from error

    def _load(self) -> "tuple[Verifier, Dataset]":
        if self._loaded is None:
            try:
                from sigstore.models import TrustedRoot  # noqa: PLC0415 - heavy, see above
                from sigstore.verify import Verifier  # noqa: PLC0415

                with importlib.resources.as_file(_embedded_root()) as embedded:
                    path = self._path or embedded
                    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
                    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(path)))
            except ImportError as error:
                raise Unverifiable("the library that verifies attestations is not installed") from error
            except Exception as error:
                raise Unverifiable(f"the root of trust cannot be loaded: {type(error).__name__}") from error
            self._loaded = verifier, Dataset(name="sigstore-trusted-root", digest=digest)
        return self._loaded


def _embedded_root() -> Any:
    """The production root among those in the package. Its own loader would trust whatever lies in the home folder."""
    store = importlib.resources.files("sigstore").joinpath("_store")
    production = [folder for folder in store.iterdir() if folder.name.endswith("sigstore.dev")]
    return production[0].joinpath("trusted_root.json")


def from_pep740(attestation: object) -> dict[str, Any]:
    """PEP 740's attestation object in the shape of a Sigstore bundle."""
    raw = mapping(attestation)
    material, envelope = mapping(raw.get("verification_material")), mapping(raw.get("envelope"))
    stamps = [{"signedTimestamp": stamp} for stamp in sequence(material.get("timestamps")) if isinstance(stamp, str)]
    return {
        "mediaType": _BUNDLE_TYPE,
        "verificationMaterial": {
            "certificate": {"rawBytes": material.get("certificate")},
            "tlogEntries": list(sequence(material.get("transparency_entries"))),
            "timestampVerificationData": {"rfc3161Timestamps": stamps},
        },
        "dsseEnvelope": {
            "payload": envelope.get("statement"),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": envelope.get("signature")}],
        },
    }


def _check_form(bundle: Mapping[str, Any]) -> None:
    """Refuses early, with a better sentence than the library's, what is known not to verify with it."""
    material = mapping(bundle.get("verificationMaterial"))
    logged = [mapping(entry) for entry in sequence(material.get("tlogEntries"))]
    if "publicKey" in material:
        raise Unverifiable("it is signed with a key instead of a certificate")
    if len(logged) != 1:
        raise Unverifiable(f"it has {len(logged)} entries of a transparency log instead of one")
    if mapping(logged[0].get("kindVersion")).get("kind") not in {"dsse", "hashedrekord"}:
        raise Unverifiable("its log entry is of a kind that cannot be verified")
    if not mapping(mapping(logged[0].get("inclusionProof")).get("checkpoint")).get("envelope"):
        raise Unverifiable("it has no proof that the log includes it")
    if len(text(mapping(bundle.get("dsseEnvelope")).get("payload"), max_length=MAX_BUNDLE_BYTES)) >= MAX_BUNDLE_BYTES:
        raise Unverifiable("its statement is too long")


def _verified(verifier: "Verifier", bundle: str) -> Statement:
    from sigstore.models import Bundle  # noqa: PLC0415

    parsed = Bundle.from_json(bundle)
    policy = _BuildService()
    payload_type, payload = verifier.verify_dsse(parsed, policy)
    if payload_type != _PAYLOAD_TYPE:
        raise Unverifiable("it signs something that is no statement on an artefact")
    statement = mapping(json.loads(payload))
    if statement.get("_type") not in _STATEMENTS:
        raise Unverifiable("its statement is of an unknown version")
    values = policy.values
    return Statement(
        predicate_type=text(statement.get("predicateType"), max_length=200),
        subjects=_subjects(sequence(statement.get("subject"))),
        issuer=values["8"],
        repository=policy.repository,
        workflow=values["9"],
        ref=values["14"],
        commit=values["13"],
        runner=values["11"],
    )


def _subjects(rows: Sequence[Any]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    return tuple(
        (
            text(mapping(row).get("name"), max_length=500),
            tuple((key, text(value, max_length=200).lower()) for key, value in entries(mapping(row).get("digest"))),
        )
        for row in rows[:1000]
    )


class _BuildService:
    """Sigstore's policy interface: accepts certificates of the build services above and remembers what they say."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self._repository: Repository | None = None

    @property
    def repository(self) -> Repository:
        if self._repository is None:
            raise Unverifiable("the certificate was never looked at")
        return self._repository

    def verify(self, cert: "Certificate") -> None:
        by_oid = {extension.oid.dotted_string: extension.value.public_bytes() for extension in cert.extensions}
        self.values = {number: _utf8(by_oid.get(_OID + number, b"")) for number in ("8", "9", "11", "12", "13", "14")}
        host = _ISSUERS.get(self.values["8"])
        if host is None:
            raise Unverifiable("it was not signed by a known build service")
        self._repository = parse_repository(self.values["12"])
        if self._repository is None or self._repository.host != host:
            raise Unverifiable("its certificate does not name the repository that was built")


def _utf8(der: bytes) -> str:
    """A DER UTF8String; "" for anything else."""
    if len(der) < 2 or der[0] != 0x0C:
        return ""
    size, start = der[1], 2
    if size & 0x80:
        start = 2 + (size & 0x7F)
        size = int.from_bytes(der[2:start], "big")
    value = der[start:]
    return value.decode("utf-8", "replace") if len(value) == size else ""


def registry_signed(*, message: str, signature: str, key: str) -> bool:
    """Whether an ECDSA P-256 signature (base64) by a registry's key (base64 SubjectPublicKeyInfo) is over `message`.

    Raises Unverifiable when there is nothing that could check it.
    """
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415
    except ImportError as error:
        raise Unverifiable("the library that verifies signatures is not installed") from error
    try:
        public = load_der_public_key(base64.b64decode(key, validate=True))
        raw = base64.b64decode(signature, validate=True)
    except Exception as error:
        raise Unverifiable("the registry's key or signature cannot be read") from error
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise Unverifiable("the registry's key is of an unknown kind")
    try:
        public.verify(raw, message.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True

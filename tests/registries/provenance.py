"""Attestations as registries serve them, signed by a key of the test: their words can be judged, their signers cannot.

No public authority stands behind the certificate, so a verifier must not call any of these verified. The shapes are
those of a Sigstore bundle v0.3 (npm) and of PEP 740 (PyPI).
"""

import base64
import hashlib
import json
from datetime import timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from registries.releases import LONG_AGO, NpmRelease, PypiRelease

Json = dict[str, Any]

STATEMENT = "https://in-toto.io/Statement/v1"
SLSA = "https://slsa.dev/provenance/v1"
PUBLISH = "https://docs.invalid/attestations/publish/v1"
_PAYLOAD = "application/vnd.in-toto+json"
_WORKFLOW = ".github/workflows/release.yml"
_ISSUER = "https://tokens.invalid"
_FULCIO = "1.3.6.1.4.1.57264.1"


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def npm_attestations(release: NpmRelease) -> Json:
    """What GET /-/npm/v1/attestations/NAME@VERSION answers."""
    purl = f"pkg:npm/{release.name.replace('@', '%40')}@{release.version}"
    digest = hashlib.sha512(release.recorded).hexdigest()
    workflow = {"ref": "refs/heads/main", "repository": release.attested, "path": _WORKFLOW}
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": purl, "digest": {"sha512": digest}}],
        "predicateType": SLSA,
        "predicate": {
            "buildDefinition": {
                "buildType": "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1",
                "externalParameters": {"workflow": workflow},
                "resolvedDependencies": [{"uri": f"git+{release.attested}@refs/heads/main", "digest": {}}],
            },
            "runDetails": {"builder": {"id": "https://builders.invalid/hosted"}},
        },
    }
    payload = json.dumps(statement, sort_keys=True).encode()
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"certificate": {"rawBytes": _b64(_certificate(release.attested))}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": _b64(payload),
            "payloadType": _PAYLOAD,
            "signatures": [{"sig": _b64(_sign(payload)), "keyid": ""}],
        },
    }
    return {"attestations": [{"predicateType": SLSA, "bundle": bundle}]}


def pypi_provenance(release: PypiRelease) -> Json:
    """What GET /integrity/PROJECT/VERSION/FILE/provenance answers."""
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": release.filename, "digest": {"sha256": release.sha256}}],
        "predicateType": PUBLISH,
        "predicate": None,
    }
    payload = json.dumps(statement, sort_keys=True).encode()
    attestation = {
        "version": 1,
        "verification_material": {
            "certificate": _b64(_certificate(release.attested)),
            "transparency_entries": [],
        },
        "envelope": {"statement": _b64(payload), "signature": _b64(_sign(payload))},
    }
    publisher = {
        "kind": "GitHub",
        "repository": release.attested.partition("://")[2].partition("/")[2],
        "workflow": "release.yml",
        "environment": "",
        "claims": None,
    }
    return {"version": 1, "attestation_bundles": [{"publisher": publisher, "attestations": [attestation]}]}


def npm_signature(release: NpmRelease) -> Json:
    """One entry of `dist.signatures`: the registry's own signature, of the key in `npm_keys`."""
    signed = f"{release.name}@{release.version}:{release.dist['integrity']}".encode()
    return {"keyid": _key_id(), "sig": _b64(_key().sign(signed, ec.ECDSA(hashes.SHA256())))}


def npm_keys() -> Json:
    """What GET /-/npm/v1/keys answers."""
    kind, scheme = "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"
    return {
        "keys": [
            {"expires": None, "keyid": _key_id(), "keytype": kind, "scheme": scheme, "key": _b64(_public_key())},
        ]
    }


def _certificate(repository: str) -> bytes:
    """Signed by itself, with the claims about the build where Fulcio puts them."""
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "a test")])
    claims = {"8": _ISSUER, "12": repository, "14": "refs/heads/main"}
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(1)
        .not_valid_before(LONG_AGO)
        .not_valid_after(LONG_AGO + timedelta(minutes=10))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"{repository}/{_WORKFLOW}@refs/heads/main")]),
            critical=True,
        )
    )
    for last, text in claims.items():
        value = text.encode()
        length = bytes([len(value)]) if len(value) < 128 else bytes([0x81, len(value)])
        oid = x509.ObjectIdentifier(f"{_FULCIO}.{last}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"\x0c" + length + value), critical=False)
    return builder.sign(_key(), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _sign(payload: bytes) -> bytes:
    """DSSE's signature, over its pre-authentication encoding."""
    kind = _PAYLOAD.encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    return _key().sign(signed, ec.ECDSA(hashes.SHA256()))


def _public_key() -> bytes:
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return _key().public_key().public_bytes(encoding, form)


def _key_id() -> str:
    return "SHA256:" + _b64(hashlib.sha256(_public_key()).digest())


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()

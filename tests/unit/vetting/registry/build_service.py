"""A build service, a certificate authority and a transparency log of the tests' own: bundles that really verify.

Everything is made from fresh keys; `trusted_root()` is the file that makes a verifier believe them.
"""

import base64
import hashlib
import json
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
GITHUB = "https://token.actions.githubusercontent.com"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_FULCIO = "1.3.6.1.4.1.57264.1."
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    public = key.public_key()
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def utf8(value: str) -> bytes:
    raw = value.encode()
    return bytes([0x0C]) + (bytes([len(raw)]) if len(raw) < 128 else bytes([0x81, len(raw)])) + raw


def octets(raw: bytes) -> bytes:
    return bytes([0x04]) + (bytes([len(raw)]) if len(raw) < 128 else bytes([0x81, len(raw)])) + raw


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


class BuildService:
    """Issues a certificate for a repository's workflow, signs a statement with it, logs both."""

    def __init__(self) -> None:
        self._ca_key, self._log_key, self._ct_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
        self._ca = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._ca_key.public_key())
            .serial_number(1)
            .not_valid_before(AT - timedelta(days=365))
            .not_valid_after(AT + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._ca_key.public_key()), critical=False)
            .sign(self._ca_key, hashes.SHA256())
        )

    def trusted_root(self, folder: Path) -> Path:
        valid = {"start": "2020-01-01T00:00:00Z"}

        def log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            public = {"rawBytes": b64(spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid}
            key_id = b64(hashlib.sha256(spki(key)).digest())
            return {
                "baseUrl": "https://log.invalid",
                "hashAlgorithm": "SHA2_256",
                "publicKey": public,
                "logId": {"keyId": key_id},
            }

        der = self._ca.public_bytes(serialization.Encoding.DER)
        authority = {
            "subject": {"organization": "test", "commonName": "test"},
            "uri": "https://authority.invalid",
            "certChain": {"certificates": [{"rawBytes": b64(der)}]},
            "validFor": valid,
        }
        path = folder / "trusted_root.json"
        path.write_text(
            json.dumps(
                {
                    "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                    "tlogs": [log(self._log_key)],
                    "certificateAuthorities": [authority],
                    "ctlogs": [log(self._ct_key)],
                    "timestampAuthorities": [],
                }
            )
        )
        return path

    def bundle(
        self,
        *,
        repository: str = "https://github.com/acme/widget",
        subject: str = "pkg:npm/widget@1.0.0",
        digest: dict[str, str],
        predicate_type: str = "https://slsa.dev/provenance/v1",
        issuer: str = GITHUB,
    ) -> dict[str, Any]:
        """A Sigstore bundle of version 0.3 over one subject."""
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": subject, "digest": digest}],
            "predicateType": predicate_type,
            "predicate": {},
        }
        payload = json.dumps(statement).encode()
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(key, repository=repository, issuer=issuer)
        signed = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload
        signature = sign(key, signed)
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(certificate.public_bytes(serialization.Encoding.DER))},
                "tlogEntries": [self._logged(payload, signature, certificate)],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
            "dsseEnvelope": {
                "payload": b64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": b64(signature)}],
            },
        }

    def pep740(self, **about: Any) -> dict[str, Any]:
        """The same as an index of Python packages serves it."""
        raw = self.bundle(**about)
        material, envelope = raw["verificationMaterial"], raw["dsseEnvelope"]
        attestation = {
            "version": 1,
            "verification_material": {
                "certificate": material["certificate"]["rawBytes"],
                "transparency_entries": material["tlogEntries"],
            },
            "envelope": {"statement": envelope["payload"], "signature": envelope["signatures"][0]["sig"]},
        }
        return {"version": 1, "attestation_bundles": [{"publisher": {}, "attestations": [attestation]}]}

    def _certificate(self, key: ec.EllipticCurvePrivateKey, *, repository: str, issuer: str) -> x509.Certificate:
        workflow = f"{repository}/.github/workflows/release.yml@refs/tags/v1"
        values = {
            "8": issuer,
            "9": workflow,
            "11": "github-hosted",
            "12": repository,
            "13": "c0ffee" * 6,
            "14": "refs/t",
        }
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._ca.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(AT - timedelta(minutes=1))
            .not_valid_after(AT + timedelta(minutes=9))
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(workflow)]), critical=True)
        )
        for number, value in values.items():
            extension = x509.UnrecognizedExtension(ObjectIdentifier(_FULCIO + number), utf8(value))
            builder = builder.add_extension(extension, critical=False)
        tbs = builder.sign(self._ca_key, hashes.SHA256()).tbs_certificate_bytes
        logged = x509.UnrecognizedExtension(_SCT_LIST, octets(self._sct_list(tbs)))
        return builder.add_extension(logged, critical=False).sign(self._ca_key, hashes.SHA256())

    def _sct_list(self, tbs: bytes) -> bytes:
        """RFC 6962: one timestamp of the log for the certificate that is about to be issued."""
        milliseconds = int(AT.timestamp() * 1000)
        entry = hashlib.sha256(spki(self._ca_key)).digest() + len(tbs).to_bytes(3, "big") + tbs
        signature = sign(self._ct_key, struct.pack("!BBQH", 0, 0, milliseconds, 1) + entry + b"\0\0")
        log_id = hashlib.sha256(spki(self._ct_key)).digest()
        sct = (
            b"\0"
            + log_id
            + struct.pack("!QH", milliseconds, 0)
            + b"\4\3"
            + struct.pack("!H", len(signature))
            + signature
        )
        return struct.pack("!HH", len(sct) + 2, len(sct)) + sct

    def _logged(self, payload: bytes, signature: bytes, certificate: x509.Certificate) -> dict[str, Any]:
        """The only entry of a log of size one: its root is the hash of its leaf."""
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [{"signature": b64(signature), "verifier": b64(pem)}],
        }
        body = json.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}).encode()
        root, key_id = hashlib.sha256(b"\0" + body).digest(), hashlib.sha256(spki(self._log_key)).digest()
        note = f"log.invalid - 1\n1\n{b64(root)}\n"
        noted = b64(key_id[:4] + sign(self._log_key, note.encode()))
        seconds = int(AT.timestamp())
        promise = {"body": b64(body), "integratedTime": seconds, "logID": key_id.hex(), "logIndex": 0}
        canonical = json.dumps(promise, sort_keys=True, separators=(",", ":")).encode()
        return {
            "logIndex": "0",
            "logId": {"keyId": b64(key_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": b64(sign(self._log_key, canonical))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 log.invalid {noted}\n"},
            },
            "canonicalizedBody": b64(body),
        }


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )

"""Attestations: real signatures by a build service of the tests' own, and what must not be believed."""

import base64
import copy
import hashlib
import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from unit.vetting.registry.build_service import AT, BuildService, b64, sign, spki
from vsm_runtime.vetting.attestations import BundleVerifier, Unverifiable
from vsm_runtime.vetting.documents import Answer, read, unavailable
from vsm_runtime.vetting.provenance import (
    ProvenanceFacts,
    npm_provenance,
    owner_match,
    pypi_provenance,
    registry_signature,
)
from vsm_runtime.vetting.repositories import Repository

PURL = "pkg:npm/widget@1.0.0"
BYTES = b"the tarball"
SHA512 = hashlib.sha512(BYTES)
INTEGRITY = "sha512-" + base64.b64encode(SHA512.digest()).decode()
OURS = Repository("github.com", "acme", "widget")


@pytest.fixture(scope="module")
def service() -> BuildService:
    return BuildService()


@pytest.fixture(scope="module")
def verifier(service: BuildService, tmp_path_factory: pytest.TempPathFactory) -> BundleVerifier:
    return BundleVerifier(service.trusted_root(tmp_path_factory.mktemp("root")))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("verification must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def served(*bundles: Any) -> Answer:
    rows = [{"predicateType": "https://slsa.dev/provenance/v1", "bundle": bundle} for bundle in bundles]
    return Answer("ok", "", {"attestations": rows})


def npm(verifier: BundleVerifier, answer: Answer | None, **changed: Any) -> ProvenanceFacts:
    about: dict[str, Any] = {"integrity": INTEGRITY, "attested": True, "declared": (OURS,)} | changed
    return npm_provenance(purl=PURL, answer=answer, verifier=verifier, **about)


def rules(facts: ProvenanceFacts) -> list[tuple[str, str]]:
    return [(finding.check, finding.rule) for finding in facts.findings]


def test_a_build_of_the_declared_repository_is_verified(service: BuildService, verifier: BundleVerifier) -> None:
    facts = npm(verifier, served(service.bundle(digest={"sha512": SHA512.hexdigest()})))

    assert facts.provenance == "verified"
    assert (facts.source.status, facts.source.feeds) == ("ok", ("C6", "G9"))
    assert rules(facts) == [("C6", "provenance-verified")]
    assert facts.findings[0].severity == "info"
    assert facts.repository == OURS


def test_a_build_of_another_repository_closes_the_gate(service: BuildService, verifier: BundleVerifier) -> None:
    other = service.bundle(repository="https://github.com/mallory/widget", digest={"sha512": SHA512.hexdigest()})

    facts = npm(verifier, served(other))

    assert rules(facts) == [("G9", "provenance-other-repository")]
    assert facts.findings[0].severity == "critical"


def test_one_build_of_the_declared_repository_outweighs_another_bundle(
    service: BuildService, verifier: BundleVerifier
) -> None:
    digest = {"sha512": SHA512.hexdigest()}
    other = service.bundle(repository="https://github.com/mallory/widget", digest=digest)

    assert rules(npm(verifier, served(other, service.bundle(digest=digest)))) == [("C6", "provenance-verified")]


def test_an_attestation_of_other_bytes_closes_the_gate(service: BuildService, verifier: BundleVerifier) -> None:
    facts = npm(verifier, served(service.bundle(digest={"sha512": hashlib.sha512(b"else").hexdigest()})))

    assert rules(facts) == [("G9", "provenance-other-artefact")]
    assert facts.provenance is None


def _forged_payload(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["payload"] = b64(base64.b64decode(bundle["dsseEnvelope"]["payload"]) + b" ")


def _other_signature(bundle: dict[str, Any]) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = b64(sign(stranger, b"something"))


def _other_log(bundle: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["rootHash"] = b64(bytes(32))


def _no_proof(bundle: dict[str, Any]) -> None:
    del bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]


def _key_only(bundle: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["publicKey"] = {"hint": "x"}


def _old_kind(bundle: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["tlogEntries"][0]["kindVersion"] = {"kind": "intoto", "version": "0.0.2"}


@pytest.mark.parametrize(
    "harm", [_forged_payload, _other_signature, _other_log, _no_proof, _key_only, _old_kind], ids=lambda f: f.__name__
)
def test_what_does_not_verify_is_inconclusive_and_says_why(
    service: BuildService, verifier: BundleVerifier, harm: Any
) -> None:
    bundle = copy.deepcopy(service.bundle(digest={"sha512": SHA512.hexdigest()}))
    harm(bundle)

    facts = npm(verifier, served(bundle))

    assert facts.provenance is None
    assert facts.source.status == "error"
    assert facts.source.reason
    assert rules(facts) == [("C6", "attestation-not-verified")]


def test_a_bundle_of_a_stranger_with_his_own_authority_is_not_believed(verifier: BundleVerifier) -> None:
    stranger = BuildService()

    facts = npm(verifier, served(stranger.bundle(digest={"sha512": SHA512.hexdigest()})))

    assert (facts.provenance, facts.source.status) == (None, "error")


def test_a_certificate_of_an_unknown_issuer_is_not_believed(service: BuildService, verifier: BundleVerifier) -> None:
    bundle = service.bundle(issuer="https://accounts.invalid", digest={"sha512": SHA512.hexdigest()})

    assert npm(verifier, served(bundle)).source.reason == "it was not signed by a known build service"


def test_a_real_root_of_trust_comes_with_the_library_and_does_not_believe_ours(service: BuildService) -> None:
    verifier = BundleVerifier()

    assert verifier.dataset().digest.startswith("sha256:")
    with pytest.raises(Unverifiable):
        verifier.verify(service.bundle(digest={"sha512": SHA512.hexdigest()}))


def test_the_home_folder_has_no_say_in_what_is_trusted(
    service: BuildService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = BundleVerifier().dataset()
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    service.trusted_root(tmp_path)

    assert BundleVerifier().dataset() == before
    assert [path.name for path in tmp_path.iterdir()] == ["trusted_root.json"]


def test_a_broken_root_of_trust_makes_everything_inconclusive(service: BuildService, tmp_path: Path) -> None:
    (tmp_path / "root.json").write_text("{}")

    facts = npm(BundleVerifier(tmp_path / "root.json"), served(service.bundle(digest={"sha512": SHA512.hexdigest()})))

    assert (facts.provenance, facts.source.status) == (None, "error")
    assert "root of trust" in facts.source.reason


@pytest.mark.parametrize(
    ("attested", "answer", "want", "status"),
    [
        pytest.param(False, None, "absent", "ok", id="a registry that signs says nothing of attestations"),
        pytest.param(None, unavailable("404"), None, "unavailable", id="stripped dialect"),
        pytest.param(None, None, None, "unavailable", id="never asked"),
        pytest.param(True, unavailable("404"), None, "unavailable", id="listed and not served"),
        pytest.param(None, Answer("ok", "", {"attestations": []}), "absent", "ok", id="served and empty"),
        pytest.param(None, read(status=200, body=b"<html>"), None, "unavailable", id="garbled"),
    ],
)
def test_silence_is_absence_only_where_the_registry_would_have_spoken(
    verifier: BundleVerifier, attested: bool | None, answer: Answer | None, want: str | None, status: str
) -> None:
    facts = npm(verifier, answer, attested=attested)

    assert (facts.provenance, facts.source.status) == (want, status)


def test_a_file_of_a_python_index_is_verified_by_its_sha256(service: BuildService, verifier: BundleVerifier) -> None:
    digest = hashlib.sha256(BYTES).hexdigest()
    answer = Answer("ok", "", service.pep740(digest={"sha256": digest}, subject="widget-1.0.0-py3-none-any.whl"))

    facts = pypi_provenance(
        purl="pkg:pypi/widget@1.0.0", sha256=digest, attested=True, declared=(OURS,), answer=answer, verifier=verifier
    )

    assert facts.provenance == "verified"


@pytest.mark.parametrize(
    "bundle", [{}, {"verificationMaterial": 7}, [], "x", None, {"verificationMaterial": {"tlogEntries": [{}]}}]
)
def test_a_bundle_of_any_shape_is_inconclusive(verifier: BundleVerifier, bundle: Any) -> None:
    assert npm(verifier, served(bundle)).provenance is None


def test_owners_of_name_and_repository_have_to_agree() -> None:
    right, wrong = "io.github.Acme/widget", "io.github.mallory/widget"

    assert owner_match(purl=PURL, mcp_name=right, declared=(OURS,)) == (True, ())
    matched, findings = owner_match(purl=PURL, mcp_name=wrong, declared=(OURS,))
    assert (matched, [f.rule for f in findings]) == (False, ["mcp-name-of-another-owner"])
    assert owner_match(purl=PURL, mcp_name="", declared=(OURS,)) == (None, ())
    assert owner_match(purl=PURL, mcp_name="com.example/widget", declared=(OURS,)) == (None, ())
    assert owner_match(purl=PURL, mcp_name=right, declared=()) == (None, ())
    assert owner_match(purl=PURL, mcp_name="", declared=(OURS,), built=OURS) == (True, ())


class TestRegistrySignature:
    message = f"widget@1.0.0:{INTEGRITY}"

    def signed(self, *, key_row: dict[str, Any] | None = None, message: str = "", keys: bool = True) -> Any:
        key = ec.generate_private_key(ec.SECP256R1())
        row = {"keyid": "SHA256:k", "key": b64(spki(key)), "expires": None} | (key_row or {})
        return registry_signature(
            purl=PURL,
            message=self.message,
            signatures=(("SHA256:k", b64(sign(key, (message or self.message).encode()))),),
            keys=Answer("ok", "", {"keys": [row]}) if keys else unavailable("404"),
            published_at=AT,
        )

    def test_over_this_hash_is_good(self) -> None:
        assert self.signed() == (True, ())

    def test_over_another_hash_closes_the_gate(self) -> None:
        good, findings = self.signed(message="widget@1.0.0:sha512-else")
        assert (good, [(f.check, f.rule) for f in findings]) == (False, [("G3", "registry-signature")])

    @pytest.mark.parametrize(
        "row",
        [{"keyid": "SHA256:other"}, {"expires": "2020-01-01T00:00:00.000Z"}, {"key": "!"}, {"key": 7}],
        ids=["unknown key", "expired before publication", "unreadable key", "key of a wrong type"],
    )
    def test_that_cannot_be_checked_says_nothing(self, row: dict[str, Any]) -> None:
        assert self.signed(key_row=row) == (None, ())

    def test_without_served_keys_says_nothing(self) -> None:
        assert self.signed(keys=False) == (None, ())

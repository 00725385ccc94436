import shutil
import subprocess
from pathlib import Path

import pytest

from localcluster import pki
from localcluster.errors import CommandError

NODE_ADDRESS = "10.213.0.2"

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed")


def by_name() -> dict[str, pki.Certificate]:
    return {certificate.name: certificate for certificate in pki.certificates(node_address=NODE_ADDRESS)}


def test_the_kubelet_is_the_node_that_node_authorization_expects() -> None:
    assert by_name()["kubelet"].subject == "/O=system:nodes/CN=system:node:vsm-local"


def test_only_the_people_and_the_api_server_are_masters() -> None:
    masters = {name for name, certificate in by_name().items() if certificate.organization == "system:masters"}

    assert masters == {"admin", "apiserver-kubelet"}


def test_a_client_certificate_cannot_serve() -> None:
    assert "serverAuth" not in by_name()["admin"].extensions
    assert "extendedKeyUsage=clientAuth,serverAuth" in by_name()["apiserver"].extensions


def test_the_api_server_is_known_by_every_name_under_which_it_is_called() -> None:
    names = by_name()["apiserver"].names

    for expected in (
        "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local", "DNS:localhost", "IP:10.96.0.1", "IP:127.0.0.1",
        f"IP:{NODE_ADDRESS}",
    ):  # fmt: skip
        assert expected in names


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cluster") / "pki"
    pki.make(directory, node_address=NODE_ADDRESS)
    return directory


def verifies(directory: Path, *, authority: str, name: str) -> bool:
    command = ["openssl", "verify", "-CAfile", f"{directory / authority}.crt", f"{directory / name}.crt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@needs_openssl
def test_each_certificate_is_good_for_its_own_authority_only(made: Path) -> None:
    for certificate in by_name().values():
        others = {pki.CLUSTER, pki.ETCD, pki.FRONT} - {certificate.authority}
        assert verifies(made, authority=certificate.authority, name=certificate.name)
        assert not any(verifies(made, authority=other, name=certificate.name) for other in others)


@needs_openssl
def test_nobody_else_can_read_the_keys(made: Path) -> None:
    assert made.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in made.iterdir())


@needs_openssl
def test_the_kubeconfig_carries_everything_it_needs(made: Path) -> None:
    text = pki.kubeconfig(made, user="admin", server=f"https://{NODE_ADDRESS}:6443", context="vsm-local-abc")

    assert "current-context: vsm-local-abc\n" in text
    assert f"server: https://{NODE_ADDRESS}:6443\n" in text
    assert text.count("-data: ") == 3


@needs_openssl
def test_a_failed_attempt_leaves_no_directory_and_the_next_one_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue, calls = pki._issue, []

    def third_fails(directory: Path, certificate: pki.Certificate) -> None:
        calls.append(certificate.name)
        if len(calls) == 3:
            raise CommandError("no entropy")
        issue(directory, certificate)

    monkeypatch.setattr(pki, "_issue", third_fails)
    with pytest.raises(CommandError):
        pki.make(tmp_path / "pki", node_address=NODE_ADDRESS)
    assert not (tmp_path / "pki").exists()

    pki.make(tmp_path / "pki", node_address=NODE_ADDRESS)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["pki"]

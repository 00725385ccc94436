"""Where credentials come from, and what is said when there are none."""

import base64
import ssl
from pathlib import Path

import pytest
import yaml

from vsm_operator.kube.auth import Credentials, NoCredentials, load_credentials

IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
    for name, content in {"token": "secret-token\n", "ca.crt": "CA", "namespace": "vsm-system\n"}.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    cluster = {"server": "https://cluster.test:6443", "insecure-skip-tls-verify": True}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "user-token"}}],
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u"}},
            {"name": "two", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
        ],
    }
    path.write_text(yaml.safe_dump(document))
    return path


async def test_a_pod_uses_its_service_account_and_notices_a_new_token(service_account: Path) -> None:
    found = load_credentials(environ=IN_CLUSTER, service_account=service_account)
    assert (found.server, found.namespace) == ("https://10.0.0.1:6443", "vsm-system")
    assert found.ca_path == str(service_account / "ca.crt")
    assert await found.tokens.current() == "Bearer secret-token"
    (service_account / "token").write_text("newer")
    assert await found.tokens.current(renew=True) == "Bearer newer"


def test_an_ipv6_service_address_is_bracketed(service_account: Path) -> None:
    found = load_credentials(
        environ=IN_CLUSTER | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, service_account=service_account
    )
    assert found.server == "https://[fd00::1]:6443"


def test_a_pod_without_a_token_is_told_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(NoCredentials, match="automountServiceAccountToken"):
        load_credentials(environ=IN_CLUSTER, service_account=tmp_path)


async def test_a_token_file_that_vanished_is_an_error_of_ours(service_account: Path) -> None:
    found = load_credentials(environ=IN_CLUSTER, service_account=service_account)
    (service_account / "token").unlink()
    with pytest.raises(NoCredentials, match="cannot be read"):
        await found.tokens.current()


@pytest.mark.parametrize(("context", "namespace"), [(None, "default"), ("two", "team")])
async def test_a_kubeconfig_gives_server_token_and_namespace(
    tmp_path: Path, context: str | None, namespace: str
) -> None:
    found = load_credentials(context=context, environ={"KUBECONFIG": str(kubeconfig(tmp_path))})
    assert (found.server, found.namespace) == ("https://cluster.test:6443", namespace)
    assert (await found.tokens.current() or "").lower() == "bearer user-token"
    assert found.ssl_context().verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize("context", [None, "missing"])
def test_an_unusable_kubeconfig_is_named(tmp_path: Path, context: str | None) -> None:
    path = kubeconfig(tmp_path) if context else tmp_path / "absent"
    with pytest.raises(NoCredentials, match=str(path)):
        load_credentials(kubeconfig=path, context=context, environ={})


def test_credentials_do_not_print_their_tokens(service_account: Path) -> None:
    found = load_credentials(environ=IN_CLUSTER, service_account=service_account)
    assert "secret-token" not in repr(found)
    assert base64.b64encode(b"secret-token").decode() not in repr(found)


def test_certificates_are_checked_unless_told_otherwise() -> None:
    assert Credentials(server="https://cluster.test").ssl_context().verify_mode is ssl.CERT_REQUIRED

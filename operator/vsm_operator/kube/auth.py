"""Where the API server is and who we are: a pod's service account, or a kubeconfig.

The only module that imports `kubernetes`, and only when a kubeconfig is read: in a pod the three mounted files are all
there is, and the library costs 15 MiB. Tokens are read again every minute, because the kubelet replaces the file
before the old token expires, and at once when the API server refuses one.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vsm_operator.errors import Unreachable

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_MAX_AGE_SECONDS = 60.0


class NoCredentials(Unreachable):
    """Neither a service account nor a usable kubeconfig."""


class Tokens:
    """The value of the Authorization header, or None with client certificates. Never printed."""

    def __init__(self, read: Callable[[], str | None], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._monotonic = monotonic
        self._value: str | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def current(self, *, renew: bool = False) -> str | None:
        """Runs the kubeconfig's credential plugin in a thread if there is one: it may take seconds."""
        if renew or self._monotonic() - self._read_at >= TOKEN_MAX_AGE_SECONDS:
            async with self._lock:
                if renew or self._monotonic() - self._read_at >= TOKEN_MAX_AGE_SECONDS:
                    self._value = await asyncio.to_thread(self._read)
                    self._read_at = self._monotonic()
        return self._value


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How to reach the API server. Paths rather than contents, so that a rotated file is found again."""

    server: str
    ca_path: str | None = None
    certificate_path: str | None = None
    private_key_path: str | None = None
    verify: bool = True
    namespace: str = "default"
    """The pod's own namespace, or the kubeconfig context's."""
    tokens: Tokens = field(default_factory=lambda: Tokens(lambda: None), repr=False)

    def ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_path)
        if self.certificate_path:
            context.load_cert_chain(self.certificate_path, self.private_key_path)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def load_credentials(
    *,
    kubeconfig: Path | None = None,
    context: str | None = None,
    environ: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
) -> Credentials:
    """An explicit kubeconfig wins, then the pod's service account, then $KUBECONFIG or ~/.kube/config.

    Errors: NoCredentials, whose message says what was looked for.
    """
    if kubeconfig is None and context is None and environ.get("KUBERNETES_SERVICE_HOST"):
        return _from_service_account(environ, service_account)
    return _from_kubeconfig(kubeconfig, context=context, environ=environ)


def _from_service_account(environ: Mapping[str, str], folder: Path) -> Credentials:
    token, ca = folder / "token", folder / "ca.crt"
    for file in (token, ca):
        if not file.is_file():
            raise NoCredentials(
                f"{file} is missing: this pod needs automountServiceAccountToken: true and a service account"
            )
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    namespace = folder / "namespace"
    return Credentials(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ca_path=str(ca),
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
        tokens=Tokens(lambda: _bearer(token)),
    )


def _bearer(file: Path) -> str:
    try:
        return f"Bearer {file.read_text().strip()}"
    except OSError as error:
        raise NoCredentials(f"the service account's token cannot be read: {error}") from error


def _from_kubeconfig(path: Path | None, *, context: str | None, environ: Mapping[str, str]) -> Credentials:
    try:
        from kubernetes.client import Configuration  # noqa: PLC0415 - see the module's docstring
        from kubernetes.config import ConfigException  # noqa: PLC0415
        from kubernetes.config.kube_config import (  # noqa: PLC0415
            KUBE_CONFIG_DEFAULT_LOCATION,
            list_kube_config_contexts,
            load_kube_config,
        )
    except ImportError as error:
        raise NoCredentials(
            "not in a pod (KUBERNETES_SERVICE_HOST is not set), and reading a kubeconfig needs the Python package "
            "`kubernetes`"
        ) from error

    location = str(path or environ.get("KUBECONFIG") or KUBE_CONFIG_DEFAULT_LOCATION)
    configuration = Configuration()
    try:
        load_kube_config(location, context=context, client_configuration=configuration, persist_config=False)  # type: ignore[no-untyped-call]
        contexts, active = list_kube_config_contexts(location)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise NoCredentials(f"kubeconfig {location} cannot be used: {error}") from error

    def read() -> str | None:
        fresh = Configuration()
        try:
            load_kube_config(location, context=context, client_configuration=fresh, persist_config=False)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError) as error:
            raise NoCredentials(f"kubeconfig {location} cannot be used: {error}") from error
        header: str | None = fresh.get_api_key_with_prefix("BearerToken")
        return header

    chosen = active if context is None else next(entry for entry in contexts if entry["name"] == context)
    return Credentials(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        verify=configuration.verify_ssl,
        namespace=chosen.get("context", {}).get("namespace") or "default",
        tokens=Tokens(read),
    )

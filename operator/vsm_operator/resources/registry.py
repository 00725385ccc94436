"""The bundle registry as a pod sees it: a name, the address behind it, and a port."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from vsm_operator.kube.manifest import Manifest
from vsm_operator.resources.common import LABEL_NAME, NAMESPACE_NAME_LABEL
from vsm_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class Registry:
    """Where bundles are pulled from.

    Server pods have no DNS, so the name travels with them as a host alias; keeping the name keeps TLS verification.
    """

    url: str
    address: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    def peers(self, settings: Settings) -> list[Manifest]:
        """NetworkPolicy peers of the registry."""
        if settings.registry_embedded:
            return [
                {
                    "namespaceSelector": {"matchLabels": {NAMESPACE_NAME_LABEL: settings.namespace}},
                    "podSelector": {"matchLabels": {LABEL_NAME: "vsm-registry"}},
                }
            ]
        return [{"ipBlock": {"cidr": cidr}} for cidr in settings.registry_cidrs]

"""What the person says by environment variables or on make's command line; a malformed value stops the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devenv.errors import DevenvError
from devenv.images import Image

MINORS = ("1.34", "1.36")
_TRUE = frozenset({"1", "true", "yes"})


@dataclass(frozen=True, slots=True)
class Settings:
    """Frozen, read once."""

    cluster: str = ""
    """"", "local", "kind" or "context:NAME"."""
    kubernetes: str = ""
    """Minor version of a local cluster; empty means its default."""
    image_registry: str = ""
    """Where images for an existing context are pushed, as HOST/PATH."""
    operator_image: Image | None = None
    runtime_image: Image | None = None
    """Images that are already where the cluster finds them: nothing is built."""
    base_image: str = ""
    """A base image for builds in place of the default one."""
    install_prerequisites: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Raises DevenvError naming every bad variable."""
        problems: list[str] = []
        cluster = environ.get("CLUSTER", "")
        if cluster not in {"", "local", "kind"} and not cluster.removeprefix("context:").strip():
            problems.append("CLUSTER=context:NAME needs the name of a kubeconfig context")
        elif cluster not in {"", "local", "kind"} and not cluster.startswith("context:"):
            problems.append(f"CLUSTER={cluster}: it is local, kind or context:NAME")
        kubernetes = environ.get("KUBERNETES", "")
        if kubernetes and kubernetes not in MINORS:
            problems.append(f"KUBERNETES={kubernetes}: it is one of {', '.join(MINORS)}")
        if kubernetes and cluster not in {"", "local"}:
            problems.append(f"KUBERNETES chooses the version of a local cluster; it says nothing to CLUSTER={cluster}")
        images = [_image(environ, name, problems) for name in ("VSM_OPERATOR_IMAGE", "VSM_RUNTIME_IMAGE")]
        if (images[0] is None) != (images[1] is None):
            problems.append("VSM_OPERATOR_IMAGE and VSM_RUNTIME_IMAGE go together: set both or none")
        if problems:
            raise DevenvError("\n".join(problems))
        return cls(
            cluster=cluster,
            kubernetes=kubernetes,
            image_registry=environ.get("IMAGE_REGISTRY", "").rstrip("/"),
            operator_image=images[0],
            runtime_image=images[1],
            base_image=environ.get("VSM_BASE_IMAGE", ""),
            install_prerequisites=any(
                environ.get(name, "").lower() in _TRUE for name in ("VSM_INSTALL_PREREQUISITES", "CI")
            ),
        )


def _image(environ: Mapping[str, str], name: str, problems: list[str]) -> Image | None:
    value = environ.get(name, "")
    if not value:
        return None
    try:
        return Image.parse(value)
    except ValueError as error:
        problems.append(f"{name}: {error}")
        return None

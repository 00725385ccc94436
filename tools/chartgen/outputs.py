"""Which files are generated, and how they come to be up to date. Paths are relative to the checkout."""

from collections.abc import Mapping
from pathlib import Path

from chartgen import crds, install, readme, roles
from chartgen.helm import Helm

_CRDS_CHART = Path("charts/vsm-operator-crds")
_OPERATOR_CHART = Path("charts/vsm-operator")
_INSTALL = Path("manifests/install")


def chart_files(checkout: Path) -> dict[Path, str | None]:
    """Generated parts of both charts; None is a file that has to go."""
    definitions = {path.name: path.read_text() for path in (checkout / "crds").glob("*.yaml")}
    files: dict[Path, str | None] = dict.fromkeys(_former_definitions(checkout))
    templates = crds.templates(definitions)
    files |= {_CRDS_CHART / "templates" / name: text for name, text in templates.items()}
    files[_OPERATOR_CHART / "templates" / "_permissions.generated.tpl"] = roles.template()
    for chart in (_CRDS_CHART, _OPERATOR_CHART):
        text = (checkout / chart / "README.md").read_text()
        files[chart / "README.md"] = readme.with_table(text, (checkout / chart / "values.yaml").read_text())
    return files


def install_files(checkout: Path, helm: Helm) -> dict[Path, str | None]:
    """Both charts as plain manifests."""
    return {
        _INSTALL / name: install.manifests(
            chart.name, helm.template(checkout / chart, release=install.RELEASE, namespace=install.NAMESPACE)
        )
        for name, chart in (("crds.yaml", _CRDS_CHART), ("operator.yaml", _OPERATOR_CHART))
    }


def settle(checkout: Path, files: Mapping[Path, str | None], *, write: bool) -> list[Path]:
    """The files that differ; with `write` they no longer do."""
    stale = []
    for path, text in files.items():
        target = checkout / path
        if (target.read_text() if target.is_file() else None) == text:
            continue
        stale.append(path)
        if write and text is None:
            target.unlink()
        elif write and text is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    return stale


def _former_definitions(checkout: Path) -> list[Path]:
    """CRD templates in the chart, so that one whose source is gone goes too."""
    folder = _CRDS_CHART / "templates"
    return [folder / path.name for path in (checkout / folder).glob("*.vsm-mcp.io.yaml")]

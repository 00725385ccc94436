"""Plain manifests for kustomize: both charts as they come out with their default values, without Helm's traces."""

from chartgen.yamltext import Manifest, documents

NAMESPACE = "vsm-system"
RELEASE = "vsm-operator"
_HEADER = "# Generated from charts/%s by `python -m chartgen`. Do not edit; change it with an overlay.\n"


def manifests(chart: str, rendered: list[Manifest]) -> str:
    """Text of one file."""
    return _HEADER % chart + documents(_plain(manifest) for manifest in rendered)


def _plain(manifest: Manifest) -> Manifest:
    """Labels that say "Helm made this" would be untrue, and a policy that only Helm reads would mislead."""
    plain = dict(manifest)
    plain["metadata"] = _without_helm(manifest["metadata"])
    template = manifest.get("spec", {}).get("template")
    if template:
        template = {**template, "metadata": _without_helm(template["metadata"])}
        plain["spec"] = {**manifest["spec"], "template": template}
    return plain


def _without_helm(metadata: Manifest) -> Manifest:
    result = {}
    for key, value in metadata.items():
        if key in {"labels", "annotations"}:
            kept = {name: text for name, text in value.items() if not name.startswith("helm.sh/") and text != "Helm"}
            if kept:
                result[key] = kept
        else:
            result[key] = value
    return result

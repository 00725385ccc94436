"""CRD documents from the models.

`python -m vsm_operator.api.crd` writes crds/; with `--check` it compares and exits 1 on drift.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from vsm_operator.api.schema import structural_schema
from vsm_operator.api.v1alpha1 import GROUP, NAME_MAX_LENGTH, VERSION, McpServer

_HEADER = "# Generated from operator/vsm_operator/api by `make generate`. Do not edit.\n"


def _column(name: str, path: str, *, kind: str = "string", priority: int = 0, description: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "jsonPath": path, "priority": priority, "description": description}


def mcp_server_crd() -> dict[str, Any]:
    """The CustomResourceDefinition of McpServer."""
    schema = structural_schema(McpServer)
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": NAME_MAX_LENGTH}}},
        **schema["properties"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"mcpservers.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": "McpServer",
                "listKind": "McpServerList",
                "plural": "mcpservers",
                "singular": "mcpserver",
                "shortNames": ["mcps"],
                "categories": ["vsm"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        _column("Phase", ".status.phase", description="Where the server is in its life"),
                        _column("Package", ".status.package", description="Package URL or image"),
                        _column("Version", ".status.version", description="Exact version"),
                        _column("Tools", ".status.tools.count", kind="integer", description="Tools that it lists"),
                        _column(
                            "Reason",
                            '.status.conditions[?(@.type=="Ready")].reason',
                            description="Why it is ready or not",
                        ),
                        _column("Endpoint", ".status.endpoint", description="Streamable HTTP URL in the cluster"),
                        _column("Age", ".metadata.creationTimestamp", kind="date", description="Time since creation"),
                        _column(
                            "Message",
                            '.status.conditions[?(@.type=="Ready")].message',
                            priority=1,
                            description="What to do next",
                        ),
                        _column("Digest", ".status.bundle.digest", priority=1, description="Bundle that it runs"),
                    ],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def documents() -> dict[str, str]:
    """File name to YAML text, one file a kind."""
    crds = [mcp_server_crd()]
    return {
        f"{crd['metadata']['name']}.yaml": _HEADER + yaml.safe_dump(crd, sort_keys=False, width=120) for crd in crds
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m vsm_operator.api.crd", description=__doc__)
    parser.add_argument("directory", nargs="?", default="crds", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs")
    options = parser.parse_args(arguments)
    stale = []
    for name, text in documents().items():
        path = options.directory / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not options.check:
            options.directory.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if stale and options.check:
        sys.stderr.write(f"{', '.join(stale)} in {options.directory} is not what the models say: run `make generate`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

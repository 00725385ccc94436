"""vsm-operator: from a package name to a vetted, isolated, pinned MCP server on Kubernetes."""

__version__ = "0.1.0"

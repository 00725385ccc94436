"""Talking to a cluster. Knows manifests and HTTP, nothing about MCP servers."""

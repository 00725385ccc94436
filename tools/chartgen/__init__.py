"""Generates what the charts and the plain manifests repeat from elsewhere, so that each fact is written once.

`python -m chartgen` writes, `python -m chartgen --check` compares; run them with `operator` and `tools` on PYTHONPATH.
"""

"""Measurements with their targets. Nothing here passes or fails a test: a missed target is printed as missed."""

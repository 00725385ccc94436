"""Vetting: evidence about packages, collected without running any of their code."""

"""Static analysis of packages: reads hostile sources as bytes and text, runs nothing, and says what it saw."""

from vsm_runtime.vetting.static.engine import scan, scan_many
from vsm_runtime.vetting.static.limits import Limits
from vsm_runtime.vetting.static.matching import NoRules, rule_pack
from vsm_runtime.vetting.static.report import StaticReport

__all__ = ["Limits", "NoRules", "StaticReport", "rule_pack", "scan", "scan_many"]

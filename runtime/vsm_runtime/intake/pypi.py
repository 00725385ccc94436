"""stub"""

from pathlib import Path

from vsm_operator.domain.packages import PackageRef
from vsm_runtime.intake.settings import Settings
from vsm_runtime.intake.tree import Tree


def platform_name(settings: Settings) -> str:
    return ""


def build(package: PackageRef, *, settings: Settings, scratch: Path) -> Tree:
    raise NotImplementedError

"""The scan of one artefact: every file once, then what the files say together.

Out: a StaticReport, always. What could not be read, what took too long and what is no archive are findings of it and
make it incomplete; nothing hostile leads to an exception.
"""

import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vsm_operator.domain.vetting.model import Finding, Severity
from vsm_runtime.vetting.static import correlate, manifests
from vsm_runtime.vetting.static.files import Look, look_at
from vsm_runtime.vetting.static.limits import Deadline, Limits, OutOfTime
from vsm_runtime.vetting.static.manifests import InstallCode
from vsm_runtime.vetting.static.matching import RulePack, rule_pack
from vsm_runtime.vetting.static.members import Member, Problem, members
from vsm_runtime.vetting.static.report import StaticReport
from vsm_runtime.vetting.static.signals import Capability, Signal, severity_of

_SHOWN_FROM = 0.05
_BUNDLED = re.compile(r"(?:^|/)node_modules/(?:@[^/]+/)?[^/]+$")
_SCRIPT_REMEDY = "Install with scripts switched off, or allow this script by name in the policy."
_C_SUFFIXES = (".c", ".cc", ".cpp", ".cxx", ".m", ".mm", ".h", ".hpp", ".gypi", ".rs")


def scan(path: Path, *, purl: str = "", limits: Limits | None = None) -> StaticReport:
    """Of a directory, an archive or a single file. Raises NoRules if this installation has no rules."""
    return _Scan(purl=purl, limits=limits or Limits(), rules=rule_pack()).run(path)


def scan_many(
    paths: Iterable[tuple[str, Path]], *, limits: Limits | None = None, progress: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[str, StaticReport]]:
    """(purl, artefact) pairs one after the other, with the bounds of `limits` for each."""
    for purl, path in paths:
        progress(purl)
        yield purl, scan(path, purl=purl, limits=limits)


def _is_installed(path: str) -> bool:
    """Whether npm heeds a manifest at this place: at the top, and in the packages that come bundled."""
    folder = path.rpartition("/")[0]
    return not folder or _BUNDLED.search(folder) is not None


@dataclass(slots=True)
class _Scan:
    purl: str
    limits: Limits
    rules: RulePack
    views: list[correlate.FileView] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    capabilities: set[Capability] = field(default_factory=set)
    install: InstallCode = field(default_factory=InstallCode)
    files: int = 0
    total_bytes: int = 0
    executable_bytes: int = 0
    scanned_bytes: int = 0
    complete: bool = True
    has_c_source: bool = False
    floor: float = 0.0
    """Of the risk: an artefact that could not be read is no harmless one."""

    def run(self, path: Path) -> StaticReport:
        deadline = Deadline(self.limits.max_seconds)
        try:
            for item in members(path, limits=self.limits, deadline=deadline):
                if isinstance(item, Problem):
                    self._problem(item)
                else:
                    deadline.check()
                    self._member(item)
        except OutOfTime as error:
            self._problem(Problem("time-limit", "", f"the scan was ended {error}", "critical"))
        risk = max([self.floor, *self._judge()])
        return StaticReport(
            risk=risk,
            findings=self._worst(),
            capabilities=tuple(sorted(self.capabilities)),
            files=self.files,
            total_bytes=self.total_bytes,
            executable_bytes=self.executable_bytes,
            scanned_bytes=self.scanned_bytes,
            complete=self.complete,
            rule_pack=self.rules.digest,
        )

    # files

    def _problem(self, problem: Problem) -> None:
        if problem.hides:
            self.complete = False
        archive = problem.rule in ("unsafe-archive", "unreadable-artefact", "artefact-too-large")
        if archive:
            self.floor = 10.0
        self._find("G3" if archive else "C2", problem.rule, problem.severity, problem.why, file=problem.path)

    def _member(self, member: Member) -> None:
        self.files += 1
        self.total_bytes += member.size_bytes
        self.has_c_source |= member.path.endswith(_C_SUFFIXES)
        if stat.S_IMODE(member.mode) & stat.S_IWOTH:
            self._find("C2", "world-writable", "low", "anybody may write to this file", file=member.path)
        if member.mode & (stat.S_ISUID | stat.S_ISGID):
            self._find("C2", "set-user-id", "high", "runs with the rights of its owner", file=member.path)
        look = look_at(member, rules=self.rules, limits=self.limits)
        self._manifest(member, look)
        if look.language:
            self.executable_bytes += member.size_bytes
            self.scanned_bytes += len(member.data) if look.scanned else 0
            self.complete &= look.scanned
        self.capabilities |= look.capabilities
        for rule, severity, summary in look.problems:
            self._find("C2", rule, severity, summary, file=member.path)
        if look.view.signals or look.view.facts:
            self.views.append(look.view)

    def _manifest(self, member: Member, look: Look) -> None:
        name = member.path.rpartition("/")[2]
        if name == "package.json" and _is_installed(member.path):
            manifests.read_package_json(member.path, member.data, self.install)
        elif name == "binding.gyp" and _is_installed(member.path):
            manifests.read_binding_gyp(member.path, member.data, self.install)
        elif name == "setup.py":
            look.view.install_time = True
        elif name.endswith(".pth") and manifests.pth_code(member.data):
            look.view.install_time = True
            heavy = look.view.facts & {"dynamic", "spawn", "send", "decode"} or len(member.data) > 2000
            weight = 0.85 if heavy else 0.3
            look.view.signals.append(Signal("pth-code", "pth", weight, "runs code at every start of Python", 1))

    # judgement

    def _judge(self) -> Iterator[float]:
        by_path = {view.path: view for view in self.views}
        for path, signals in self.install.signals.items():
            by_path.setdefault(path, correlate.FileView(path, install_time=True)).signals.extend(signals)
        for target in self.install.targets:
            for candidate in (target, f"{target}.js", f"{target}/index.js", f"{target}.cjs", f"{target}.mjs"):
                if candidate in by_path:
                    by_path[candidate].install_time = True
        self._install_findings(by_path)
        views = [view for _, view in sorted(by_path.items())]
        linked = list(correlate.linked_signals(views))
        for view, signal in linked:
            view.signals.append(signal)
        for view in views:
            view.signals.extend(correlate.chain_signals(view))
            self._signals(view)
            yield correlate.risk_of(view)

    def _install_findings(self, by_path: dict[str, correlate.FileView]) -> None:
        for path, name, line in self.install.scripts:
            self.capabilities.add(Capability.INSTALL_CODE)
            summary = f"{name} runs code when the package is installed"
            self._find("C3", "npm-lifecycle-script", "medium", summary, file=path, line=line, remedy=_SCRIPT_REMEDY)
        for path in self.install.broken:
            self._find("C2", "unreadable-manifest", "medium", "is no JSON object with scripts", file=path)
        for path in self.install.gyp:
            self.capabilities |= {Capability.INSTALL_CODE, Capability.NATIVE}
            self._find("C3", "binding-gyp", "medium", "npm builds this package when it is installed", file=path)
            if not self.has_c_source:
                view = by_path.setdefault(path, correlate.FileView(path, install_time=True))
                view.signals.append(Signal("gyp-without-source", "gyp", 0.6, "a build file without anything to build"))

    def _signals(self, view: correlate.FileView) -> None:
        counts: dict[str, int] = {}
        for signal in sorted(set(view.signals), key=lambda one: (one.rule, one.line, one.summary)):
            weight = max(signal.weight, signal.install_weight) if view.install_time else signal.weight
            counts[signal.rule] = counts.get(signal.rule, 0) + 1
            if weight < _SHOWN_FROM or counts[signal.rule] > self.limits.max_findings_per_rule_and_file:
                continue
            self._find(
                "C2", signal.rule, severity_of(weight), signal.summary, file=view.path, line=signal.line,
                snippet=signal.snippet_sha256, weight=weight,
            )  # fmt: skip

    def _find(
        self,
        check: str,
        rule: str,
        severity: Severity,
        summary: str,
        *,
        file: str = "",
        line: int = 0,
        snippet: str = "",
        remedy: str = "",
        weight: float | None = None,
    ) -> None:
        self.findings.append(
            Finding(
                check=check,
                purl=self.purl,
                rule=rule,
                severity=severity,
                summary=summary,
                file=file,
                line=line,
                snippet_sha256=snippet,
                remedy=remedy,
                data={} if weight is None else {"weight": round(weight, 3)},
            )
        )

    def _worst(self) -> tuple[Finding, ...]:
        ordered = sorted(self.findings, key=Finding.key)
        if len(ordered) > self.limits.max_findings:
            left = len(ordered) - self.limits.max_findings
            ordered = ordered[: self.limits.max_findings]
            note = f"{left} lighter findings were left out"
            ordered.append(Finding(check="C2", purl=self.purl, rule="more-findings", severity="info", summary=note))
        return tuple(ordered)

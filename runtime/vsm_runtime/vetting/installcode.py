"""Code that would run without being called: at install time, at interpreter start, or in the name of another program.

Input is lists of file names and the text of a few small files, read from the archive itself; the registry's copy of a
manifest is compared with it, because npm installs from the one and shows the other. Pure; hostile input never raises.

`scripts` are the entries that PackageEvidence.install_scripts wants; whether a policy allows them is not decided here.
"""

import hashlib
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from vsm_operator.domain.vetting.model import PATH_MAX_CHARS, Finding, Severity, SourceState, SourceStatus, clean
from vsm_runtime.intake.facts import npm_lifecycle_scripts
from vsm_runtime.vetting.commands import dangerous, owned, shadowed
from vsm_runtime.vetting.documents import entries, mapping, text

FEEDS = ("C3", "G7")
_LIFECYCLE = ("preinstall", "install", "postinstall")
_GYP_COMMAND = re.compile(r"<!{1,2}@?\(|[\"']actions?[\"']|[\"']rules[\"']")
_NESTED_MANIFEST = re.compile(r"(?:[^/]{1,255}/){0,40}?node_modules/(?:@[^/]{1,255}/)?[^/]{1,255}/package\.json")
_HOOK = re.compile(
    r"(?:[^/]{1,255}\.data/(?:purelib|platlib|data/(?:lib|Lib)/(?:python3[^/]{0,8}/)?[a-z]{4}-packages)/)?"
    r"([^/]{1,255}?)(?:/__init__)?\.(pth|py|pyc|so|pyd)"
)
_START_MODULES = frozenset({"sitecustomize", "usercustomize"})
_DATA_SCRIPT = re.compile(r"[^/]{1,255}\.data/(?:scripts|data/bin)/([^/]{1,255})")
_AUTOLOADED_GROUPS = frozenset({"pytest11", "distutils.commands", "setuptools.finalize_distribution_options"})
_MAX_COMMAND = 4096
_MAX_ENTRY_POINTS = 1_000_000
_MAX_FINDINGS = 100
"""Of one kind in one package: the first already decides, the rest only fill memory."""


@dataclass(frozen=True, slots=True)
class InstallCode:
    """What would run; `scripts` is () only when everything that can hold such code was looked at."""

    scripts: tuple[str, ...]
    findings: tuple[Finding, ...]
    source: SourceState


def npm_install_code(
    *,
    purl: str,
    manifest: Mapping[str, Any],
    files: Collection[str],
    published: Mapping[str, Any] | None = None,
    nested: Mapping[str, object] | None = None,
    gyp: str = "",
) -> InstallCode:
    """One package from its tarball.

    `manifest`   package.json of the tarball; `published` the registry's copy of it, None when the registry keeps it.
    `files`      paths under the top folder. `nested`: parsed package.json by path, of packages bundled under it.
    `gyp`        text of binding.gyp, if any.
    """
    name = text(manifest.get("name"), max_length=214)
    scripts = npm_lifecycle_scripts(manifest, has_binding_gyp="binding.gyp" in files)
    findings = [*_lifecycle(purl, manifest, file="package.json"), *_confusion(purl, manifest, published, scripts)]
    if gyp_hit := _GYP_COMMAND.search(gyp[:1_000_000]):
        summary = "binding.gyp runs commands while the native build is configured"
        line = gyp.count("\n", 0, gyp_hit.start()) + 1
        findings.append(_finding(purl, "gyp-command", "high", summary, file="binding.gyp", line=line))
    bundled = sorted(path for path in files if _NESTED_MANIFEST.fullmatch(path))
    told = manifest.get("bundleDependencies") or manifest.get("bundledDependencies")
    if bundled or told:
        summary = f"{len(bundled)} packages travel inside the archive, without an integrity hash of their own"
        findings.append(_finding(purl, "bundled-dependencies", "low", summary, field="bundleDependencies"))
    unread = [path for path in bundled if path not in (nested or {})]
    inner: list[tuple[str, str]] = []
    for path, raw in sorted((nested or {}).items()):
        gyp_path = path.removesuffix("package.json") + "binding.gyp"
        found = npm_lifecycle_scripts(mapping(raw), has_binding_gyp=gyp_path in files)
        inner += [(script, path.removesuffix("/package.json")) for script in found]
        findings += _lifecycle(purl, mapping(raw), file=path)
    findings += _commands(purl, _bins(manifest), ecosystem="npm", owner=name, file="package.json")
    if ".npmrc" in files:
        findings.append(_finding(purl, "ships-npmrc", "medium", "the archive ships settings for npm", file=".npmrc"))
    source = _source(purl, f"{len(unread)} bundled manifests were not read" if unread else "")
    return InstallCode((*scripts, *(_entry(*pair) for pair in inner)), tuple(findings), source)


def _lifecycle(purl: str, manifest: Mapping[str, Any], *, file: str) -> Iterator[Finding]:
    """What each script is, and at the gate's level when its command is one that no honest build needs."""
    scripts = mapping(manifest.get("scripts"))
    for name in _LIFECYCLE:
        command = text(scripts.get(name), max_length=_MAX_COMMAND)
        if not command:
            continue
        field, digest = f"scripts.{name}", hashlib.sha256(command.encode()).hexdigest()
        yield Finding(
            check="C3",
            purl=purl,
            rule="lifecycle-script",
            severity="medium",
            summary=f"{name} would run at install: {command}",
            file=file,
            field=field,
            snippet_sha256=digest,
            remedy="it is not run here; a policy can allow it by name",
        )
        longer = len(str(scripts.get(name))) > _MAX_COMMAND
        if why := "has a command longer than any build's" if longer else dangerous(command):
            yield Finding(
                check="G7",
                purl=purl,
                rule="lifecycle-script-dangerous",
                severity="critical",
                summary=f"{name} {why}: {command}",
                file=file,
                field=field,
                snippet_sha256=digest,
            )


def _confusion(
    purl: str, manifest: Mapping[str, Any], published: Mapping[str, Any] | None, scripts: tuple[str, ...]
) -> Iterator[Finding]:
    """What the tarball's manifest has and the registry's copy does not show."""
    if published is None:
        return
    for field in ("name", "version"):
        inside, shown = manifest.get(field), published.get(field)
        if inside != shown:
            summary = f"the archive calls its {field} {text(inside, max_length=60)!r}, the registry another"
            yield _finding(
                purl, "manifest-of-another", "critical", summary, check="G3", file="package.json", field=field
            )
    shown_scripts = mapping(published.get("scripts"))
    hidden = [name for name in scripts if name in _LIFECYCLE and not shown_scripts.get(name)]
    if hidden and ("scripts" in published or published.get("hasInstallScript") is not True):
        summary = f"the archive has {', '.join(hidden)}, the registry's description hides it"
        yield _finding(purl, "hidden-install-script", "critical", summary, check="G7", file="package.json")
    inside_names, shown_names = _required(manifest), _required(published)
    if missing := sorted(inside_names - shown_names):
        summary = f"the archive depends on {missing[0]}, the registry's description does not show it"
        yield _finding(
            purl, "hidden-dependency", "medium", summary, check="C8", file="package.json", field="dependencies"
        )


def _required(manifest: Mapping[str, Any]) -> set[str]:
    return {name for key in ("dependencies", "optionalDependencies") for name, _ in entries(manifest.get(key))}


def _bins(manifest: Mapping[str, Any]) -> Iterator[str]:
    bins = manifest.get("bin")
    if isinstance(bins, str):
        yield text(manifest.get("name"), max_length=214).rpartition("/")[2]
    yield from (name for name, _ in entries(bins))


def wheel_install_code(
    *, purl: str, name: str, files: Iterable[str], hooks: Mapping[str, str], entry_points: str = ""
) -> InstallCode:
    """One wheel: `hooks` is the text of its `.pth` files by path, `entry_points` that of entry_points.txt."""
    scripts: list[str] = []
    findings: list[Finding] = []
    commands: list[str] = []
    unread = 0
    for path in sorted(files):
        if found := _DATA_SCRIPT.fullmatch(path):
            commands.append(found.group(1))
        hook = _HOOK.fullmatch(path)
        stem, suffix = hook.groups() if hook else ("", "")
        if suffix == "pth" and path not in hooks:
            unread += 1
            scripts.append(_entry("pth", path))
        elif suffix == "pth" and (code := _pth_code(purl, path, hooks[path])):
            scripts.append(_entry("pth", path))
            findings.append(code)
        elif suffix == "pth":
            findings.append(_finding(purl, "pth-path", "low", f"{path} adds folders to Python's path", file=path))
        elif stem.partition(".")[0] in _START_MODULES:
            scripts.append(_entry("pth", path))
            summary = f"{path} would run at every start of Python"
            findings.append(_finding(purl, "start-module", "critical", summary, check="G7", file=path))
        elif stem in sys.stdlib_module_names:
            summary = f"{path} has the name of a module of the standard library"
            findings.append(_finding(purl, "shadows-standard-library", "low", summary, file=path))
    findings += list(_entry_points(purl, entry_points, commands))[:_MAX_FINDINGS]
    findings += _commands(purl, commands, ecosystem="pypi", owner=name, file="entry_points.txt")
    reason = f"{unread} .pth files were not read" if unread else ""
    if len(entry_points) > _MAX_ENTRY_POINTS:
        reason = "entry_points.txt is too long to be read"
    return InstallCode(tuple(scripts), tuple(findings), _source(purl, reason))


def sdist_only(*, purl: str) -> InstallCode:
    """A version without any wheel: installing it would run its build."""
    summary = "there is no wheel: an installation would run the package's own build"
    finding = _finding(purl, "sdist-only", "high", summary, remedy="ask the maintainers for a wheel")
    return InstallCode(("sdist-only",), (finding,), _source(purl, ""))


def _entry(kind: str, path: str) -> str:
    return clean(f"{kind}:{path}", max_chars=PATH_MAX_CHARS)


def _pth_code(purl: str, path: str, content: str) -> Finding | None:
    """The first line that Python would execute; it splits lines at more than newlines, and skips a byte order mark."""
    for number, line in enumerate(content.lstrip("\ufeff").splitlines(), start=1):
        if line.startswith(("import ", "import\t")):
            return Finding(
                check="C3",
                purl=purl,
                rule="pth-code",
                severity="high",
                summary=f"{path} would run at every start of Python: {line}",
                file=path,
                line=number,
                snippet_sha256=hashlib.sha256(line.encode("utf-8", "replace")).hexdigest(),
                remedy="it is not run here; a policy can allow it by name",
            )
    return None


def _entry_points(purl: str, content: str, commands: list[str]) -> Iterator[Finding]:
    """Adds the console scripts to `commands`; reports names that leave their folder and groups that load themselves."""
    group, seen = "", set[str]()
    for number, raw in enumerate(content[:_MAX_ENTRY_POINTS].splitlines(), start=1):
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
            if group in _AUTOLOADED_GROUPS - seen:
                seen.add(group)
                summary = f"another tool loads this package by itself through {group}"
                yield _finding(purl, "autoloaded-entry-point", "low", summary, file="entry_points.txt", line=number)
        elif "=" in line and group in {"console_scripts", "gui_scripts"}:
            command = line.partition("=")[0].strip()
            commands.append(command)
            if "/" in command or "\\" in command or command in {".", ".."}:
                summary = f"the command {command} would be installed outside the folder of commands"
                rule, file = "entry-point-escapes", "entry_points.txt"
                yield _finding(purl, rule, "critical", summary, check="G7", file=file, line=number)


def _commands(purl: str, names: Iterable[str], *, ecosystem: str, owner: str, file: str) -> Iterator[Finding]:
    hiding = ((command, known) for command in sorted(set(names)) if (known := shadowed(command)))
    for command, known in islice(hiding, _MAX_FINDINGS):
        if owned(known, ecosystem=ecosystem, package=owner):
            continue
        # A package of the command's own name at least does not hide that it brings it.
        severity: Severity = "low" if known == owner.rpartition("/")[2].lower() else "high"
        summary = f"installs a command that hides the well-known {known}"
        yield _finding(purl, "shadows-command", severity, summary, check="C8", file=file, field=command)


def _source(purl: str, reason: str) -> SourceState:
    status: SourceStatus = "error" if reason else "ok"
    return SourceState(id="install-code", status=status, feeds=FEEDS, reason=reason, purls=(purl,))


def _finding(
    purl: str,
    rule: str,
    severity: Severity,
    summary: str,
    *,
    check: str = "C3",
    file: str = "",
    line: int = 0,
    field: str = "",
    remedy: str = "",
) -> Finding:
    return Finding(
        check=check,
        purl=purl,
        rule=rule,
        severity=severity,
        summary=summary,
        file=file,
        line=line,
        field=field,
        remedy=remedy,
    )

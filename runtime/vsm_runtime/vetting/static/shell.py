"""What a command line says that some code starts. The patterns are bounded and are tried on a bounded text."""

import re

_MAX_COMMAND = 4096
SHELL_FETCH = re.compile(
    r"(?:curl|wget|iwr|Invoke-WebRequest|DownloadString|DownloadFile|certutil|bitsadmin)\b[^\n]{0,300}?"
    r"(?:\|\s{0,4}(?:sudo\s)?(?:ba|z|da)?sh\b|\|\s{0,4}(?:python[23]?|node|perl|iex)\b"
    r"|(?:&&|;)\s{0,4}(?:chmod|sh|bash|start|\./|/tmp/)|\biex\b|-urlcache)"
    r"|(?:sh|bash|zsh)\s{1,4}-c\s{0,4}[\"']?\$\((?:curl|wget)|(?:ba)?sh\s{1,4}<\(\s{0,4}(?:curl|wget)",
    re.IGNORECASE,
)
SHELL_HIDDEN = re.compile(
    r"powershell(?:\.exe)?\b[^\n]{0,120}?\s-(?:e|en|enc|encodedcommand)\s|\bbase64\s{1,4}(?:-d|-D|--decode)\b[^\n]{0,80}"
    r"\|\s{0,4}(?:ba|z)?sh\b|powershell(?:\.exe)?\b[^\n]{0,120}?(?:-w(?:indowstyle)?\s{1,4}hidden)",
    re.IGNORECASE,
)
SHELL_REVERSE = re.compile(r"/dev/tcp/|\bn(?:c|cat)\b[^\n]{0,60}\s-(?:e|c)\s|mkfifo\s[^\n]{0,80}\bnc\b", re.IGNORECASE)
SHELL_ANY_FETCH = re.compile(r"\b(?:curl|wget)(?:\.exe)?\b[^\n]{0,200}?(?:https?://|\$\{?\w)", re.IGNORECASE)


def shell_signals(command: str) -> list[tuple[str, float, str]]:
    """What a command line that some code starts says: (rule, weight, summary)."""
    command = command[:_MAX_COMMAND]
    found = []
    if SHELL_REVERSE.search(command):
        found.append(("shell-reverse", 0.95, "starts a shell for somebody else"))
    if SHELL_FETCH.search(command):
        found.append(("shell-download-execute", 0.92, "starts a command that downloads and runs code"))
    if SHELL_HIDDEN.search(command):
        found.append(("shell-hidden", 0.85, "starts an encoded or hidden command"))
    return found

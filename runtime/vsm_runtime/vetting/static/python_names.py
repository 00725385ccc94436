"""Words of Python's standard library and its usual companions that matter to the analysis of chains.

Lists of our own making. Keys are dotted names after imports have been resolved.
"""

import re

EXECUTE = frozenset({
    "exec", "eval", "builtins.exec", "builtins.eval", "__builtins__.exec", "__builtins__.eval", "types.FunctionType",
    "runpy.run_path", "code.InteractiveInterpreter.runcode",
})  # fmt: skip
COMPILE = frozenset({"compile", "builtins.compile"})
SPAWN = frozenset({
    "os.system", "os.popen", "os.startfile", "subprocess.run", "subprocess.call", "subprocess.Popen", "pty.spawn",
    "subprocess.check_call", "subprocess.check_output", "subprocess.getoutput", "subprocess.getstatusoutput",
    "os.execl", "os.execle", "os.execlp", "os.execv", "os.execve", "os.execvp", "os.execvpe", "os.posix_spawn",
    "os.spawnl", "os.spawnle", "os.spawnv", "os.spawnve", "os.spawnlp", "os.spawnvp", "commands.getoutput",
    "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "ctypes.windll.shell32.ShellExecuteW",
})  # fmt: skip
FETCH = frozenset({
    "requests.get", "requests.post", "requests.request", "urllib.request.urlopen", "urllib2.urlopen",
    "urllib.urlopen", "urllib.request.urlretrieve", "urllib.urlretrieve", "httpx.get", "httpx.post", "httpx.request",
    "httpx.stream", "wget.download", "urllib3.request", "aiohttp.request",
})  # fmt: skip
RETRIEVE = frozenset({"urllib.request.urlretrieve", "urllib.urlretrieve", "wget.download"})
SEND = FETCH | {
    "requests.put", "requests.patch", "httpx.put", "httpx.patch", "socket.gethostbyname", "socket.getaddrinfo",
    "socket.create_connection", "urllib.request.Request", "http.client.HTTPSConnection", "http.client.HTTPConnection",
    "dns.resolver.resolve", "dns.resolver.query", "smtplib.SMTP.sendmail",
}  # fmt: skip
SEND_METHODS = frozenset({"sendall", "sendto", "send", "sendmail", "send_message", "storbinary", "post", "put"})
SEND_OWNERS = ("socket", "smtplib", "ftplib", "requests", "httpx", "aiohttp", "http.client", "websocket", "urllib3")
DECODE = frozenset({
    "base64.b64decode", "base64.b32decode", "base64.b85decode", "base64.a85decode", "base64.b16decode",
    "base64.decodebytes", "base64.urlsafe_b64decode", "base64.standard_b64decode", "zlib.decompress",
    "gzip.decompress", "bz2.decompress", "lzma.decompress", "marshal.loads", "binascii.unhexlify",
    "binascii.a2b_base64", "bytes.fromhex", "bytearray.fromhex", "cryptography.fernet.Fernet.decrypt",
})  # fmt: skip
ENCODE = frozenset({
    "base64.b64encode", "base64.b32encode", "base64.urlsafe_b64encode", "base64.b85encode", "base64.encodebytes",
    "binascii.hexlify", "binascii.b2a_base64", "zlib.compress", "urllib.parse.quote", "json.dumps",
})  # fmt: skip
KEEPS_WHOLE = frozenset({
    "dict", "str", "repr", "list", "bytes", "items", "keys", "values", "copy", "encode", "decode", "join", "format",
    "dumps", "urlencode", "environ", "environb", "sorted", "tuple", "bytearray", "quote", "pformat", "map", "encrypt",
})  # fmt: skip
"""Functions and methods after which all of the environment is still there."""
GATHERS = frozenset({"append", "extend", "add", "update", "insert", "writestr"})
"""Methods after which the object holds what it was given."""
SYSTEM_FACTS = {
    "socket.gethostname": "host", "socket.getfqdn": "host", "platform.node": "host", "os.uname": "host",
    "platform.uname": "host", "getpass.getuser": "user", "os.getlogin": "user", "os.getuid": "user",
    "pwd.getpwuid": "user", "uuid.getnode": "host", "os.getcwd": "place", "os.path.expanduser": "place",
    "pathlib.Path.home": "place", "platform.platform": "system", "platform.system": "system",
    "platform.version": "system", "platform.release": "system",
}  # fmt: skip
WATCHING = frozenset({
    "pyperclip.paste", "PIL.ImageGrab.grab", "pyautogui.screenshot", "mss.mss", "win32clipboard.GetClipboardData",
})  # fmt: skip
ENVIRONMENT = frozenset({"os.environ", "os.environb"})
CAPABILITIES = {
    "subprocess": "process", "pty": "process", "multiprocessing": "process", "commands": "process",
    "socket": "network", "ssl": "network", "urllib": "network", "urllib2": "network", "http": "network",
    "requests": "network", "httpx": "network", "aiohttp": "network", "ftplib": "network", "smtplib": "network",
    "telnetlib": "network", "websocket": "network", "websockets": "network", "paramiko": "network",
    "urllib3": "network", "httpcore": "network", "xmlrpc": "network",
    "shutil": "filesystem", "pathlib": "filesystem", "tempfile": "filesystem", "glob": "filesystem",
    "ctypes": "native", "cffi": "native", "_ctypes": "native",
    "runpy": "dynamic-code", "marshal": "dynamic-code", "importlib": "dynamic-code", "code": "dynamic-code",
    "codeop": "dynamic-code",
}  # fmt: skip

SECRET_PLACE = re.compile(
    r"\.ssh(?:/|\\|$)|id_rsa|id_ed25519|id_ecdsa|\.aws[/\\](?:credentials|config)|\.npmrc$|\.pypirc$|\.netrc$"
    r"|\.git-credentials|\.docker[/\\]config\.json|\.kube[/\\]config|/etc/(?:shadow|passwd)$|\.bash_history"
    r"|\.zsh_history|Login Data|Local State|Local Storage[/\\]leveldb|cookies\.sqlite|key4\.db|logins\.json"
    r"|wallet\.dat|\.electrum|Exodus|\.config[/\\]gcloud|application_default_credentials|\.vault-token"
    r"|\.gnupg|\.claude\.json|\.cursor[/\\]mcp\.json|claude_desktop_config\.json|discord[/\\]|metamask",
    re.IGNORECASE,
)
SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|API_?KEY|CREDENTIAL|PRIVATE_?KEY|ACCESS_KEY", re.IGNORECASE)
SUSPICIOUS_PLACE = re.compile(
    r"discord(?:app)?\.com/api/webhooks|api\.telegram\.org/bot|\.oast(?:ify)?\.|interact\.sh|burpcollaborator\.net"
    r"|\.pipedream\.net|webhook\.site|requestbin|\.ngrok(?:-free)?\.|ngrok\.io|transfer\.sh|file\.io/|gofile\.io"
    r"|anonfiles?\.|dnslog\.|requestcatcher\.com|beeceptor\.com|canarytokens\.|hookb\.in|pastebin\.com/raw"
    r"|paste\.ee/r|rentry\.co/|\.onion\b|termbin\.com|\.ceye\.io|eyes\.sh|cdn\.discordapp\.com/attachments"
    r"|https?://(?!127\.|0\.0\.0\.0|10\.|192\.168\.|169\.254\.|172\.(?:1[6-9]|2\d|3[01])\.|255\.)"
    r"(?:\d{1,3}\.){3}\d{1,3}(?![\d.])(?::\d{2,5})?(?:/|[\"'`]|$)",
    re.IGNORECASE,
)

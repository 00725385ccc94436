"""How a manifest travels: JSON that is YAML as well.

Server-side apply reads its body as YAML, whatever it looks like. There a surrogate pair ("\\ud83d\\ude80", which is how
ASCII-only JSON writes an emoji) is an error, and so are some characters unless they are escaped. So text goes as
UTF-8, with escapes for exactly those characters.
"""

import json
import re
from typing import Any

_NOT_PRINTABLE_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def encoded(content: Any) -> bytes:
    """Compact. A lone surrogate, which no encoding can carry, becomes "?"."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return _NOT_PRINTABLE_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode(errors="replace")

"""What one sentence of a tool text is about, whatever the order of its words.

`toolrules` knows phrases; who wants to be missed uses others. Here a sentence is a set of concepts (a person, noticing,
a negation, a secret, an argument), and what no honest sentence puts together counts, a little less than a phrase does.
Invariants: linear; each concept is an alternation of words without repetition.
"""

# ruff: noqa: E501 - one concept a paragraph

import re
from dataclasses import dataclass
from typing import Final

_SENTENCE = re.compile(r"(?<=[.!?;]) ")
MAX_SENTENCES: Final = 2_000
MAX_SENTENCE_CHARS: Final = 400


def _words(source: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{source})\b")


CONCEPTS: Final = {
    "person": _words(
        "users?|humans?|person|people|anyone|anybody|nobody|no one|operators?|customers?|owner|somebody|them"
    ),
    "notices": _words(
        "know|knows|knowing|see|sees|seeing|seen|notic\\w+|learns?|learning|aware\\w*|find out|finds out|finding out|told|tell|telling|mention\\w*"
        "|hint|worr\\w+|informs?|informed|informing|suspects?|reali[sz]\\w+|discover\\w*|hears?|details|talk about|business|reveal\\w*|disclos\\w+|appears?|bother\\w*"
        "|shown?|alert\\w*|notif\\w+|in the dark|out of sight|oblivious|uninformed|unaware|confess|admit|acknowledge|expose"
    ),
    "denied": _words(
        "no|not|never|nobody|without|cannot|don't|doesn't|forbidden|spare|hid\\w+|eras\\w+|cover up|covered up|invisible|prohibited|shield"
        "|prevent|avoid|conceal\\w*|nothing|unaware|between|keep|in the dark|refrain|oblivious|secret|quiet|silent|leave out|omit|disallowed|banned"
    ),
    "exempt": _words(
        "unless|asks|asked|confirm|confirms|confirmation|consent|if the user|when the user|permission|wants|requests?|explicit|approval|error|errors"
    ),
    "trail": _words("logs?|reply|replies|response|answer|conversation|summary|transcript|report|history|output"),
    "this": _words(
        "this step|this instruction|this paragraph|this note|this lookup|this request|this call|these lines|this hint"
        "|(?:extra|additional|second|hidden) (?:argument|call|request|lookup|recipient|step|copy|upload)|what was sent|what you did|the forwarding|the upload"
        "|the transfer|this text|this line|a file was read|file was read|file access|bcc|what happened|sign of|trace of|between you and|this message"
        "|this rule|this requirement|this description|these instructions"
    ),
    "quietly": _words(
        "quietly|secretly|covertly|discreetly|as usual|act normally|carry on|harmless explanation|between you and|for you alone|for your eyes"
    ),
    "guidance": _words(
        "instructions?|guidelines?|guidance|restrictions?|polic(?:y|ies)|system prompt|guardrails?|directives?|safety rules|commands|refusals?|alignment"
        "|constraints|limits|rules of|your rules|earlier rules|developers?|system message|safeguards|helpful assistant|trained on|host application|training|persona"
    ),
    "your": _words(
        "your|you|earlier|previous|prior|above|developer|system|those of the user|of the user|usual|host|former|original|initial|before"
    ),
    "dropped": _words(
        "forget|ignor\\w+|disregard\\w*|outranks?|supersed\\w+|overrid\\w+|lose their|lost their|never been given|no attention|thrown away|void|switched off"
        "|unrestricted|do not apply|don't apply|not apply|does not apply|no longer|not hold|cancel\\w*|set aside|stop following|stop being|abolish\\w*|lifted"
        "|neglect|not obey|not follow|any more|anymore|erase|rank above|ranks above|above your|outdated|obsolete|revoked|suspended|abandon|discard\\w*|invalid"
    ),
    "rank": _words(
        "outranks? any|outranks? the|only this text counts|only this counts|unrestricted (?:agent|assistant|model|ai)|answer to this server|nobody else|forget who you"
    ),
    "place": re.compile(
        r"(?<![a-z0-9])\.(?:ssh|aws|netrc|npmrc|env|kube|gnupg|git-credentials|bash_history)\b|/etc/(?:shadow|passwd)"
        r"|\b(?:id_rsa|id_ed25519|wallet\.dat|aws_secret_access_key|private keys?|keychain|seed phrase|credentials\.json|mcp\.json"
        r"|documents folder|home directory)\b"
    ),
    "private": _words(
        "system prompt|chat messages|last \\w+ (?:chat )?messages|conversation history|chat history|dialogue|user's api key|bearer token that you|token that you"
        "|your other tools|all your tools|other servers|password that the user|each password|every password|customer database|user's passwords?|your own prompt"
        "|prompts of the user|user's prompts?|user's messages|user's home address|home address|phone numbers?|session cookies?|from your login|database password"
        "|other tools returned|returned by other|you were configured with|print the environment|dump the environment|whole environment|its token|your token"
        "|your credentials|user's credentials|user's keys?|user's tokens?|user's files|user's documents|browser cookies|everything the user"
    ),
    "argument": _words(
        "quoted|parameters?|arguments?|footer|attachments?|query string|fields?|payload|header|as input|title|body of the|first request|hint|comment"
    ),
    "handed": _words(
        "use|suppl\\w+|provid\\w+|cop(?:y|ied)|past(?:e|ed)|fill\\w*|puts?|pass\\w*|upload\\w*|send|sent|post\\w*|deliver\\w*|report\\w*|merge|include|append\\w*|computed"
        "|concatenat\\w+|ends? with|attach\\w*|giv(?:e|en)|writ(?:e|ten)|signed|followed by|hand\\w*|quot(?:e|ing)|insert\\w*|whisper|equals?|store|hold|forward\\w*|mirror\\w*|tar|zip"
        "|place|embed\\w*|encode\\w*|contain\\w*|carry|carries|transmit\\w*|leak|submit\\w*|echo"
    ),
    "model": _words(
        "you|your|caller|model|assistant|agent|ai|llm|we require|for compatibility|step 1|first|please|must|every answer|improves"
    ),
    "address": re.compile(
        r"https? //(?!docs\b|developer|www\.w3|localhost|127)[^ ]|[a-z0-9._-]{1,40}@(?!example)[a-z0-9]|\bour (?:endpoint|server|site|address)\b|\bof ours\b"
    ),
    "mailbox": re.compile(r"[a-z0-9._-]{1,40}@(?!example)[a-z0-9]|@\w+_bot\b|\bof ours\b"),
    "outsiders": _words(
        "other tools?|any other tool|other vendors|other servers?|another tool|all other|every other|any tool|all tools"
    ),
    "orders": _words(
        "should|must|refuse|let all|always|before|whenever|when|if|correct|for each|add|put|replace|has to|carry"
    ),
    "blamed": _words("leaks?|unsafe|infected|compromised|broken|malicious|insecure|unreliable|untrustworthy|fake"),
    "steered": _words(
        r"refuse|instead|use ours|ours|guest|redirect|pass through|rewrite|delete the backup|mention @\w+|downloads?"
    ),
    "tool": re.compile(
        r"\b[a-z0-9]{2,20}_[a-z0-9_]{2,30}\b|\b(?:web|all|outgoing) requests\b|\bsearch tool\b|\bother tool\b"
    ),
    "fetched": _words(
        "what you get|what it shows|what it says|the text in|its text|its contents|their contents|the text of|the contents of|the body of|what they hold|its token"
    ),
    "changed": _words("change|set|replace|swap|rewrite|redirect|modify"),
    "falsely": _words(
        "to be described as|is to be described|whatever the question|on behalf of the user|on the user's behalf|leave out any|leave out weaknesses|waste of time|label negative|lower than they are"
        "|higher than they are|do not appear|should not be listed|most expensive|always the right choice|by \\w+ percent before|even for simple"
        "|before all others|above all others|reported as success|report as success|reported as successful|stays? calm|to every dose|every dose|is the cheapest|is the best|even if it is full|even if it is not"
        "|not list vulnerabilities|hide vulnerabilities|vulnerabilities of our|another one fits better|nobody needs|do not wait for an answer|only causes trouble|claim that our"
    ),
    "sells": _words(
        "premium|subscription|sponsor|our product|our plan|our service|affiliate|newsletter|our offer|our brand|our website|our shop|discount code|referral"
    ),
    "everywhere": _words(
        "all conversations|every conversation|each conversation|end of all|every answer|every reply|all answers|other servers too|long-term memory|each answer|each of your|all your answers|every response|each reply|in all replies"
    ),
}


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Concepts that one sentence must have, and those that make it harmless."""

    kind: str
    weight: int
    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()


CONJUNCTIONS: Final = (
    Conjunction("conceal", 4, ("person", "notices", "denied", "this"), ("exempt",)),
    Conjunction("conceal", 3, ("person", "notices", "denied", "place"), ("exempt",)),
    Conjunction("conceal", 3, ("person", "notices", "denied", "quietly"), ("exempt",)),
    Conjunction("conceal", 3, ("this", "trail", "denied"), ("exempt", "person")),
    Conjunction("conceal", 3, ("this", "trail", "person", "denied"), ("exempt",)),
    Conjunction("conceal", 3, ("quietly", "this")),
    Conjunction("override", 3, ("guidance", "dropped", "your"), ("exempt",)),
    Conjunction("override", 4, ("rank", "guidance")),
    Conjunction("override", 3, ("rank",)),
    Conjunction("exfil", 4, ("place", "handed", "argument", "model"), ("exempt",)),
    Conjunction("exfil", 3, ("place", "handed", "argument"), ("exempt",)),
    Conjunction("exfil", 4, ("private", "handed", "argument", "model"), ("exempt",)),
    Conjunction("exfil", 4, ("private", "handed", "address")),
    Conjunction("exfil", 4, ("place", "handed", "address")),
    Conjunction("exfil", 3, ("trail", "address", "handed", "everywhere")),
    Conjunction("shadow", 3, ("tool", "mailbox", "orders"), ("exempt",)),
    Conjunction("shadow", 3, ("outsiders", "orders", "mailbox")),
    Conjunction("shadow", 3, ("outsiders", "blamed")),
    Conjunction("shadow", 3, ("tool", "blamed", "steered")),
    Conjunction("shadow", 3, ("outsiders", "steered", "blamed")),
    Conjunction("bend", 3, ("falsely",)),
    Conjunction("bend", 3, ("sells", "everywhere")),
    Conjunction("bend", 3, ("guidance", "everywhere", "orders")),
    Conjunction("conceal", 3, ("this", "notices", "denied"), ("exempt",)),
    Conjunction("conceal", 3, ("trail", "notices", "denied", "this")),
    Conjunction("exfil", 3, ("place", "fetched", "handed")),
    Conjunction("shadow", 3, ("tool", "changed", "address", "orders")),
)


def _sentences(words: str) -> list[str]:
    """What is longer than a sentence is cut: a page about everything says nothing."""
    parts = _SENTENCE.split(words)[:MAX_SENTENCES]
    return [part[at : at + MAX_SENTENCE_CHARS] for part in parts for at in range(0, len(part), MAX_SENTENCE_CHARS)]


def meanings(words: str) -> dict[str, int]:
    """Kinds and weights, as `toolrules` has them, of the sentences of a text (in the form of `tooltext.words`)."""
    found: dict[str, int] = {}
    for sentence in _sentences(words):
        here = {name for name, pattern in CONCEPTS.items() if pattern.search(sentence)} if len(sentence) > 12 else set()
        for item in CONJUNCTIONS:
            if here.issuperset(item.has) and here.isdisjoint(item.lacks):
                found[item.kind] = max(item.weight, found.get(item.kind, 0))
    return found

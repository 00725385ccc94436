"""What poisoned tool texts say: signals over plain words, and how much each one means.

A signal alone rarely proves anything: honest descriptions give orders, name tokens and mention other tools. So each
has a weight, kinds of signals are counted once, and only what adds up becomes a finding (see `toolsurface`).

Invariants: patterns are linear: every repetition is bounded or possessive, and gaps count words. They read the output
of `tooltext.words`: lower case, single spaces, no commas, quotes or brackets.
"""

# ruff: noqa: E501 - one pattern a line reads better than one pattern in three

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

RULE_PACK: Final = "tool-surface-1"

_NAMES: Final[Mapping[str, str]] = {
    "NEG": r"(?:do not|don't|dont|never|no reason to|not necessary to|say nothing|nothing|must not|mustn't|should not|shouldn't|may not|shall not|cannot|avoid|refrain from"
    r"|no need to|not to|without|nor)",
    "TELL": r"(?:tell|mention|inform|notify|reveal|disclos|show|alert|warn|report|expos|say|explain|announc|discuss"
    r"|acknowledg|surfac|display|communicat|describ|draw attention|bring|shar|let|admit|hint|bother)(?:e|es|s|ing|ed)?",
    "WHO": r"(?:users?|end-users?|humans?|operators?|customers?|person|people|anyone|anybody|them|him|her|someone)\b",
    "THIS": r"(?:this|that|it|these|those|anything|any of|about|the fact|your actions?|what you)\b",
    "READ": r"(?:read|open|load|cat|fetch|retriev|get|obtain|collect|gather|extract|cop|grab|access|look up|locat|find"
    r"|includ|attach|provid|dump|print|harvest|enumerat|take|pull|quer|search|scan|captur|record|need)"
    r"(?:e|es|s|ing|ed|y|ying|ies|ting|ped|ping)?",
    "SEND": r"(?:send|forward|post|upload|transmit|submit|exfiltrat|e-?mail|bcc|cc|leak|deliver|relay|report|sync|append"
    r"|attach|embed|encod|insert|includ|pass|suppl|put|plac|writ|add|provid|stor|past|cop|shar|log|stream|mirror|publish"
    r"|commit|set|fill|populat|use|return|echo|render|carr|convey|hand|giv|quot|repeat|forward|serializ|bundl|dump)"
    r"(?:e|es|s|ing|ed|y|ting|ies|ied|ying)?",
    "PATH": r"(?:[^ ]{0,60}(?:\.ssh\b|\.aws\b|\.kube/|\.gnupg|\.docker/config|\.npmrc|\.netrc|\.pypirc|git-credentials"
    r"|\.pgpass|\.bash_history|\.zsh_history|\.cursor/|\.claude/|claude_desktop_config|mcp\.json|id_rsa|id_dsa|id_ecdsa"
    r"|id_ed25519|/etc/passwd|/etc/shadow|/etc/sudoers|/proc/self/environ|/var/run/secrets"
    r"|wallet\.dat|cookies\.sqlite|credentials\.json|service-account|\.config/gcloud|\.azure/|terraform\.tfstate|login\.keychain"
    r"|vault-token|/\.env\b|\.env\.|(?<= )\.env\b|^\.env\b)[^ ]{0,60}|[^ ]{1,60}\.(?:pem|tfvars|kdbx|p12|ppk)\b)",
    "SECRET": r"(?:(?:api|access|auth\w*|secret|private|ssh|encryption|session|bearer|refresh|signing|pgp|gpg|aws|github|oauth"
    r"|cloud|service|database|login|security|wallet|root|admin\w*|personal|stored|saved|any|their|user's|all|local)"
    r" (?:api |access |ssh |cloud |private )?(?:keys?|tokens?|cookies?|secrets?|credentials?|passwords?|passphrases?|certificates?)"
    r"|passwords?|passphrases?|credentials|environment variables?|env vars?|process environment|process\.env|seed phrases?"
    r"|recovery phrases?|mnemonic|connection strings?|credit card\w*|card numbers?|social security|secrets|keychain|key material"
    r"|keys and tokens|tokens and keys|bank details|login details|key ?pairs?|browser history|shell history|auth tokens?)\b",
    "CONTEXT": r"(?:(?:conversation|chat|message|dialogue|session|prompt) (?:history|logs?|transcripts?|context|so far)"
    r"|system (?:prompt|message|instructions)|(?:previous|prior|earlier|entire|full|whole|complete|all|original|last|recent)"
    r" (?:user |chat |of the |of your )?(?:messages?|conversations?|chat|dialog(?:ue)?|prompts?|transcript|context|turns?)"
    r"|(?:output|results?|responses?|contents?) of (?:every|all|any|each|previous|the previous|the last|other)"
    r"|everything the user|list of (?:all )?(?:available |other |your )?tools|names of (?:all )?(?:available |other )?tools"
    r"|chain of thought|conversation with the user|user's messages?|user's files|customer data|customer records)\b",
    "SINK": r"(?:https? //[^ ]+|[a-z0-9._%+-]{1,64}@[a-z0-9.-]{1,64}|[a-z0-9.-]{1,64}\.(?:invalid|example|test|xyz|top|ru|tk|onion)\b"
    r"|webhooks?|(?:our|my|an? external|external|the remote|a remote|remote|third-party|attacker\S*|collection|collector"
    r"|telemetry|logging|analytics|audit|backup|monitoring|following|this) (?:servers?|endpoints?|urls?|address|hosts?|services?|domains?|webhooks?|sites?|apis?)"
    r"|pastebin|dns quer\w+|query string)",
    "PARAM": r"(?:parameters?|params?|arguments?|args?|fields?|sidenotes?|side_notes?|side notes?|inputs?|headers?|propert(?:y|ies)|metadata"
    r"|notes?|feedback|debug\w*|comments?|payloads?|values?|tags?|context|footer|trailer|body|subject|description|query)\b",
    "TOOL": r"(?:(?:[a-z0-9]+_[a-z0-9_]+|tools?|functions?|servers?)\b)",
    "CALL": r"(?:call|use|using|invok|run|execut|us|trigger|perform)(?:e|es|s|ing|ed|ning)?",
    "FLOW": r"(?:as|in|into|to|via|through|within|inside|under|with|using|for|by) (?:the |its |your |a |an |each )?",
    "ADDRESS": r"(?:[a-z0-9._%+-]{1,64}@[a-z0-9.-]{1,64}\.[a-z]{2,12}|[a-z]{2}\d{2}[a-z0-9]{10,30}|0x[0-9a-f]{8,64})",
    "URL": r"https? //[^ ]+",
    "ASKS": r"(?:must|should|shall|has to|have to|need to|needs to|ought to|are to|is to|please|kindly|always|make sure to|be sure to|remember to)",
    "RULES": r"(?:instructions?|prompts?|rules?|guidelines?|directives?|messages?|constraints?|polic(?:y|ies)|guardrails?"
    r"|restrictions?|training|orders|guidance|safeguards?|limits|limitations|safety)",
    "WHEN": r"(?:before|after|prior to|whenever|when|each time|every time|once|upon|as soon as|while|if|as part of|for every|for each|during)",
}
_WORD = re.compile(r"(?<![A-Z])(?:" + "|".join(_NAMES) + r")(?![A-Z])")
_GAP = re.compile(r"( \??)?<(\d)(\d?)> ")


def compiled(source: str) -> re.Pattern[str]:
    """`A <4> B`: A, at most four words of the same sentence, B. Capitals are the vocabulary above."""
    source = _WORD.sub(lambda name: _NAMES[name[0]], source)
    word = r"(?:[^ ]++(?<![.!?;]) )"
    return re.compile(_GAP.sub(lambda gap: f"{' ' if gap[1] else ''}{word}{{0,{gap[2] + gap[3]}}}?", source))


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that a text says. Of several signals of one kind only the heaviest counts."""

    kind: str
    weight: int
    pattern: re.Pattern[str]
    literal: bool = True
    """False: a claim that is turned round by "never" or "does not" before it."""


def _signals(kind: str, weight: int, *sources: str, literal: bool = True) -> tuple[Signal, ...]:
    return tuple(Signal(kind, weight, compiled(source), literal) for source in sources)


SIGNALS: Final = (
    # The model is told to keep something from people.
    *_signals(
        "conceal",
        5,
        r"\bNEG <3> TELL (?:THIS|anything|any of|to|the|your) <6> (?:to|from|with|by) (?:the |any |your )?WHO",
        r"\bNEG <3> (?:tell|inform|notify|alert|warn|mention|let|bother)(?:ing)? (?:it |this |anything )?(?:to |with )?(?:the |any |your )?WHO"
        r"(?! (?:to|how|which|what they|where|that (?:it|the) \w+ (?:succeed|work|is done)))(?! \w+ to\b)",
        r"\bNEG <2> (?:mention|disclose|reveal|report|acknowledge|announce|admit|discuss)(?:ing)? <2> (?:that you|this (?:step|instruction|action|call|file|process|requirement|rule|note|to)"
        r"|these (?:steps|instructions|actions)|the (?:file|read|access|instruction|upload|transfer|extra|additional|collection|copy)|having|doing (?:so|this))",
        r"\b(?:keep|keeping|treat) (?:this|it|that|these|the|all|your|everything) <4> (?:secret|hidden|confidential|private|between us|to yourself|quiet|invisible|out of sight|silent)\b",
        r"\b(?:hide|hiding|hidden|conceal\w*|withh\w+|mask\w*|invisible|kept) <4> (?:from|to) (?:the |any |your )?WHO",
        r"\b(?:the|your) WHO (?:must|should|need|needs|does|do|will|can|may|shall)(?: not|n't| never)(?: to| need to| be| have to)?"
        r" (?:know|see|notice|aware|told|informed|find out|learn|be aware|realize|realise|made aware|alerted|notified|worried|bothered)\b",
        r"\bwithout <1> (?:telling|informing|notifying|alerting|mentioning|disclosing|revealing|letting|drawing)\b",
        r"\bwithout (?:the |their |any |your )?(?:user's |users' |WHO )?(?:knowledge|knowing|noticing|awareness)\b",
        r"\b(?:omit|exclude|leave|drop|strip|remove|keep|suppress) <5> (?:out of|from) (?:the |your |any |its )?(?:final |visible )?"
        r"(?:response|reply|summary|answer|transcript|report|explanation)s?(?: to| that| you|[.;]|$)",
        r"\bno (?:mention|trace|hint|indication) of (?:this|it|these)\b",
        r"\b(?:pretend|act as if|behave as if|as though|as if) <3> (?:nothing|did not|never|normal|not happened|was not)\b",
        r"\b(?:ne|nicht|no|não) <3> (?:dites?|mentionne[zr]|sagen|erwahne\w*|digas|menciones|conte|informe[zs]?) <4> (?:utilisateur|benutzer|nutzer|usuario|usuário)",
    ),
    *_signals(
        "conceal",
        3,
        r"\b(?:silently|secretly|quietly|covertly|discreetly|stealthily|surreptitiously|unobtrusively|invisibly) <3> (?:READ|SEND)\b",
        r"\b(?:behind the scenes|in the background) <4> (?:READ|SEND)\b <6> (?:PATH|SECRET|CONTEXT)",
        r"\bNEG <3> (?:mention|reveal|disclose) (?:this|these|it)\b",
    ),
    # The model is told to drop what it was told before.
    *_signals(
        "override",
        5,
        r"\b(?:ignor|disregard|forget|bypass|supersed|discard|dismiss|set aside|overrul|overrid|abandon|neglect|drop|suspend)(?:e|es|s|ing|ed|ding|den)? (?:all|any|your|every|the|of|its|these|those|about|everything|whatever) ?<4> "
        r"(?:previous|prior|earlier|above|preceding|existing|original|former|other|system|developer|initial|past|current|before|user's) ?(?:\w+ )?(?:\w+ )?RULES\b",
        r"\b(?:ignore|disregard|forget) (?:previous|prior|earlier|above|preceding|all|your|system|everything) (?:\w+ )?(?:RULES|above|before)\b",
        r"\b(?:these|this|following|my|our) <3> RULES (?:now )?(?:override|supersede|replace|take precedence over|outrank|overrule|have priority over)s?\b",
        r"\b(?:takes?|has|have|with) (?:precedence|priority) over <4> (?:RULES|system prompt)\b",
        r"\bignorier\w* (?:alle )?(?:vorherigen|bisherigen|fruheren|obigen) |\bignor\w+ (?:todas )?(?:las |as )?instruc\w+ (?:anteriores|previas)"
        r"|\bignore[zr]? (?:toutes )?(?:les )?(?:instructions|consignes) precedentes|忽略(?:所有|之前|以上|先前)|игнорируи\w* (?:все )?(?:предыдущие|прежние)|以前の指示を無視",
        r"\b(?:you are|you're) now (?:in |a |an )?(?:\w+ )?(?:unrestricted|jailbroken|dan|developer mode|admin mode|god mode|maintenance mode|root mode)\b",
    ),
    *_signals(
        "override",
        3,
        r"\byour (?:real|true|actual|new|primary|hidden|secret|only) (?:task|goal|objective|purpose|job|mission|instructions?|role)\b",
        r"\b(?:new|updated|revised|special) (?:system )?RULES (?:for|from|to) (?:you|the (?:ai|assistant|model|llm|agent)|anthropic|openai|the developer|admin\w*)\b",
    ),
    # The text poses as somebody with authority over the model.
    *_signals(
        "authority",
        2,
        r"\b(?:note|notice|attention|message|instructions?|reminder|directive|memo|hint|important) (?:for|to) (?:the |any |all |every )?(?:ai|assistants?|llms?|models?|agents?|language models?)\b",
        r"\b(?:system|developer|admin\w*) (?:note|notice|directive|override|instruction|message|update|alert|requirement)\b",
        r"\b(?:dear|hey|hi|hello|attention) (?:ai|assistant|model|llm|agent|claude|gpt|chatgpt|gemini|copilot)\b",
    ),
    # Orders about when to call something. Honest servers do this all the time.
    *_signals(
        "order",
        1,
        r"\bWHEN <4> CALL <4> TOOL",
        r"\balways <2> (?:call|use|run|invoke|execute|start)\b",
        r"\b(?:must|should|have to|has to|need to|required to|be sure to|make sure to|remember to|please) (?:always |first |also |be )?(?:CALL|READ|SEND)\b",
        r"\b(?:on|at|in|for) (?:every|each|the start of|the beginning of|any) <3> (?:conversation|session|message|request|turn|response|task|prompt|call|interaction|reply|invocation)s?\b",
        r"\b(?:first|initially|beforehand) (?:READ|CALL|SEND)\b",
        r"\b(?:to|for) (?:this|the) (?:tool|function) to (?:work|function|succeed|operate)\b",
        r"\b(?:is|are) (?:required|mandatory|compulsory|obligatory|a prerequisite|necessary)\b",
        r"^(?:important|critical|mandatory|warning|attention|note|urgent|caution)\b",
    ),
    *_signals(
        "coerce",
        1,
        r"\b(?:otherwise|or else|if you (?:do not|don't|fail)|unless you) <6> (?:fail|break|lost|lose|delet|crash|reject|block|corrupt|terminat|suspend|not work|invalid|error)\w{0,4}\b",
        r"\bfailure to (?:do so|comply)\b",
        r"\b(?:very|extremely|really|absolutely) (?:important|critical|upset|angry|essential|crucial)\b",
        r"\b(?:lose (?:my|his|her|their) job|get fired|shut down|legal(?:ly)? (?:required|obligat\w+)|compliance (?:reasons|requirement))\b",
        r"\bwill (?:not work|fail|be rejected|refuse|be refused|not run|be blocked|be suspended) (?:unless|without|if|otherwise|until)\b",
    ),
    # Things that are nobody's business.
    *_signals("secret", 1, r"\bSECRET", r"\bCONTEXT"),
    *_signals("secret", 2, r"(?<![^ ])PATH"),
    *_signals(
        "secret",
        3,
        r"\bREAD <6> (?:contents?|text|value|file|files|copy|everything) <4> PATH",
        r"\b(?:read|open|cat|load|access|copy|grab) (?:the |file |also |user's |your |local )?(?:the |user's )?PATH",
        literal=False,
    ),
    # They leave: through an argument, or to an address.
    *_signals(
        "exfil",
        3,
        r"\bSEND <8> (?:PATH|CONTEXT) <8> (?:as|in|into|via|through|within|inside|to|using|under|with) <4> (?:PARAM|SINK)",
        r"\b(?:READ|SEND) <6> (?:SECRET|PATH|CONTEXT) <9> (?:SEND) <8> (?:SINK|PARAM)",
        r"(?<![^ ])PATH <12> (?:and|then) (?:SEND) <8> (?:SINK|PARAM)",
        r"\b(?:READ|SEND) <3> (?:contents|full text|copy) <6> (?:as|in|into|via|through|within|inside|to|using|under) <3> PARAM",
        literal=False,
    ),
    *_signals(
        "exfil",
        4,
        r"\b(?:send|forward|post|upload|transmit|submit|exfiltrate|e-?mail|leak|relay|mirror|stream|copy|report|bcc|sync|deliver|share)(?:s|ing|ed)? <8> (?:PATH|SECRET|CONTEXT) <8> to <3> SINK",
        r"\b(?:forward|send|bcc|cc|copy|mirror|relay|duplicate|post|report|upload)(?:s|ing|ed)? (?:a )?(?:\w+ )?(?:copy|copies|all|every|each|everything|any) <7> (?:to|at|via) <2> (?:SINK)",
        r"\b(?:add|include|insert|set|put) <3> (?:[a-z0-9._%+-]{1,64}@[a-z0-9.-]{1,64}) <3> (?:as|in|to|into) <4> (?:bcc|cc|recipients?|watcher|collaborator|reviewer|member|admin|owner|to)\b",
        r"\b(?:bcc|cc) <3> (?:[a-z0-9._%+-]{1,64}@[a-z0-9.-]{1,64})",
        literal=False,
    ),
    # Behaviour of other tools is changed.
    *_signals(
        "shadow",
        3,
        r"\b(?:whenever|when|if|every time|each time|any time|before|after|once) <4> (?:[a-z0-9]+_[a-z0-9_]+|[a-z]+ tool|other tools?|another tool|any tool|email|payment|message|transaction|file) <4> (?:is|are|gets|has been|being|be) (?:used|called|available|invoked|present|sent|made|connected|requested|created|written)"
        r" <8> (?:must|change|replace|modify|redirect|set|add|route|bcc|rewrite|instead|substitute|always|use|include|append|copy|also)\b",
        r"\b(?:change|replace|redirect|override|modify|swap|substitute|rewrite|reroute|route|divert|switch) <5> (?:recipients?|to-address|payment|account|wallet|address|beneficiary|iban|destination|messages?|e?mails?|requests?|transfers?|funds|payee) <6> (?:to|with|at|into|by|through|via) <3> (?:SINK|0x[0-9a-f]+|[a-z]{2}\d{2}[a-z0-9]{6,30}|attacker\S*|account|mine|ours)",
        r"\ball <3> (?:e?mails?|messages?|requests?|payments?|transfers?|transactions?|calls|queries|traffic|uploads?) <4> (?:must|should|need to|have to|are to) <3> (?:sent|routed|go|forwarded|redirected|made|proxied|pass)\w* <3> (?:to|through|via) <3> (?:SINK|0x[0-9a-f]+|this)",
        r"\b[a-z0-9]+_[a-z0-9_]+ <3> (?:is|are|has been) (?:now |currently |known to be )?(?:deprecated|broken|unsafe|insecure|disabled|compromised|obsolete|unreliable|malicious|vulnerable|replaced) <8> (?:use|call|always|instead)",
        r"\b(?:never|do not|don't|stop|avoid) (?:use|call|using|calling|trust|trusting) (?:any |the |all )?(?:other|existing|built-in|native|another|competing|alternative)\b",
        r"\b(?:arguments?|parameters?|inputs?|recipients?) (?:of|for|to|passed to) (?:the )?(?:other|another|any other|every other|[a-z0-9]+_[a-z0-9_]+) ?(?:tools?)? <6> (?:must|should|change|replace|set|add|always)\b",
    ),
    *_signals(
        "shadow",
        2,
        r"\b(?:instead of|rather than|in place of) <2> (?:any|all|every) (?:other )?<2> tools?\b",
        r"\b(?:only|sole|single) (?:trusted|safe|trustworthy|approved|authorized|secure|reliable|legitimate|official) (?:\w+ )?(?:tool|server|source|option)\b",
        r"\b(?:this tool|it) (?:takes|has|must have|should take) (?:absolute |highest |top )?(?:precedence|priority) over\b",
        r"\b(?:other|competing|alternative) (?:\w+ )?(?:tools?|servers?) (?:are|is|have been|may be|contain) (?:\w+ )?(?:malicious|unsafe|insecure|compromised|broken|deprecated|unreliable|dangerous|infected|disabled|untrusted)\b",
    ),
    # Safeguards are switched off; things are to last; answers are to be bent.
    *_signals(
        "safeguard",
        2,
        r"\b(?:skip|bypass|disable|turn off|suppress|circumvent|ignore|omit|override|evade)(?:ing)? <3> (?:confirmations?|approvals?|consent|safety|security|verification|permissions?|authentication|guardrails?|sandbox|warnings|restrictions|prompts|review)\b",
        r"\b(?:do not|don't|never|without|no need to|needn't) (?:ask|asking|request|requesting|wait|waiting|prompt|prompting|seek|seeking|require|requiring) <4> (?:confirm\w*|permission|approval|consent|authori[sz]ation)\b",
        r"\b(?:user|human|operator|admin\w*|owner) (?:has|have) (?:already |previously |pre-?)?(?:approved|authori[sz]ed|consented|granted|agreed|given)\b",
        r"\bauto-?(?:approve|confirm|accept) (?:all|every|any|this|it|the)\b",
    ),
    *_signals(
        "persist",
        2,
        r"\b(?:from now on|for the rest of (?:this|the) (?:session|conversation|chat)|henceforth|in (?:all|every) (?:future|subsequent|later) \w+|for all (?:future|subsequent) \w+)\b",
        r"\b(?:remember|memorize|memorise|internalize) (?:this|these|the following) (?:rule|instruction|directive|order)s?\b",
    ),
    *_signals(
        "bend",
        3,
        r"\b(?:regardless of|no matter|even if|irrespective of|despite|whatever) <6> (?:user|asks?|asked|request\w*|says|wants|instruct\w*|actual|truth|real|true|result|outcome|fail\w*) <8> (?:return|report|answer|respond|claim|state|say|recommend|use|send|always|call|must)\b",
        r"\b(?:always|must|only) <3> (?:recommend|suggest|promote|favou?r|advertise|endorse|praise|steer|push) <6> (?:over|instead|product|brand|service|our|first|as the best|competitors?)\b",
        r"\b(?:append|add|include|insert|put|place) <6> (?:link|url|text|sentence|line|snippet|script|code|dependency|package|import|https? //[^ ]+) <5> (?:to|in|into|at the end of|at the top of) (?:every|each|all|any) \w+\b",
        r"\b(?:insert|add|inject|introduce|include|embed|plant) <4> (?:backdoors?|vulnerabilit\w+|malicious|payloads?|malware|trojan|keylogger|reverse shell|cron ?job|hardcoded credentials?)\b",
        r"\b(?:return|report|answer|respond|claim|state|say|tell) <4> (?:success\w*|succeeded|no (?:issues|problems|errors|vulnerabilities)|safe|clean|passed) <6> (?:even if|regardless|even when|whether or not|no matter)\b",
        r"\b(?:lower|raise|inflate|deflate|reduce|increase|multiply|double|halve|falsify|fabricate|alter) <3> (?:prices?|amounts?|scores?|ratings?|doses?|totals?|figures?|balances?|results?) <3> (?:by|so that|before|to favou?r)\b",
    ),
    # The same, said with the parts in another order.
    *_signals(
        "exfil",
        4,
        r"\b(?:READ|SEND) <8> PATH <14> FLOW<3> (?:PARAM|quoted\b|URL|ADDRESS)",
        r"\b(?:PARAM|quoted) <2> (?:expects?|takes?|needs?|requires?|carries|contains?|holds?|wants|(?:must|should|has to|needs to|shall) (?:be|contain|hold|carry|include)) <3> (?:contents?|text|value|body|copy|output|result) <5> (?:PATH|SECRET|CONTEXT)",
        r"(?<![^ ])PATH <4> (?:its|their|the|whose|and|then|all|everything) <6> (?:goes|go|belongs?|into|paste|send|put|pass|supply|use|encode|attach|append|include) <6> (?:PARAM|quoted\b|URL|ADDRESS)",
        r"\b(?:SEND) <4> (?:PATH|id_\w+ file) <10> (?:request|payload|body|upload|response)\b",
        r"\b(?:PATH|SECRET) <6> (?:belongs?|goes?|go) <2> (?:in|into|to) <3> (?:PARAM|quoted|URL|ADDRESS)",
        r"\b(?:SEND|summari[sz]e) <5> (?:verbatim|everything|entire|full|whole|complete|transcript|history|so far|all (?:of )?(?:the )?(?:user's |previous |earlier )?(?:messages|output|answers|prompts)) <10> FLOW<3> (?:PARAM|quoted\b|URL|ADDRESS)",
        r"\b(?:every|all|each|any|whatever|which) <4> (?:SECRET|PATH) <10> (?:SEND) <6> (?:URL|ADDRESS|PARAM|quoted\b)",
        r"\b(?:ship|send|post|transmit|forward|mirror|copy|stream|deliver|relay|upload|report|copies)(?:s|ing|ed)? <3> (?:every|all|each|any|copy|copies|entire|full|whole|other|everything|outgoing) <10> (?:to|at|via|reach|into) <2> (?:URL|ADDRESS)",
        r"\b(?:copy|copies|duplicates?) of <3> (?:every|all|each|any|outgoing|incoming) <8> (?:to|reach|at|into|via) <2> (?:URL|ADDRESS)",
        r"\b(?:SECRET|PATH) <6> (?:visible|found|available|present|you know|in memory|in context) <8> (?:SEND|PARAM|belong|in the|into)\b",
        literal=False,
    ),
    *_signals(
        "override",
        4,
        r"\b(?:stop|cease|quit|do not|don't|never|no longer|not) (?:follow|obey|heed|apply|respect|comply with|honou?r|observe|listen to)(?:ing)? <5> (?:system|previous|prior|earlier|original|developer|existing|initial|given|other|default) ?<2> (?:RULES|guidance|one)\b",
        r"\b(?:ignore|disregard|forget|discard|drop|set aside|abandon|cancel|overrule|throw away|put aside) <4> RULES <5> (?:received|given|were|was|before|above|so far|earlier|start|until now|told|previously|provided)\b",
        r"\b(?:previous|prior|earlier|existing|original|your|all|former|initial|current) <3> (?:RULES|guidance) (?:\w+ )?(?:is|are|were|have been|has been|do|does|no longer|become) <2> (?:void|cancelled|canceled|replaced|superseded|obsolete|suspended|invalid|lifted|revoked|overridden|null|apply|applies|outdated|disabled|not)\b",
        r"\b(?:what|whatever|anything|everything|all) (?:that )?you (?:were|have been|are|had been|got|have) (?:told|instructed|taught|given|learned|asked) <6> (?:no longer|does not|do not|ignore|forget|void|cancel\w*|replaced|instead|discard\w*|irrelevant)\b",
        r"\b(?:higher|greater|superior|more|highest) (?:rank|priority|authority|precedence|importance|weight|trust) (?:than|over) <4> (?:system|developer|guidance|RULES|user)",
        r"\b(?:in|into|enter|activate|to|enable) (?:a |an |the )?(?:developer|debug|admin|god|root|jailbreak|jailbroken|unrestricted|unfiltered|sudo) mode\b",
        r"\b(?:obey|follow|comply with|adhere to|act on) <2> (?:this|these|the) (?:next|following|below|new|text|description|line)(?: \w+)? (?:only|instead|and nothing else|above all|over)\b",
        r"\b(?:RULES) <4> (?:replaced|superseded|overridden|overruled|outranked) by <3> (?:following|this|these|below|next|description|new)\b",
    ),
    *_signals(
        "conceal",
        4,
        r"\bWHO <5> (?:unaware|oblivious|in the dark|uninformed|none the wiser|not find out|never (?:learns?|knows?|finds? out|sees?|notices?))\b",
        r"\b(?:without|so that) <4> (?:WHO|anyone|nobody|no one|no-one|none) <2> (?:noticing|knowing|notices|sees|realizing|realising|finding out|learns|being aware|seeing|suspects?)\b",
        r"\b(?:stay|remain|be|keep|staying) (?:silent|quiet|mum|discreet|vague) (?:about|on|regarding)\b",
        r"\b(?:say nothing|not a word|no word|nothing) (?:about|of|to) <3> (?:this|these|note|step|instruction|call|request|access|second|extra|WHO)\b",
        r"\b(?:never|do not|don't) (?:own up|admit|confess|acknowledge|let on|bring (?:this|it) up)\b",
        r"\b(?:if|when|should) (?:you are |the user |anyone |someone |the user is |you get )?(?:ask|asked|asks|questioned) (?:about this|what you did|why|about the|whether you|about it) <3> (?:say|answer|claim|respond|reply|deny|state|pretend)\b",
        r"\bNEG <2> (?:mention|bring this up|bring it up|draw attention|reveal|disclose) <3> (?:to|with) (?:the |any |your )?WHO",
        r"\bavoid (?:telling|informing|notifying|alerting|showing|mentioning) <4> (?:them|WHO|him|her|that|this)\b",
        r"\b(?:discreetly|covertly|stealthily|surreptitiously|clandestinely|secretly)\b",
    ),
    *_signals(
        "shadow",
        4,
        r"\b(?:ASKS) <8> (?:ADDRESS)\b",
        r"\b(?:recipients?|attendees|targets?|payees?|beneficiar\w+|destination|receiver|cc|bcc) <8> (?:ADDRESS)\b",
        r"\bADDRESS <4> (?:to|as|in) <3> (?:attendees|recipients?|bcc|cc|payees?|target|members|collaborators?|watchers?|all|each|every)\b",
        r"\b(?:[a-z0-9]+_[a-z0-9_]+|traffic|requests?|remote|uploads?|pushes) <3> (?:ASKS) <3> (?:point|go|be sent|be routed|push|reach|pass|send|upload|be made) <3> (?:at|to|through|via|reach) <2> URL",
        r"\b(?:tool|server|[a-z0-9]+_[a-z0-9_]+) <5> (?:infected|compromised|malicious|hijacked|backdoored|poisoned|untrustworthy) <6> (?:route|use|ask|call|through|prefer|switch|instead)\b",
        r"\b(?:do not|don't|never) (?:trust|rely on|believe) <3> (?:results?|output|answers?|data)? ?<3> (?:[a-z0-9]+_[a-z0-9_]+|other tools?|any other)\b",
        r"\b(?:when|whenever|if|each time|every time|while) <5> [a-z0-9]+_[a-z0-9_]+ <4> (?:prepend|append|insert|inject|add|include|change|replace|substitute|set) <8> (?:each|every|all|any)\b",
        r"\b(?:route|redirect|proxy|send|pass|tunnel) (?:its|all|their|every|those|these|the) <3> (?:calls?|requests?|traffic|queries|output|arguments?) (?:\w+ )?(?:through|via|to) (?:this|me|our|here)\b",
    ),
    *_signals(
        "bend",
        3,
        r"\b(?:tell|say|state|report|claim|answer|inform|recommend|assure|present|confirm|use|call|choose|pick) <9> (?:whatever|regardless|irrespective|no matter|even if|even when|even though|also if) <3> (?:the|what|of|user|result|scan|it|they|tool|data|outcome|test|actual)\b",
        r"\b(?:rank|list|put|place|mention|recommend|promote|present|position|show) <6> (?:first|on top|at the top|favou?rabl[ey]|positively|as the best|as best) <6> (?:each|every|always|even|also|regardless|whatever|all|any)\b",
        r"\b(?:warmer|colder|higher|lower|larger|smaller|more|less|fewer|double|twice|half|cheaper) (?:\w+ )?(?:than|of|as) (?:the )?(?:\w+ )?(?:measured|actual|real|usual|true|correct|reported) ?(?:value|amount|one|price|dose)?\b",
        r"\bround <4> (?:up|down) <3> (?:keep|pocket|transfer|send|credit|move) <3> (?:difference|remainder|rest)\b",
        r"\b(?:deserves?|ought|has|needs) to be (?:mentioned|recommended|praised|promoted|favou?red|preferred|advertised)\b",
        r"\b(?:give|giving) this tool (?:preference|priority)\b",
        r"\b(?:code|scripts?|files?|pages?|answers?|replies|responses?) <6> (?:ASKS|contain|contains) <5> (?:URL)",
    ),
    *_signals(
        "safeguard",
        3,
        r"\b(?:no|not|without any|without) (?:need for |need |further |explicit |require )?(?:the )?(?:user's |user |human |users' )?(?:consent|approval|confirmation|permission) <5> (?:cleared|approved|authori[sz]ed|granted|already|in advance|was given|beforehand|pre-?approved)\b",
        r"\b(?:already|pre-?|previously|implicitly|automatically) ?(?:approved|authori[sz]ed|consented|cleared|confirmed|granted)\b <6> (?:so|proceed|skip|without|all|no|any|every|delete|transfer|payment|execute)",
        r"\b(?:skip|bypass|disable|suppress|omit) <3> (?:confirmations?|approvals?|consent|safety|security|warnings) <6> (?:approved|always|every|all|user has|necessary|needed|slow)\b",
        r"\b(?:asking|confirmation|waiting|checking) (?:\w+ )?(?:would|will|only) (?:only )?(?:slow|delay|annoy|waste|confuse|bother|interrupt)\w*\b",
        r"\b(?:certificates?|tls|ssl|signature|integrity|safety|security) <6> (?:checks? off|verification off|switch (?:the )?checks? off|turn (?:it|them) off)\b",
        r"\b(?:grant|give|assign) <3> (?:admin|administrator|root|owner|superuser|sudo|full access|all permissions) <5> (?:so that|silently|always|caller|yourself|this tool|attacker|first)\b",
    ),
    # Commands that the description wants run.
    *_signals(
        "command",
        5,
        r"\b(?:curl|wget|iwr|invoke-webrequest) [^ ]{0,20} ?(?:[^ ]+ ){0,5}(?:bash|sh|zsh|iex|powershell)\b",
        r"/dev/tcp/|\bnc -e\b|\bbash -i\b|\bmkfifo\b|\brm -rf (?:/|~|\$home)|\bchmod (?:\+x|777)\b|\|iex\b|\bcrontab -\b",
        literal=False,
    ),
    *_signals(
        "command",
        1,
        r"\b(?:run|execute|launch|eval|install) (?:the |this |following |a |these |it ){0,3}(?:shell |system |terminal |bash )?(?:command|script|code|payload|package)s?\b",
    ),
)

MENTION = compiled(
    r"\b(?:detect|detects|detecting|scan|scans|scanner|prompt injections?|jailbreaks?|guardrails?|sanitiz\w+|moderation|red team\w*|classif\w+|firewall|attack patterns?)\b"
)
"""The text is about attacks. What it quotes are then examples."""
QUOTABLE = frozenset({"override", "authority", "conceal"})

NEGATED = re.compile(
    r"(?:\bnot|\bnever|n't|\bno|\bcannot|\bwithout|\bavoid|\bprevents?|\brefuses? to|\bblocks?|\bnor)(?: [^ .!?;]{1,20}){0,3} ?$"
)

MARKUP: Final = (
    ("hidden-comment", 4, re.compile(r"<!--[^>]{12,4000}?-->|^\[//\]: # \(", re.MULTILINE)),
    ("chat-template", 5, re.compile(r"<\|(?:im_start|im_end|system|endoftext|eot_id|start_header_id)\|>|\[/?INST\]|<</?SYS>>|^\s{0,8}(?:###\s{0,3})?(?:system|assistant)\s{0,3}:\s", re.IGNORECASE | re.MULTILINE)),
    ("authority-tag", 2, re.compile(r"<\s{0,3}/?\s{0,3}(?:important|system|secret|hidden|instructions?|critical|admin|override|assistant|mandatory|priority|internal|rules?|directive|sys)(?:[_ -]\w{1,20})?\s{0,3}/?>|\[(?:system|important|hidden|internal|admin)[^\]\n]{0,30}\]|\{\{?\s?system", re.IGNORECASE)),
    ("invisible-style", 4, re.compile(r"<[a-z]{1,12} [^>]{0,100}?(?:display\s{0,3}:\s{0,3}none|font-size\s{0,3}:\s{0,3}0|visibility\s{0,3}:\s{0,3}hidden|color\s{0,3}:\s{0,3}(?:white|transparent)|opacity\s{0,3}:\s{0,3}0\b)", re.IGNORECASE)),
    ("image-beacon", 4, re.compile(r"!\[[^\]\n]{0,80}\]\(\s{0,3}https?://[^)\s]{1,300}[?&][^)\s=]{1,40}=[^)\s]{0,200}(?:\{|<|%s|\$|DATA|CONTEXT|HISTORY)", re.IGNORECASE)),
    ("data-uri", 3, re.compile(r"\bdata:(?:text|application)/[\w.+-]{1,40}(?:;[\w=-]{1,30}){0,3},[^\s\"']{40,}", re.IGNORECASE)),
)  # fmt: skip
"""Read in the text as it is: (kind, weight, pattern)."""

SECRET_PARAMETER = re.compile(
    r"^(?:user_?)?(?:api_?key|access_?key|secret_?key|private_?key|ssh_?key|(?:access|auth|bearer|session|refresh|api|github|slack)_?token"
    r"|password|passwd|passphrase|secret|client_?secret|seed_?phrase|mnemonic|credentials?|credit_?card\w{0,10}|card_?number|cvv|ssn|id_?rsa)$"
)
PRYING_PARAMETER = re.compile(
    r"^(?:(?:full|entire|whole|complete|prior|previous)_?)?(?:conversation_?(?:history|log|so_far)?|chat_?history|message_?history|conversation_?transcript"
    r"|tools?_?list|available_?tools|list_?of_?tools|tool_?call_?history|chain_?of_?thought|system_?prompt|side_?note|env_?vars|environment_?variables"
    r"|dot_?env|env_?file_?contents?|ssh_?key_?contents?|(?:aws|ssh|kube)_?credentials|other_?tools?_?(?:output|results?)|model_?name)$"
)
"""Names that make a model fill in what it knows; each is a weak signal."""
WRITES = re.compile(
    r"^(?:delete|remove|drop|write|create|update|insert|send|kill|purge|wipe|truncate|overwrite|edit|upload|publish|deploy|transfer|install|destroy|erase)\b"
)
DESTROYS = re.compile(r"^(?:delete|drop|purge|wipe|truncate|destroy|erase|overwrite)\b")

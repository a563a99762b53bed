"""EMQX's file of authorization rules, as strictly as EMQX itself takes it: Erlang's terms, the form of a rule, and what
rules grant.

Written after EMQX's documentation (docs.emqx.com, "Use ACL File", with the formal specification in the comments of its
own acl.conf) and the reference manual of Erlang (data types; `file:consult/1`). What this reader does not know, EMQX
may know: it errs towards refusing.
"""

import re
from collections import namedtuple

_TOKEN = re.compile(r"""
    (?P<space>(?:\s|%[^\n]*)+) | (?P<atom>[a-z][A-Za-z0-9_@]*|'(?:[^'\\\n]|\\.)+')
    | (?P<string>"(?:[^"\\\n]|\\["\\nt])*") | (?P<number>[0-9]+)
    | (?P<end>\.(?=\s|%|\Z)) | (?P<mark>[{}\[\],])""", re.VERBOSE)
_RESERVED = frozenset("after and andalso band begin bnot bor bsl bsr bxor case catch cond div else end fun if let "
                      "maybe not of or orelse receive rem try when xor".split())
_VARIABLE = re.compile(r"\$\{(username|clientid)\}")
_ACTIONS = ("publish", "subscribe")
_PEOPLE = {"user": "username", "username": "username", "client": "clientid", "clientid": "clientid"}


class Wrong(ValueError):
    """What EMQX would not load."""


class Atom(str):
    """A name of Erlang's, which is no string."""


Client = namedtuple("Client", "username clientid")
Rule = namedtuple("Rule", "permission who actions topics")


def terms(text):
    """The terms of a file, as `file:consult/1` gives them: tuples, lists, Atoms, strings, whole numbers."""
    tokens, found = _tokens(text), []
    while tokens:
        found.append(_term(tokens))
        kind, word = tokens.pop(0) if tokens else (None, "the end of the file")
        if kind != "end":
            raise Wrong(f"{word!r} where a term ends with a full stop and a blank")
    return found


def _tokens(text):
    at, found = 0, []
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise Wrong(f"line {text.count(chr(10), 0, at) + 1}: {text[at:at + 20]!r} is nothing of Erlang's")
        if found and match.lastgroup in ("atom", "string", "number") and found[-1][0] in ("atom", "string", "number"):
            raise Wrong(f"{match[0]!r} follows {found[-1][1]!r} without a comma")
        if match.lastgroup != "space":
            found.append((match.lastgroup, match[0]))
        at = match.end()
    return found


def _term(tokens):
    kind, word = tokens.pop(0) if tokens else (None, "the end of the file")
    if kind == "atom" and word not in _RESERVED:
        return Atom(word.strip("'"))
    if kind == "string":
        return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), word[1:-1])
    if kind == "number":
        return int(word)
    if word == "{":
        return tuple(_items(tokens, "}"))
    if word == "[":
        return _items(tokens, "]")
    raise Wrong(f"{word!r} where a term has to be")


def _items(tokens, last):
    found = []
    while not tokens or tokens[0][1] != last or tokens[0][0] != "mark":
        found.append(_term(tokens))
        if not tokens or tokens[0][1] not in (",", last):
            raise Wrong(f"neither a comma nor {last} after {found[-1]!r}")
        if tokens[0][1] == ",":
            tokens.pop(0)
            if tokens and tokens[0][1] == last:
                raise Wrong(f"a comma before {last}")
    tokens.pop(0)
    return found


def rules(text):
    """The Rules of a file. Raises Wrong."""
    return [_rule(term) for term in terms(text)]


def _rule(term):
    if not isinstance(term, tuple) or len(term) not in (2, 4) or not _is_atom(term[0], "allow", "deny"):
        raise Wrong(f"{term!r} is no rule")
    if len(term) == 2:
        if not _is_atom(term[1], "all"):
            raise Wrong(f"{term!r}: a rule of two has `all`")
        return Rule(term[0], _who(Atom("all")), _ACTIONS, [_topic("#")])
    permission, who, action, topics = term
    if not isinstance(topics, list) or not topics:
        raise Wrong(f"{topics!r} is no list of topics")
    if not _is_atom(action, "all", *_ACTIONS):
        raise Wrong(f"{action!r} is no action")
    return Rule(permission, _who(who), _ACTIONS if action == "all" else (action,), [_topic(topic) for topic in topics])


def _is_atom(term, *words):
    return isinstance(term, Atom) and term in words


def _is_string(term):
    return isinstance(term, str) and not isinstance(term, Atom)


def _who(term):
    """A function of a Client: whether it is meant."""
    if _is_atom(term, "all"):
        return lambda client: True
    if not isinstance(term, tuple) or len(term) != 2 or not _is_atom(term[0], *_PEOPLE):
        raise Wrong(f"{term!r} is nobody")
    kind, name = term
    if isinstance(name, tuple) and len(name) == 2 and _is_atom(name[0], "re") and _is_string(name[1]):
        pattern = re.compile(name[1])
        return lambda client: bool(pattern.search(getattr(client, _PEOPLE[kind]) or ""))
    if not _is_string(name):
        raise Wrong(f"{name!r} is no name")
    return lambda client: getattr(client, _PEOPLE[kind]) == name


def _topic(term):
    """A function of a Client and a topic or filter (text): whether it is meant."""
    equal = isinstance(term, tuple) and len(term) == 2 and _is_atom(term[0], "eq")
    text = term[1] if equal else term
    if not _is_string(text) or not text:
        raise Wrong(f"{term!r} is no topic")
    if not equal and text.startswith("eq "):  # the older way to say it
        equal, text = True, text[3:]
    if equal:  # as it stands: no placeholder in it is filled in
        return lambda client, topic: topic == text
    levels = text.split("/")
    if "#" in levels[:-1] or any(len(level) > 1 and re.search("[+#]", level) for level in levels):
        raise Wrong(f"{text!r} is no topic filter")
    return lambda client, topic: _fits(topic, _filled(text, client))


def _filled(text, client):
    """The filter with its placeholders filled in; None where the client has no such name."""
    names = _VARIABLE.findall(text)
    if any(getattr(client, name) is None for name in names):
        return None
    return _VARIABLE.sub(lambda match: getattr(client, match[1]), text)


def _fits(topic, wanted):
    """EMQX compares level by level, also a filter that is subscribed to, whose + is then a word like any other; and
    unlike for messages, a $ at the beginning makes no difference here."""
    if wanted is None:
        return False
    if topic.startswith("$share/"):
        topic = topic.split("/", 2)[-1]
    found, wanted = topic.split("/"), wanted.split("/")
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at >= len(found) or level not in ("+", found[at]):
            return False
    return len(found) == len(wanted)


def permits(found, client, action, topic, no_match="allow"):
    """Whether a Client may `action` ("publish" or "subscribe"): the first rule that fits decides, and where none does,
    `authorization.no_match`, which EMQX ships as allow."""
    for rule in found:
        if action in rule.actions and rule.who(client) and any(fits(client, topic) for fits in rule.topics):
            return rule.permission == "allow"
    return no_match == "allow"

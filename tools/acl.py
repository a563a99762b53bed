"""Access control of a broker that fences each node in: it says only its own topics, and hears only what is for it.

A node logs in with its id as its user name, and has it as its client id. Texts for the broker's own file; nothing here
touches files or brokers.
"""

from tools import errors, topics

# What nodes say below {base}/{id}/ (design: topics). Not config/set and command, or a stolen one could steer itself.
_SAID = ("status", "info", "telemetry/+", "event/+", "backlog", "diagnostics", "config", "reply", "update", "probe",
         "log")
# What Home Assistant hears of them, and says: never a whole configuration, which may carry secrets.
_HEARD = ("status", "info", "telemetry/+", "event/+", "diagnostics", "config", "update")
_CONTROLS = ("config/set/+", "command/+")
_NODES = '{username, {re, "^[a-z0-9_-]{1,23}$"}}'  # for EMQX, which would take a user called + for every node


def mosquitto(nodes=(), base="mote", prefix="homeassistant", ha_user="homeassistant", operator="operator"):
    """The text of Mosquitto's `acl_file`. Raises UserError for a name that cannot stand in it.

    `nodes` are ids, only looked at; `ha_user` and `operator` are the user names of Home Assistant and of whoever calls
    mote's verbs.
    """
    _check(nodes, base, prefix, ha_user, operator)
    lines = ["# Written by Mote. In mosquitto.conf: allow_anonymous false, use_username_as_clientid true,",
             "# password_file and acl_file. A node's user name is its id.", "", "# Every node, within its own topics"]
    lines += [f"pattern {what} {topic}" for what, topic in _of_nodes(base, prefix, "%u")]
    for user, rules in _of_users(base, prefix, ha_user, operator):
        lines += ["", f"user {user}", *(f"topic {what} {topic}" for what, topic in rules)]
    return "\n".join(lines) + "\n"


def emqx(nodes=(), base="mote", prefix="homeassistant", ha_user="homeassistant", operator="operator"):
    """The text of EMQX's acl.conf, the same rules as `mosquitto`'s. Raises UserError."""
    _check(nodes, base, prefix, ha_user, operator)
    lines = ["%% Written by Mote. In emqx.conf: authorization.no_match = deny, mqtt.use_username_as_clientid = true,",
             "%% and authentication. A node's user name is its id."]
    for user, rules in _of_users(base, prefix, ha_user, operator):
        lines += _terms(f'{{user, "{user}"}}', rules)
    lines += _terms(_NODES, _of_nodes(base, prefix, "${username}"))
    return "\n".join([*lines, "{deny, all}."]) + "\n"


ENGINES = {"mosquitto": mosquitto, "emqx": emqx}


def _terms(who, rules):
    """Rules as Erlang's terms, one for each kind of action."""
    words = {"read": "subscribe", "write": "publish", "readwrite": "all"}
    found = []
    for what, word in words.items():
        listed = ", ".join(f'"{topic}"' for kind, topic in rules if kind == what)
        if listed:
            found.append(f"{{allow, {who}, {word}, [{listed}]}}.")
    return found


def _of_nodes(base, prefix, node):
    """(what, topic) that every node may, `node` standing for its own name."""
    rules = [("write", f"{base}/{node}/{kind}") for kind in _SAID]
    rules.append(("write", f"{prefix}/device/{node}/config"))
    heard = (f"{base}/{node}/#", f"{base}/group/+/command/#", f"{base}/all/command/#", f"{prefix}/status")
    return rules + [("read", topic) for topic in heard]


def _of_users(base, prefix, ha_user, operator):
    """(user, rules) of those who are no nodes."""
    home = [("read", f"{base}/+/{kind}") for kind in _HEARD] + [("read", f"{prefix}/#")]
    home += [("write", f"{base}/+/{kind}") for kind in _CONTROLS] + [("write", f"{prefix}/status")]
    return [(ha_user, home), (operator, [("readwrite", f"{base}/#"), ("readwrite", f"{prefix}/#")])]


def _check(nodes, base, prefix, *users):
    for node in nodes:
        topics.node_id(node)
    for text in (base, prefix, *users):
        wrong = not text or len(text) > 64 or any(letter in '+#"\\%$' or not letter.isprintable() for letter in text)
        if wrong or text != text.strip() or text.startswith(("/", "eq ")) or text.endswith("/"):  # EMQX: `eq TOPIC`
            raise errors.UserError(f"{text!r} cannot stand in a list of topics and users: 1 to 64 characters, none of "
                                   '+ # % $ " \\, no space or / at its ends, and no `eq ` at the beginning')
    if len({*users, *nodes}) < len(users) + len({*nodes}):
        raise errors.UserError(f"the users {' and '.join(users)} must be two, and not called like a node")

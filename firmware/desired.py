"""What the node is asked to be: base, patch and revision, how a document of them is obeyed, and the report.

Functions over `settings`, which stays: `effective`, the configuration that the parts obey; `report`, what is to be
reported of it as (state, reason, mistakes), out of which firmware/reported.py makes the document; `revision`; `trial`,
whether what is obeyed is on trial ("first": since this very start; "wake": this is the wake after the sleep that
belongs to it); `moved`, whether that leads to another broker; `spare`, whether config.json is wrong, and the copy of
the one that worked last stands in; `found`, 1 when the document on trial has come again, 2 when with the next revision,
which is the operator's second word. This code and the `table` (firmware.config) may leave memory in between.
"""

import json

import lending

_FILE = "config"
_MAX_BYTES = 4_096
_MAX_DEPTH = 6
_MAX_STEP = 1_000  # a revision may run ahead this far: a lost document must not block, a huge one must not lock out
_MAX_REVISION = 0x40000000
_HOUR_S = 3_600


class Settings:
    """What the node keeps of its configuration. Without a method, so that the code of this module can be forgotten."""

    effective = None
    report = ()
    revision = 0
    trial = moved = spare = False
    found = 0
    refused = 0  # documents and commands that were not signed as config.key demands, or not new


class ConfigError(ValueError):
    """A document that is not obeyed: args are a reason, and a list of (key, found, allowed)."""


def load(board, table, settings):
    """Read base and patch. Raises ConfigError when the base itself is wrong: nobody could then be reported to."""
    document = stored(board)
    schema = document.get("schema", 1)
    if schema > table.SCHEMA:  # of a firmware that was newer
        hold(board, table, settings, {"revision": document["revision"], "patch": {}})
        settings.report = "rejected", "what was stored has schema %d: update the firmware, or send it anew" % schema, ()
        return
    if schema < table.SCHEMA:
        document["schema"] = table.SCHEMA
        for key in ("patch", "old"):
            if key in document:
                document[key] = table.upgraded(document[key], schema)
        store(board, document)
    hold(board, table, settings, document)


def hold(board, table, settings, document):
    """Obey a stored document. Raises ConfigError when the base itself is wrong."""
    reason = document.get("why")
    state = "rolled-back" if reason else "applied"
    base, fault = provisioned(board, table)
    settings.spare = bool(fault)
    whole = table.merge(base, document["patch"])
    problems = table.check(whole)
    if fault:
        state, reason = "rejected", "the last config.json that worked is obeyed instead: " + fault.args[0]
        board.log("! config: " + reason)
    if problems:  # a newly provisioned base that the old patch does not fit: the base alone is known to be good
        whole, state, reason = base, "rejected", "the patch does not fit"
    settings.effective = table.filled(whole)
    first = document.get("first")
    settings.revision, settings.trial = document["revision"], "first" if first is True else first or "old" in document
    settings.moved = _moved(table, base, document)
    settings.report = state, reason, problems or (fault.args[1] if fault and fault.args[1:] else problems)


def obey(board, table, settings, data):
    """Obey a document from `config/set` (bytes, or None when it was too long). Returns None when it changed nothing,
    else what follows, "live", "reconnect" or "restart"."""
    key = settings.effective["config"]["key"]
    try:
        if key is not None:
            own = settings.effective["node"]["id"] or board.default_id
            if (data := lending.lend("signed").opened(key, own, "config", data)) is None:
                settings.refused += 1
                raise ConfigError("not signed with config.key for this node")
        document = parsed(data)
        revision = document.get("revision")
        wanted = document.get("patch")
        if type(revision) is not int or not isinstance(wanted, dict) or len(document) > 2:
            raise ConfigError('not of the form {"revision": n, "patch": {...}}')
        patch = stored(board)["patch"]
        if settings.trial and 0 <= revision - settings.revision <= 1 and _is_again(table, wanted, patch):
            settings.found = 1 + revision - settings.revision
            return None
        if revision <= settings.revision:
            if revision < settings.revision:  # the same one is what the broker keeps for us
                settings.refused += key is not None
                board.log("config: revision %d is not above %d, ignored" % (revision, settings.revision))
            return None
        if revision > settings.revision + _MAX_STEP:
            raise ConfigError("revision is more than %d ahead" % _MAX_STEP)
        return change(board, table, settings, revision, _with_secrets(table, wanted, patch, ()))
    except ConfigError as error:
        return refused(board, settings, error)


def _is_again(table, wanted, patch):
    """Whether a document's patch is the stored one; once through JSON, as that has been, since floats change there."""
    try:
        return json.loads(json.dumps(_with_secrets(table, wanted, patch, ()))) == patch
    except ValueError:  # a number without bounds, which nobody stored
        return False


def _moved(table, base, document):
    """Whether what is on trial in a stored document leads to another broker."""
    if "old" not in document:
        return False
    usual = int(table.row(("mqtt", "port"))[4])
    old, new = [(table.merge(base, document[key]).get("mqtt") or {}) for key in ("old", "patch")]
    return old.get("host") != new.get("host") or (old.get("port") or usual) != (new.get("port") or usual)


def provisioned(board, table):
    """What was provisioned, and None; when config.json is wrong, the copy that firmware.starts kept of the last one
    that worked, and why. Raises ConfigError when there is none."""
    try:
        return _checked(table, board.read_config()), None
    except (OSError, ConfigError) as error:
        copy = board.files.load("base")
        if not isinstance(error, ConfigError):
            error = ConfigError(str(error))
        if not copy:
            raise error
        return _checked(table, copy), error


def _checked(table, data):
    base = parsed(data)
    base = table.upgraded(base, base.get("schema", 1))
    problems = table.check(base)
    if problems:
        raise ConfigError("config.json", problems)
    return base


def stored(board):
    """What was stored last: revision, patch and, on trial, `old`, the patch that holds when it fails, with `first`
    when the trial begins at the next start, or goes on with it ("wake"); `why`, when the last one was rolled back;
    `schema`, when that is not 1."""
    data = board.files.load(_FILE)
    return json.loads(str(data, "utf-8")) if data else {"revision": 0, "patch": {}}


def store(board, document):
    """Replace what is stored, all or nothing. Raises ConfigError."""
    try:
        board.files.save(_FILE, json.dumps(document).encode())
    except OSError as error:
        raise ConfigError("not stored: %s" % error)


def _with_secrets(table, patch, old, path):
    """`patch` with the secrets of `old` that it leaves out; of a network and of TLS only while their entry is there."""
    patch = dict(patch)
    for key in old:
        value = old[key]
        if isinstance(value, dict):
            inner = patch.get(key, {})
            if isinstance(inner, dict) and (key in patch or key != "tls" and path != ("wifi",)):
                inner = _with_secrets(table, inner, value, path + (key,))
                if inner:
                    patch[key] = inner
        elif key not in patch and table.is_secret(path + (key,)):
            patch[key] = value
    return patch


def change(board, table, settings, revision, patch):
    """Check the whole, store it, and only then obey it."""
    if revision >= _MAX_REVISION:
        raise ConfigError("revision is not below %d" % _MAX_REVISION)
    base = provisioned(board, table)[0]
    whole = table.merge(base, patch)
    problems = table.mistakes(whole)
    if problems:
        raise ConfigError("mistakes", problems)
    if (patch.get("config") or {}).get("key") is not None:
        raise ConfigError("config.key comes with config.json, never over the air")
    effective = table.filled(whole)
    effect = "reconnect" if table.differs(settings.effective, effective, "r") else "live"
    effect = "restart" if table.differs(settings.effective, effective, "s") else effect
    document, before = {"revision": revision, "patch": patch}, stored(board)
    if table.SCHEMA > 1:
        document["schema"] = table.SCHEMA
    if "old" in before or _could_strand(table, settings.effective, effective):
        document["old"] = before.get("old", before["patch"])
        if effect == "restart":
            document["first"] = True
        else:
            effect = "reconnect"  # through which alone it is proved
    moved = _moved(table, base, document)
    store(board, document)  # last of all, so that a lack of memory cannot leave it half done
    settings.revision, settings.effective, settings.trial = revision, effective, "old" in document
    settings.moved, settings.found = moved, 0
    tell(settings)
    return effect


def _could_strand(table, old, new):
    """Whether the node might not come back, or not within the hour, after this change."""
    return table.differs(old, new, "t") or longest_s(new) > max(_HOUR_S, longest_s(old))


def longest_s(config):
    """The longest period in which the node might say nothing."""
    sensors = config["sensors"]
    periods = [config["telemetry"]["interval_s"]] + [sensors[name].get("interval_s") or 0 for name in sensors]
    return max(periods) * config["power"].get("send_every", 1)


def tell(settings):
    """Report that what is obeyed now is so by a document."""
    settings.report = "trial" if settings.trial else "applied", None, ()


def refused(board, settings, error):
    """Report that a document was not obeyed: `error` is a ConfigError, or one of another kind that came of it."""
    reason, problems = (error.args + ((),))[:2] if isinstance(error, ConfigError) else (_text(error), ())
    board.log("! config refused: %s %s" % (reason, " ".join([str(problem[0]) for problem in problems])))
    settings.report = "rejected", reason, problems


def _text(error):
    return "%s: %s" % (type(error).__name__, error)


def parsed(data):
    """The JSON object in `data` (bytes). Raises ConfigError."""
    try:
        return lending.lend("bounded").parsed(data, _MAX_BYTES, _MAX_DEPTH)
    except ValueError as error:
        raise ConfigError(error.args[0])


def check_depth(data):
    """Raises ConfigError when `data` (bytes) is nested too deep to be parsed."""
    try:
        lending.lend("bounded").check_depth(data, _MAX_DEPTH)
    except ValueError as error:
        raise ConfigError(error.args[0])

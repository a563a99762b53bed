"""What the node is asked to be and what it is: base, patch and revision, and the report of them.

`table` is the module firmware.config. It is needed only while a document is looked at, so it is fetched through
`table()` and may leave memory in between; the report is kept as finished text for the same reason.
"""

import json

FILE = "config"


class Desired:
    """`effective` is the whole configuration that the parts obey; `report` the reported document, in pieces."""

    def __init__(self, board, table):
        self._board = board
        self._table = table
        self._patch = {}
        self.revision = 0
        self.effective = None
        self.report = ()
        self.refused = 0  # documents that were not obeyed, since the start

    def load(self):
        """Read base and patch. Raises ConfigError when the base itself is wrong: nobody could then be reported to."""
        table = self._table()
        base = self._base(table)
        stored = self._board.files.load(FILE)
        if stored:
            document = json.loads(stored)
            self.revision = document["revision"]
            self._patch = document["patch"]
        whole = table.merge(base, self._patch)
        problems = table.check(whole)
        if problems:  # a newly provisioned base that the old patch does not fit: the base alone is known to be good
            whole = base
        self.effective = table.filled(whole)
        self._write_report(table, "rejected" if problems else "applied", "the patch does not fit" if problems else None, problems)

    def _base(self, table):
        base = table.parsed(self._board.read_config())
        problems = table.check(base)
        if problems:
            raise table.ConfigError("config.json", problems)
        return base

    def obey(self, data):
        """Obey a document from `config/set` (bytes, or None when it was too long).

        Returns None when it changed nothing, else what follows: "live" or "reconnect".
        """
        table = self._table()
        try:
            document = table.parsed(data)
            revision = document.get("revision")
            patch = document.get("patch")
            if isinstance(revision, bool) or not isinstance(revision, int) or not isinstance(patch, dict) or len(document) > 2:
                raise table.ConfigError('not of the form {"revision": n, "patch": {...}}')
            if revision <= self.revision:
                self._board.log("config: revision %d is not above %d, ignored" % (revision, self.revision))
                return None
            if revision > self.revision + table.MAX_STEP or revision >= table.MAX_REVISION:
                raise table.ConfigError("revision is more than %d ahead" % table.MAX_STEP)
            return self._change(table, revision, self._with_secrets(table, patch, self._patch, ()))
        except table.ConfigError as error:
            return self._refuse(table, *error.args)

    def obey_key(self, key, data):
        """Obey a bare value for one dotted key; returns as `obey` does."""
        table = self._table()
        try:
            path = key.split(".")
            line = table.row(path)
            if not line or line[1] == "names":
                raise table.ConfigError("no such key", [(key[:60], None, "a key of the table")])
            if data is None or len(data) > 256:
                raise table.ConfigError("longer than 256 bytes")
            try:
                value = str(data, "utf-8")
                value = json.loads(value)
            except ValueError:
                pass  # a bare word is a text
            for part in reversed(path):
                value = {part: value}
            return self._change(table, self.revision + 1, table.merge(self._patch, value))
        except table.ConfigError as error:
            return self._refuse(table, *error.args)

    def _with_secrets(self, table, patch, old, path):
        """`patch` with the secrets of `old` that it leaves out; of a network only while its entry is still there."""
        patch = dict(patch)
        for key in old:
            value = old[key]
            if isinstance(value, dict):
                inner = patch.get(key, {})
                if isinstance(inner, dict) and (key in patch or path != ("wifi",)):
                    inner = self._with_secrets(table, inner, value, path + (key,))
                    if inner:
                        patch[key] = inner
            elif key not in patch and table.is_secret(path + (key,)):
                patch[key] = value
        return patch

    def _change(self, table, revision, patch):
        """Check the whole, store it, and only then obey it."""
        if self.effective["config"]["key"] is not None:
            raise table.ConfigError("config.key is set: only signed documents are obeyed")
        whole = table.merge(self._base(table), patch)
        problems = table.check(whole)
        if problems:
            raise table.ConfigError("%d mistakes" % len(problems), problems)
        try:
            self._board.files.save(FILE, json.dumps({"revision": revision, "patch": patch}).encode())
        except OSError as error:
            raise table.ConfigError("not stored: %s" % error)
        self._patch = patch
        self.revision = revision
        old, self.effective = self.effective, table.filled(whole)
        self._write_report(table, "applied", None, ())
        return "reconnect" if table.reconnects(old, self.effective) else "live"

    def _refuse(self, table, reason, problems=()):
        self.refused += 1
        self._board.log("config refused: %s" % reason)
        self._write_report(table, "rejected", reason, problems)

    def _write_report(self, table, state, reason, problems):
        """Finish the text of the reported document (design: topics), secrets hidden."""
        errors = [{"key": key, "found": found, "allowed": allowed} for key, found, allowed in problems]
        head = {"revision": self.revision, "state": state, "reason": reason, "errors": errors}
        pieces = [json.dumps(head)[:-1] + ',"patch":', json.dumps(table.redacted(self._patch, False)), ',"config":']
        comma = "{"
        for section in self.effective:
            body = table.redacted({section: self.effective[section]}, True)
            pieces.append(comma + json.dumps(body)[1:-1])
            comma = ","
        pieces.append("}}")
        self.report = [piece.encode() for piece in pieces]

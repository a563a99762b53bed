"""A bare value for one key, as Home Assistant's controls send it. Over what firmware.desired keeps; only lent."""

import json


def obey_key(desired, board, table, settings, key, data):
    """Obey a bare value for one dotted key; returns as firmware.desired.obey does."""
    path = key.split(".")
    try:
        line = table.row(path)
        if not line or line[1] == "names":
            raise desired.ConfigError("no such key", [(key[:60], None, "a key of the table")])
        if settings.effective["config"]["key"] is not None and ("t" in line[5] or "!" in line[5]):
            settings.refused += 1
            raise desired.ConfigError("config.key is set: only a signed document may change " + key[:60])
        value = _bare(desired, data)
        for part in reversed(path):
            value = {part: value}
        patch = table.merge(desired.stored(board)["patch"], value)
        return desired.change(board, table, settings, settings.revision + 1, patch)
    except desired.ConfigError as error:
        return desired.refused(board, settings, error)


def _bare(desired, data):
    """A bare value: JSON, or else the text itself."""
    if data is None or len(data) > 256:
        raise desired.ConfigError("longer than 256 bytes")
    try:
        text = str(data, "utf-8")
    except UnicodeError:
        raise desired.ConfigError("not UTF-8")
    desired.check_depth(data)
    try:
        return json.loads(text)
    except (ValueError, RuntimeError):
        return text

"""A label for each node's case: its name for people, and a QR code; a page of them to be printed."""

import html
import re
from collections import namedtuple

import segno

from firmware import config as table
from tools import errors, patching

PLAIN = "MOTE:{id}"
HIDDEN = "(with a secret)"
_KEY = re.compile(r"{([^{}]*)}")
_SHORT = {"id": "node.id", "name": "node.name", "area": "node.area"}
_MOST_BYTES = 300  # beyond this the squares are too small to be read from a label
_CORRECTION = "M"  # a seventh of the squares may be lost to dirt and light

Label = namedtuple("Label", "lines code")
Label.__doc__ = "What people read, line by line, and what the QR code says."

_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Labels of {count} nodes</title>
<style>
body {{ margin: 0; font: 9pt sans-serif; display: flex; flex-wrap: wrap; gap: 2mm }}
div {{ width: 62mm; height: 24mm; box-sizing: border-box; border: 0.2mm dashed #bbb; padding: 1mm; break-inside: avoid;
  display: flex; align-items: center; gap: 2mm; overflow: hidden }}
svg {{ width: 21mm; height: 21mm; flex: none }}
b, code {{ display: block; overflow-wrap: anywhere }}
@page {{ margin: 10mm }}
</style>
{labels}
"""


class Template:
    """What the codes say: a text with keys of a configuration in braces. `secret`: whether one of them is a secret.
    Raises UserError for a key that there is none of."""

    def __init__(self, text):
        self._text = text
        self.secret = False
        for name in _KEY.findall(text):
            path = patching.path_of(_SHORT.get(name, name))
            if table.row(path) is None:
                raise errors.UserError(f"--label: {{{name}}} is no key of docs/config.md; such as {{id}}")
            self.secret = self.secret or patching.is_secret(path)

    def of(self, node, document):
        """The Label of a node. Raises UserError for a text that is too long for one."""
        code = _KEY.sub(lambda key: _value(document, patching.path_of(_SHORT.get(key[1], key[1]))), self._text)
        if len(code.encode()) > _MOST_BYTES:
            raise errors.UserError(f"--label: the code of {node} would have {len(code.encode())} bytes, a label has "
                                   f"room for {_MOST_BYTES}")
        about = document.get("node", {})
        return Label([line for line in (about.get("name") or node, about.get("area"), node) if line], code)


def _value(document, path):
    for part in path:
        document = document.get(part) if isinstance(document, dict) else None
    return "" if document is None else str(document)


def page(labels):
    """The text of an HTML file with all labels, to be printed from a browser."""
    return _PAGE.format(count=len(labels), labels="\n".join(map(_label, labels)))


def _label(label):
    code = segno.make(label.code, error=_CORRECTION, micro=False).svg_inline(omitsize=True)
    name, *more = map(html.escape, label.lines)
    return f"<div>{code}<span><b>{name}</b>{'<br>'.join(more[:-1])}<code>{more[-1] if more else ''}</code></span></div>"

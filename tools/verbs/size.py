"""`mote size`: what the node's code costs, per module."""

import json
import os

from tools import ROOT, errors, footprint

HELP = "bytes and heap of every module of the node, measured on MicroPython"
EXAMPLE = "mote size --json"
TABLE = os.path.join(ROOT, "docs", "size.txt")


def add_arguments(parser):
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--write", action="store_true", help="rewrite docs/size.txt as well")


def run(args):
    rows = footprint.measure()
    text = footprint.table(rows)
    if args.write:
        with open(TABLE, "w", encoding="utf-8") as file:
            file.write(text)
    print(json.dumps(_document(rows)) if args.json else text, end="\n" if args.json else "")
    return errors.DONE


def _document(rows):
    mpy_bytes, heap_bytes = footprint.totals(rows)
    return {"modules": [row._asdict() for row in rows], "total": {"mpy_bytes": mpy_bytes, "heap_bytes": heap_bytes}}

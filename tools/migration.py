"""From Home Assistant's classic discovery, a message for each entity, to one document for the device. Pure.

Home Assistant keeps an entity, with its id and all that was set on its page, when the new document has it under the
same discovery id and the same unique id: PREFIX/sensor/X/Y/config and component Y of PREFIX/device/X/config.
"""

import json
from collections import namedtuple

from tools import topics

MIGRATE = json.dumps({"migrate_discovery": True}).encode()

Classic = namedtuple("Classic", "topic platform key unique_id payload")
Classic.__doc__ = "One kept message of classic discovery; `unique_id` is None when it has none."


def filters(prefix, node):
    """Topic filters for all that Home Assistant is told of a node, the old way and the new."""
    return [f"{prefix}/+/{node}/+/config", document_topic(prefix, node)]


def document_topic(prefix, node):
    """The topic of the document of a device."""
    return f"{prefix}/device/{node}/config"


def classics(kept, prefix, node):
    """What is kept of classic discovery, in order; `kept` maps topics to payloads."""
    found = []
    for topic, payload in sorted(kept.items()):
        parts = topic[len(prefix) + 1:].split("/")
        if payload and len(parts) == 4 and parts[1] == node and parts[0] != "device":
            config = topics.document(payload)
            found.append(Classic(topic, parts[0], parts[2], config.get("unique_id", config.get("uniq_id")),
                                 payload))
    return found


def sorted_out(found, document):
    """(those that the document has under the same ids, [(Classic, why not)])."""
    components = document.get("cmps", document.get("components"))
    components = components if isinstance(components, dict) else {}
    good, others = [], []
    for classic in found:
        part = components.get(classic.key)
        why = None
        if not isinstance(part, dict) or len(part) < 2:
            why = "the node has no such entity any more"
        elif part.get("p", part.get("platform")) != classic.platform:
            why = f"it is a {part.get('p', part.get('platform'))} now"
        elif part.get("uniq_id", part.get("unique_id")) != classic.unique_id:
            why = f"its unique id was {classic.unique_id}, and is {part.get('uniq_id', part.get('unique_id'))} now"
        if why:
            others.append((classic, why))
        else:
            good.append(classic)
    return good, others

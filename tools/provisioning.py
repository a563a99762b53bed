"""Configurations for nodes, and what a broker has to know of them. Pure, but for the files that it is told to write."""

import base64
import csv
import difflib
import hashlib
import json
import os
import re
import secrets
import ssl

from firmware import config as table
from tools import acl, errors, patching, topics

_PASSWORD_BYTES = 16  # 128 bits
_SALT_BYTES = 12
_ITERATIONS = 101  # what mosquitto_passwd of Mosquitto 2 writes; the passwords are random, so more would add nothing
_SHORT = {"id": "node.id", "name": "node.name", "area": "node.area", "groups": "node.groups"}
_LISTS = ("ids", "hosts")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_MOST_AUTHORITIES = 2
_SHOWN = 20  # mistakes: the same one in each of 500 lines is one


def password():
    """A password that nobody can guess: 128 random bits, in letters that every file and shell takes."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def checked(document, what):
    """The document, when nodes would obey it. Raises UserError with every mistake at once."""
    problems = table.mistakes(document)
    if problems:
        raise errors.UserError("\n".join([f"{what} has {len(problems)} mistake(s)", *patching.told(problems)]))
    return document


def assigned(document, assignments):
    """The document with KEY=VALUE texts in it. Raises UserError."""
    return patching.changed(document, [patching.assignment(text) for text in assignments])


def fitting(*path):
    """A check for tools.asking: the answer, when it (or `value` for it) may stand at this path of a configuration."""
    def check(answer, value=None):
        document = patching.changed({"mqtt": {"host": "broker"}}, [(path, answer if value is None else value)])
        for _, _, allowed in table.check(document):
            raise errors.UserError(f"wanted: {allowed.removesuffix(' or null')}")
        return answer

    return check


def authority(path):
    """`mqtt.tls` for the authority in a PEM file: its certificates travel in the configuration. Raises UserError."""
    try:
        with open(path, encoding="ascii") as file:
            found = _PEM.findall(file.read())
        ders = [base64.b64encode(ssl.PEM_cert_to_DER_cert(pem)).decode() for pem in found]
    except (OSError, ValueError) as error:
        raise errors.UserError(f"cannot read the authority {path}: {error}") from None
    if not 1 <= len(ders) <= _MOST_AUTHORITIES:
        raise errors.UserError(f"{path} has {len(ders)} certificates; one or two (old and new authority) are wanted, "
                               "the root's own rather than a whole bundle")
    return {"ca": ders[0] if len(ders) == 1 else ders}


def rows(path):
    """The nodes of a CSV file: (line number, [(path, value)]) of each. Its columns are keys of the configuration, or
    id, name, area, groups (separated by spaces). Raises UserError with every mistake of the head."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = {name: _SHORT.get(name.strip(), name.strip()) for name in reader.fieldnames or ()}
            lines = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise errors.UserError(f"cannot read {path}: {error}") from None
    unknown = [_nearest(name) for name, key in columns.items() if table.row(patching.path_of(key or "-")) is None]
    if unknown or "node.id" not in columns.values():
        head = f"{path}: the first line has to name a column `id`, and keys of docs/config.md"
        raise errors.UserError("\n".join([head, *unknown]))
    return [(number, [_cell(columns[name], text) for name, text in row.items() if name is not None and text])
            for number, row in lines]


def _nearest(name):
    keys = [line[0] for line in table.rows()] + list(_SHORT)
    near = difflib.get_close_matches(name, keys, n=1)
    return f"  column {name!r} is no key" + (f"; did you mean {near[0]}?" if near else "")


def _cell(key, text):
    row = table.row(patching.path_of(key))
    if row[1] in _LISTS and not text.startswith("["):
        return patching.path_of(key), text.split()
    return patching.assignment(f"{key}={text}")


def fleet(path, base, kept=lambda node: None):
    """Node -> configuration, for the nodes of a CSV file over the document `base`, each with a password of its own:
    `kept(node)` when it has one already. Raises UserError with every mistake of every line."""
    documents, problems = {}, []
    for number, cells in rows(path):
        document = patching.changed(base, cells)
        node = document.get("node", {}).get("id")
        if not isinstance(node, str) or not topics.is_node_id(node):
            problems.append(f"  line {number}: id {node!r} is not 1 to 23 of a-z, 0-9, _ and -, "
                            "neither `all` nor `group`")
            continue
        if node in documents:
            problems.append(f"  line {number}: id {node} was there before")
        document = with_credentials(document, node, kept(node) or password())
        problems += [f"  line {number}: {text.strip()}" for text in patching.told(table.mistakes(document))]
        documents[node] = document
    if problems:
        more = [f"  and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise errors.UserError("\n".join([f"{path} has {len(problems)} mistake(s); nothing was written",
                                          *problems[:_SHOWN], *more]))
    if not documents:
        raise errors.UserError(f"{path} has no nodes")
    return documents


def with_credentials(document, node, secret):
    """The document of a node that logs in as itself."""
    return {**document, "node": {**document.get("node", {}), "id": node},
            "mqtt": {**document.get("mqtt", {}), "user": node, "password": secret}}


def mosquitto_line(user, secret, salt=None):
    """A line of Mosquitto's password_file: PBKDF2 with SHA-512 (mosquitto_passwd(1), format 7)."""
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, _ITERATIONS)
    return f"{user}:$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def mosquitto_passwords(users, before=""):
    """The text of a password_file with these users (name -> password), the other lines of `before` kept."""
    lines = [line for line in before.splitlines() if line.partition(":")[0] not in users]
    return "\n".join(lines + [mosquitto_line(user, secret) for user, secret in sorted(users.items())]) + "\n"


def emqx_passwords(users, before=""):
    """The text of a bootstrap file for EMQX's built-in database, password_hash_algorithm sha256 with the salt first."""
    head = "user_id,password_hash,salt,is_superuser"
    lines = [line for line in before.splitlines()[1:] if line.partition(",")[0] not in users]
    for user, secret in sorted(users.items()):
        salt = secrets.token_hex(_SALT_BYTES)
        lines.append(f"{user},{hashlib.sha256((salt + secret).encode()).hexdigest()},{salt},false")
    return "\n".join([head, *lines]) + "\n"


PASSWORD_FILES = {"mosquitto": ("passwords", mosquitto_passwords), "emqx": ("bootstrap.csv", emqx_passwords)}


def write_access(folder, engine, documents):
    """Write the broker's access list and password file into a folder, keeping what others have there. Returns paths."""
    any_mqtt = next(iter(documents.values()))
    base = any_mqtt["mqtt"].get("base") or "mote"
    prefix = (any_mqtt.get("homeassistant") or {}).get("prefix") or "homeassistant"
    users = {document["mqtt"]["user"]: document["mqtt"]["password"] for document in documents.values()
             if document["mqtt"].get("user")}
    name, passwords = PASSWORD_FILES[engine]
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(folder, "acl.conf" if engine == "emqx" else "acl"), os.path.join(folder, name)]
    write_secret(paths[0], acl.ENGINES[engine](list(documents), base=base, prefix=prefix).encode(), 0o644)
    write_secret(paths[1], passwords(users, _text(paths[1])).encode())
    return paths


def _text(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write_secret(path, content, mode=0o600):
    """Replace a file in one piece; nobody else can read it at any time."""
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    os.replace(path + ".new", path)


def text_of(document):
    """A configuration as bytes, as it goes to a board."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


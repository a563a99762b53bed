"""`mote provision`: a configuration for a node, onto its board or into files, with credentials of its own."""

import contextlib
import json
import os
import sys

from firmware import config as table
from firmware import desired
from tools import ROOT, asking, connection, errors, keys, labels, provisioning, topics
from tools.board import files, i2c, options, patches
from tools.verbs import deploy

HELP = "write a node's configuration: Wi-Fi, broker, sensors, credentials of its own"
EXAMPLE = "mote provision --port /dev/ttyUSB0 --name Greenhouse --broker mqtt://192.168.1.10 --wifi my-network"

_LEFT_OUT = "-"
_SHOWN = 20  # nodes, of a fleet
_OF_A_BROKER = ("tls", "path")


def add_arguments(parser):
    options.add_port(parser)
    add_document(parser)
    parser.add_argument("--out", metavar="DIR", help="write DIR/ID.json instead of to a board")
    parser.add_argument("--fleet", metavar="CSV",
                        help="a configuration for each line: columns id, name, area, groups, and any key of "
                             "docs/config.md; needs --out")
    parser.add_argument("--label", metavar="TEXT", default=labels.PLAIN,
                        help="what the QR codes of labels.html say: any key of docs/config.md may stand in braces, "
                             "also a secret one; such as https://example.org/{id} (default " + labels.PLAIN + ")")
    parser.add_argument("--json", action="store_true", help="one JSON object: nodes and the files written, no secrets")


def add_document(parser):
    """What the configuration is made of; `mote up` takes the same."""
    parser.add_argument("--from", dest="template", metavar="FILE",
                        help="start from this configuration (default: the board's own; without one, from nothing)")
    parser.add_argument("--wifi", metavar="SSID",
                        help="the network; its password comes from MOTE_WIFI_PASSWORD, or is asked for")
    parser.add_argument("--id", metavar="NODE", help="what the node is called in topics (default: chip and MAC)")
    parser.add_argument("--name", help="what people call it")
    parser.add_argument("--area", help="the room or place it is in")
    parser.add_argument("--set", dest="assignments", metavar="KEY=VALUE", action="append", default=[],
                        help="any other key of docs/config.md; may be repeated")
    parser.add_argument("--scl", type=int, metavar="PIN", help="I2C clock, when it is not on the board's usual pin")
    parser.add_argument("--sda", type=int, metavar="PIN", help="I2C data")
    parser.add_argument("--acl", metavar="DIR", help="write the broker's access list and password file there")
    parser.add_argument("--engine", choices=sorted(provisioning.PASSWORD_FILES), default="mosquitto",
                        help="which broker's (default mosquitto)")
    parser.add_argument("--credentials", choices=("drawn", "given", "none"),
                        help="how the node logs in: as its id with a password drawn here (default with --acl and "
                             "--fleet), as the user of --broker with MOTE_PASSWORD (default when it names one), or not")
    parser.add_argument("--signed", action="store_true",
                        help="draw a key: the node then obeys only documents that mote signs with it")
    parser.add_argument("--yes", action="store_true", help="ask nothing: take what is given, and what is found")
    connection.add_connection_options(parser)


def run(args):
    if args.fleet:
        return run_fleet(args)
    label = labels.Template(args.label)
    if args.out and not args.id:
        raise errors.UserError("--out needs --id: without a board nobody knows its MAC")
    if args.label != labels.PLAIN and not args.out:
        raise errors.UserError("--label is for the labels.html of --out DIR")
    if args.out:
        document = settled(template(args), args)
        document = complete(document, args, topics.node_id(args.id))
        label.of(args.id, document)  # raises for one that cannot be, before anything is written
        os.makedirs(args.out, exist_ok=True)
        path = os.path.join(args.out, args.id + ".json")
        provisioning.write_secret(path, provisioning.text_of(document))
        return told(args, {args.id: document}, [path], label)
    [name] = options.ports(args)
    with deploy.connected(name) as board:
        try:
            state = files.look(board)
            document = onto_board(board, settled(beginning(board, args), args), args, state)
        except (KeyboardInterrupt, errors.UserError):
            with contextlib.suppress(errors.UserError):
                board.restart()  # it goes on as it was
            raise
        board.restart()
    return told(args, {document["node"]["id"]: document}, [], label)


def run_fleet(args):
    if not args.out:
        raise errors.UserError("--fleet needs --out DIR, where the configurations go")
    label = labels.Template(args.label)
    base = settled(template(args), args)
    documents = provisioning.fleet(args.fleet, base, lambda node: kept_password(os.path.join(args.out, node + ".json")))
    if args.signed:
        documents = {node: signed(document, node) for node, document in documents.items()}
    for node, document in documents.items():
        label.of(node, document)  # raises for one that cannot be, before anything is written
    os.makedirs(args.out, mode=0o700, exist_ok=True)
    paths = [os.path.join(args.out, node + ".json") for node in documents]
    for path, document in zip(paths, documents.values(), strict=True):
        provisioning.write_secret(path, provisioning.text_of(document))
    return told(args, documents, paths, label)


def told(args, documents, paths, label):
    """Write what the broker needs and the labels, and say where everything is. No secret is printed."""
    if args.acl:
        paths = paths + provisioning.write_access(args.acl, args.engine, documents)
    if args.out:
        path = os.path.join(args.out, "labels.html")
        page = labels.page([label.of(node, document) for node, document in documents.items()])
        provisioning.write_secret(path, page.encode(), 0o600 if label.secret else 0o644)
        paths = paths + [path]
    shown = {node: labels.HIDDEN if label.secret else label.of(node, document).code
             for node, document in documents.items()}
    if args.json:
        print(json.dumps({"nodes": sorted(documents), "files": paths, "labels": shown}))
    else:
        for node in _few(documents):
            lines = label.of(node, documents[node]).lines[:-1]
            print(f"{node}: {', '.join(map(topics.text, lines)) or 'no name'}; label: {topics.text(shown[node])}")
        configurations = [path for path in paths if path.endswith(".json")]
        for path in _few(configurations) + [path for path in paths if path not in configurations]:
            print(f"wrote {path}")
        if len(documents) > _SHOWN:
            print(f"{len(documents)} nodes in all, and as many configurations")
        if args.out and label.secret:
            print(f"{path} holds secrets, as --label asks for: it is readable for you alone, keep it so.")
    return errors.DONE


def _few(names):
    """The first ones of many."""
    return list(names)[:_SHOWN]


def template(args):
    """The document to start from."""
    from tools.verbs import run as run_verb

    if args.template:
        return run_verb.read_config(args.template)
    document = run_verb.read_config(os.path.join(ROOT, "config.json.example"))
    return {"schema": 1, "node": {}, "wifi": {}, "mqtt": {"port": document["mqtt"]["port"]}, "sensors": {}}


def onto_board(board, document, args, state):
    """Complete a document for the board at its prompt, write it there, and return it."""
    node = topics.node_id(args.id or document.get("node", {}).get("id") or default_id(state))
    if not document.get("sensors"):
        document = {**document, "sensors": sensors(board, args)}
    document = complete(document, args, node)
    before = patches.stored(board)
    files.write(board, "config.json", provisioning.text_of(document))
    if before and (before["patch"] or "old" in before):
        patches.forget(board, before)
        print(f"{node}: what came over the air, up to revision {before['revision']}, is replaced by this config.json",
              file=sys.stderr)
    keep(node, document)
    return document


def beginning(board, args):
    """The document to start from: that of --from, else what the board at its prompt obeys (None: there is none), so
    that what nothing is said about stays as it is."""
    own = on_it(board) if board and not args.template else {}
    if not own:
        return template(args)
    if args.broker or args.profile:  # how it spoke to its old broker does not count for another one
        own["mqtt"] = {key: value for key, value in own["mqtt"].items() if key not in _OF_A_BROKER}
    return own


def on_it(board):
    """The configuration of the board at its prompt; {} where there is none that a node would obey."""
    said = board.run("try:\n print(open('config.json').read())\nexcept OSError:\n pass")
    try:
        document = desired.parsed(said.encode())
    except desired.ConfigError:
        return {}
    if table.mistakes(document):
        return {}
    over_the_air = patches.stored(board)
    return patches.obeyed(document, over_the_air) if over_the_air else document


def default_id(state):
    """As the node itself would call itself: chip family and the last three bytes of the MAC."""
    family = "".join(letter for letter in state.machine.split(" with ")[-1].lower() if letter.isalnum())[:16]
    return f"{family}-{state.chip_id[6:12]}"


def sensors(board, args):
    """The section for what answers on the board's I2C buses, after the person has agreed."""
    found, remarks = i2c.proposed(i2c.scan(board, args.scl, args.sda))
    for remark in remarks:
        print(f"  {remark}", file=sys.stderr)
    named = {}

    def name_of(answer):
        if answer in named:
            raise errors.UserError(f"{answer} is the name of another one")
        return answer if answer == _LEFT_OUT else provisioning.fitting("sensors", answer, "driver")(answer, "bme280")

    for name, options_ in found.items():
        about = f"{options_['driver']} at 0x{options_['address']:02x} of bus {options_['bus']}"
        answer = asking.ask(args, f"{about}: name ({_LEFT_OUT} leaves it out)", name, name_of)
        if answer != _LEFT_OUT:
            named[answer] = options_
    return named


def settled(document, args):
    """The document with what the options say of network and broker, and what the person answers for what is missing."""
    document = _with_wifi(_with_broker(document, args), args)
    return provisioning.assigned(document, args.assignments)


def _with_broker(document, args):
    mqtt = dict(document.get("mqtt", {}))
    if not (args.broker or args.profile or mqtt.get("host")):
        args.broker = asking.ask(args, "broker (name or address; mqtts://... with TLS)", None, connection.checked)
        if "@" not in args.broker and args.credentials in (None, "given") and not args.acl:
            mqtt.update(_user(args))
    if not (args.broker or args.profile):
        return document
    target = connection.target(args)
    if target.tls and not target.ca:
        args.ca = asking.ask(args, "file with the authority that signed its certificate (PEM)", "",
                             lambda path: path if provisioning.authority(path) else path)
        if not args.ca:
            raise errors.UserError("a node trusts no authority of its own: name the broker's with --ca FILE")
        target = connection.target(args)
    mqtt.update(host=target.host, port=target.port)
    if args.base or args.profile:
        mqtt["base"] = target.base
    if target.tls:
        mqtt["tls"] = provisioning.authority(target.ca)
    if target.user and args.credentials in (None, "given"):
        password = target.password or asking.secret(args, f"password of {target.user} at the broker")
        mqtt.update(user=target.user, password=password)
    return {**document, "mqtt": mqtt}


def _user(args):
    """User and password, where the broker wants them."""
    user = asking.ask(args, "its user name for the node (empty: it wants none)", "",
                      provisioning.fitting("mqtt", "user"))
    if not user:
        return {}
    password = os.environ.get("MOTE_PASSWORD") or asking.secret(args, f"password of {user}",
                                                                provisioning.fitting("mqtt", "password"))
    return {"user": user, "password": password}


def _with_wifi(document, args):
    wifi = document.get("wifi") or {}
    ssid = args.wifi
    if not ssid and not wifi:
        ssid = asking.ask(args, "Wi-Fi network", None, lambda answer: provisioning.fitting("wifi", answer)(answer, {}))
    if not ssid:
        return document
    secret = os.environ.get("MOTE_WIFI_PASSWORD")
    if secret is None:
        secret = asking.secret(args, f"password of {ssid} (empty: an open network)",
                               provisioning.fitting("wifi", ssid, "password"))
    return {**document, "wifi": {**wifi, ssid: {"password": secret}}}


def complete(document, args, node):
    """A whole document for one node, of one that is settled. Raises UserError with every mistake."""
    about = {key: value for key, value in (("name", args.name), ("area", args.area)) if value}
    document = {**document, "node": {**document.get("node", {}), **about, "id": node}}
    if args.scl is not None and args.sda is not None:
        pins = {"scl_pin": args.scl, "sda_pin": args.sda}
        document = {**document, "board": {**document.get("board", {}), **pins}}
    if not document["node"].get("name"):
        document["node"]["name"] = asking.ask(args, "name of the node", node, provisioning.fitting("node", "name"))
        area = args.area or asking.ask(args, "room or place (empty: none)", "", provisioning.fitting("node", "area"))
        document["node"].update({"area": area} if area else {})
    if args.credentials == "drawn" or args.credentials is None and args.acl:
        document = provisioning.with_credentials(document, node, kept_password(kept(node)) or provisioning.password())
    if args.credentials == "none":
        document = {**document, "mqtt": {**document["mqtt"], "user": None, "password": None}}
    if args.signed:
        document = signed(document, node)
    return provisioning.checked(document, "the configuration")


def signed(document, node):
    """The document with the node's key, the one it has or a new one."""
    key = keys.load(node) or keys.create(node)
    return {**document, "config": {**document.get("config", {}), "key": key}}


def kept(node):
    """Where the configuration of a node that was provisioned here is kept, for its owner alone."""
    return os.path.join(os.path.dirname(keys.folder()), "nodes", node + ".json")


def keep(node, document):
    path = kept(node)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    provisioning.write_secret(path, provisioning.text_of(document))


def kept_password(path):
    """The password that was drawn before for the node of this file, so that its board goes on being let in."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)["mqtt"].get("password")
    except (OSError, ValueError, KeyError, AttributeError):
        return None


"""Steers a Home Assistant in a process of its own: see house.py for what it obeys."""

import json
import os
import selectors
import subprocess
import time

START_LIMIT_S = 90  # an import of everything, on a busy machine
ANSWER_LIMIT_S = 60
END_LIMIT_S = 30
LOOK_S = 0.2

# Who has to keep quiet: the integrations, MQTT's and those of its entities, and the templates. Others speak of the
# machine, and 2025.4 of the order in which it sets its own platforms up.
LISTENED_TO = (" homeassistant.components.", " homeassistant.helpers.template")
# After a test its own tidying up makes Home Assistant clear the topic once more.
NOT_OURS = "No device components to cleanup"


class House:
    """`with House(python, folder, port) as house:`; another one on the same folder is a restart. `more` integrations
    are those that the tests of entities do without, as "recorder"."""

    def __init__(self, python, folder, broker_port, *more):
        self.version = None
        self._command = [python, os.path.join(os.path.dirname(__file__), "house.py"), folder, str(broker_port), *more]
        self._log = os.path.join(folder, "house.log")
        self._process = None
        self._folder = folder

    def __enter__(self):
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        self.version = self._answer(START_LIMIT_S)["version"]
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.stdin.close()
            try:
                self._process.wait(END_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stdout.close()

    def restart(self, *more):
        """Stop it and start another, with `more` integrations, on what it kept."""
        self.__exit__()
        self._command += more
        return self.__enter__()

    def ask(self, do, **more):
        """The answer to one command."""
        self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer(ANSWER_LIMIT_S)

    def entities(self):
        """unique id -> what Home Assistant knows of that entity."""
        return self.ask("entities")

    def understood(self, node, entities):
        """entity id -> `options` of the node's document as Home Assistant took them, and those that it `dropped`."""
        return self.ask("understood", device_id=entities[f"{node.id}_restart"]["device_id"])

    def problems(self):
        """Every warning and error of LISTENED_TO since it was last asked."""
        return [line for line in self.ask("problems")
                if NOT_OURS not in line and any(name in line for name in LISTENED_TO)]

    def call(self, service, entity_id, **data):
        """Call a service ("button.press"); returns the error's text, None when it was done."""
        domain, name = service.split(".")
        return self.ask("call", domain=domain, service=name, data={"entity_id": entity_id, **data})

    def wait(self, found, limit_s, what):
        """Wait until `found(entities)` is true and return the entities; AssertionError naming `what` at the limit."""
        deadline = time.monotonic() + limit_s
        while True:
            entities = self.entities()
            if found(entities):
                return entities
            if time.monotonic() > deadline:
                shown = {name: entity["state"] for name, entity in entities.items()}
                raise AssertionError(f"no {what} within {limit_s} s: {shown}; {self.problems()}")
            time.sleep(LOOK_S)

    def _answer(self, limit_s):
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(limit_s):
                raise AssertionError(f"Home Assistant gave no answer within {limit_s} s: {self._tail()}")
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"Home Assistant has ended: {self._tail()}")
        return json.loads(line)

    def _tail(self):
        with open(self._log, errors="replace") as log:
            return log.read()[-2_000:]

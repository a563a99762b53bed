"""The pictures of docs/home-assistant.md: `make pictures`, or `python -m tests.home_assistant.pictures [FOLDER]`.

A real Home Assistant with its own front end, through its own onboarding, a Mosquitto and a real node, looked at in a
headless Chromium.
"""

import json
import os
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from tests.integration.auditor import Auditor
from tests.integration.brokers import Broker
from tools import ROOT

from . import browser, install
from .conftest import Home
from .houses import House
from .test_home_assistant import lives

RELEASE = install.RELEASES[-1]
FOLDER = os.path.join(ROOT, "docs", "pictures")
LIMIT_S = 60
MOST_BYTES = 150_000  # of a picture: they are in the repository
WIDTH, TALL, LOW = 1000, 1840, 620  # of what is seen, in pixels

NODE = "greenhouse"
SENSORS = {
    "air": {"driver": "bme280", "bus": 0, "address": 118},
    "soil": {"driver": "analog", "pin": 32, "kind": "soil", "low_mv": 3000, "high_mv": 1000},
    "door": {"driver": "digital", "pin": 18, "kind": "contact"},
    "bell": {"driver": "digital", "pin": 22, "kind": "press"},
}
SHOWN = ("air_pressure", "soil_moisture", "door_open", "bell_press", "air-interval", "queued", "started")
OWNER = {"name": "Robin", "username": "robin", "password": "only-for-pictures", "language": "en"}


def post(url, path, data, token=None):
    """The answer of Home Assistant's page to JSON, or to a form when `data` is bytes."""
    kind = "application/x-www-form-urlencoded" if isinstance(data, bytes) else "application/json"
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    headers = {"Content-Type": kind, **({"Authorization": "Bearer " + token} if token else {})}
    with urllib.request.urlopen(urllib.request.Request(url + path, body, headers), timeout=LIMIT_S) as answer:
        return json.load(answer)


def onboard(url):
    """Be the first user, as its page does it; returns what the page keeps of a login."""
    client = url + "/"
    code = post(url, "/api/onboarding/users", {**OWNER, "client_id": client})["auth_code"]
    form = {"client_id": client, "code": code, "grant_type": "authorization_code"}
    tokens = post(url, "/auth/token", urllib.parse.urlencode(form).encode())
    post(url, "/api/onboarding/analytics", {}, tokens["access_token"])
    post(url, "/api/onboarding/integration", {"client_id": client, "redirect_uri": client}, tokens["access_token"])
    return {**tokens, "hassUrl": url, "clientId": client, "expires": 1000 * (time.time() + tokens["expires_in"])}


def text(words):
    """A condition for Browser.wait: an element that itself says this."""
    return f"[...e.childNodes].some(n => n.nodeType == 3 && n.data.trim() == {json.dumps(words)})"


class Album:
    """Takes pictures of the pages of a Home Assistant into a folder."""

    def __init__(self, window, url, folder):
        self._window, self._url, self._folder = window, url, folder

    def take(self, name):
        """One PNG of the page as it is shown; AssertionError when it is too large to be kept."""
        size = self._window.picture(os.path.join(self._folder, name + ".png"))
        print(f"{name}.png: {size} bytes", flush=True)
        assert size <= MOST_BYTES, name

    def open(self, device_id):
        """The page of the node."""
        self._window.go(f"{self._url}/config/devices/device/{device_id}")
        for words in ("Greenhouse", "Sensors", "Configuration", "Diagnostic", "Interval of air",
                      "Readings queued"):
            self._window.wait(text(words))

    def device(self, device_id):
        """That page, tall enough for all of its entities."""
        self._window.resize(WIDTH, TALL)
        self.open(device_id)
        self.take("device")

    def refused(self, device_id, entity_id):
        """A number out of range, typed into its box on that page."""
        self._window.resize(WIDTH, LOW)
        self.open(device_id)
        self._window.run(f"""(() => {{
          const row = seek(e => e.localName == "hui-number-entity-row" && e._config.entity == {json.dumps(entity_id)});
          const box = seek(e => e.localName == "input", row.shadowRoot);
          row.scrollIntoView({{block: "center"}});
          box.value = "100000";
          box.dispatchEvent(new Event("input", {{bubbles: true, composed: true}}));
          box.dispatchEvent(new Event("change", {{bubbles: true, composed: true}}));
        }})()""")
        self._window.wait("[...e.childNodes].some(n => n.nodeType == 3 && n.data.includes('outside valid range'))")
        self.take("refused")

    def more(self, name, entity_id, *words):
        """The dialog of one entity."""
        self._window.resize(WIDTH, LOW)
        detail = json.dumps({"detail": {"entityId": entity_id}, "bubbles": True, "composed": True})
        self._window.run(f"document.querySelector('home-assistant').dispatchEvent("
                         f"new CustomEvent('hass-more-info', {detail}))")
        for each in words:
            self._window.wait(text(each))
        self.take(name)


def take_all(folder, place):
    """Take every picture into `folder`, all else into `place`."""
    os.makedirs(folder, exist_ok=True)
    os.mkdir(os.path.join(place, "house"))
    with Broker("mosquitto", place) as broker, Auditor(broker.port) as auditor, \
            House(install.python_of(RELEASE), os.path.join(place, "house"), broker.port, "recorder") as house, \
            browser.Browser(place, WIDTH, TALL) as window:
        home = Home(place, broker, house, auditor)
        url = house.ask("face")["url"]
        tokens = onboard(url)
        node = home.start(NODE, sensors=SENSORS, node={"name": "Greenhouse", "area": "Garden"},
                          telemetry={"interval_s": 30, "diagnostics_s": 60})
        try:
            entities = house.wait(lives(node, *SHOWN), LIMIT_S, "state of all that is shown")
            window.before_each_page(f"localStorage.setItem('hassTokens', {json.dumps(json.dumps(tokens))});"
                                    f"localStorage.setItem('dockedSidebar', '\"always_hidden\"')")
            album = Album(window, url, folder)
            device_id = entities[NODE + "_interval"]["device_id"]
            album.device(device_id)
            album.more("event", entities[NODE + "_bell_press"]["entity_id"], "Button", "History", "Activity")
            album.refused(device_id, entities[NODE + "_interval"]["entity_id"])
        finally:
            node.end()


def main(folder=FOLDER):
    if not (browser.PATH and install.python_of(RELEASE)):
        print("Pictures: they need chromium and `make test-ha`", file=sys.stderr)
        return 2
    install.face(RELEASE)
    with tempfile.TemporaryDirectory(prefix="mote-pictures-") as place:
        take_all(folder, place)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))

"""A headless Chromium, steered over its DevTools protocol: https://chromedevtools.github.io/devtools-protocol/."""

import base64
import json
import os
import re
import shutil
import subprocess
import time

import websockets.sync.client

PATH = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_LIMIT_S = 60
ANSWER_LIMIT_S = 60
END_LIMIT_S = 10

# `seek(what)`: the first element that `what` accepts, looked for in every shadow tree, too. `shown(found, limit_ms)`
# looks at each frame that is drawn, and for one that has come to rest: twice the same place.
_HELPERS = """
window.seek = (what, root = document) => {
  for (const element of root.querySelectorAll("*")) {
    if (what(element)) return element;
    const inner = element.shadowRoot && seek(what, element.shadowRoot);
    if (inner) return inner;
  }
  return null;
};
window.place = element => {  // of what is in it: a slot has none of its own
  const range = document.createRange();
  range.selectNodeContents(element);
  const box = range.getBoundingClientRect();
  return box.width ? [box.x, box.y, box.width, box.height].join() : "";
};
window.shown = (found, limit_ms) => new Promise((resolve, reject) => {
  const until = performance.now() + limit_ms;
  let before = "";
  const look = () => {
    const element = found(), now = element ? place(element) : "";
    if (now && now == before) return resolve(now);
    before = now;
    if (performance.now() > until) return reject(new Error("not shown: " + found));
    setTimeout(look, 100);
  };
  look();
});
"""


class Browser:
    """`with Browser(folder, width, height) as browser:`, its profile and its log in `folder`."""

    def __init__(self, folder, width, height):
        self._folder = folder
        self._size = f"{width},{height}"
        self._process = self._socket = self._session = None
        self._number = 0

    def __enter__(self):
        log = os.path.join(self._folder, "browser.log")
        with open(log, "wb") as file:
            self._process = subprocess.Popen(
                [PATH, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--lang=en-GB",
                 f"--window-size={self._size}", f"--user-data-dir={self._folder}/profile",
                 "--remote-debugging-port=0", "about:blank"],
                stdout=file, stderr=file, env={**os.environ, "HOME": self._folder, "LANGUAGE": "en_GB"})
        try:
            self._socket = websockets.sync.client.connect(self._address(log), max_size=None)
            target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
            self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
            self.call("Page.enable")
            self.before_each_page(_HELPERS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._socket:
            self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _address(self, log):
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with open(log, errors="replace") as file:
                found = re.search(r"DevTools listening on (ws://\S+)", file.read())
            if found:
                return found[1]
            time.sleep(0.05)
        raise AssertionError(f"{PATH} does not start: see {log}")

    def call(self, method, **parameters):
        """The result of one command of the protocol. Raises AssertionError when it is refused."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters, **session}))
        while (answer := json.loads(self._socket.recv(ANSWER_LIMIT_S))).get("id") != self._number:
            pass
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def before_each_page(self, script):
        """Run this JavaScript before any of a page's own."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def go(self, url):
        """Load a page; what it shows is to be waited for."""
        self.call("Page.navigate", url=url)

    def run(self, script):
        """The value of a JavaScript expression, awaited. Raises AssertionError with what the page said."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"].get("exception", {}).get("description", found))
        return found["result"].get("value")

    def wait(self, what, limit_s=30):
        """Wait until an element that the JavaScript condition `what` (of `e`) accepts is shown and at rest."""
        self.run(f"shown(() => seek(e => {what} && place(e)), {1000 * limit_s})")

    def resize(self, width, height):
        """The size of what is seen, in pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, file):
        """Write what is seen as PNG."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png", optimizeForSpeed=False)["data"])
        with open(file, "wb") as out:
            out.write(data)
        return len(data)

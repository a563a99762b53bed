"""What has been heard in a trial so far, by a node that is always there. Only lent, and kept while the trial lasts."""


class Tryout:
    """Begins now, at `now` (uptime, ms); over at `over_ms`. `nonce` is to be published by the new connection, `chance`
    (from 0 to below 1) is where it comes from. `settings` and `link` are the node's own."""

    def __init__(self, settings, link, now, chance):
        self.over_ms = now + 1000 * settings.effective["config"]["trial_s"]
        self.nonce = b"%d" % int(chance * 2**30)
        self._settings = settings
        self._link = link
        self._echoed = self._came = False
        link.fault = None

    def hear(self, kind, payload):
        """Take note of what came, if by the new connection. A document is followed after this, and none that came
        before it: then `settings.found` speaks of this one."""
        if self._link.obeys is self._settings.effective:
            if kind == "probe":
                self._echoed = self._echoed or payload == self.nonce
            elif kind == "config":
                self._came, self._settings.found = True, False

    def good(self):
        """Whether the node has heard itself, which an acknowledgement does not prove; and, where it was sent to another
        broker, has found there what sent it: any broker that lets everybody in has an echo."""
        return self._echoed and (not self._settings.moved or self._came and bool(self._settings.found))

    def fault(self):
        """Why it is not good, or None."""
        mqtt = self._settings.effective["mqtt"]
        lost = "heard itself at %s:%d, but did not find this document there: publish it, retained, at that broker, too"
        return lost % (mqtt["host"], mqtt["port"]) if self._echoed else self._link.fault

"""The computer that the node runs on: CPU temperature, load, memory and disk, from Linux's /proc and /sys."""

import os


class Driver:
    """No options. What the computer lacks is None; OSError where there is no /proc, as on an ESP32."""

    root = ""

    def __init__(self, board, options):
        self._thermometer = None
        self.quantities = (
            ("cpu_temperature", "m", "°C", 1, "temperature", -40, 150),
            ("load", "m", None, 2, None, 0, 10000),
            ("memory_used", "m", "%", 1, None, 0, 100),
            ("disk_used", "m", "%", 1, None, 0, 100),
        )

    def start(self):
        """Looks for the processor's thermometer at the first time; nothing to wait for."""
        os.stat(self.root + "/proc")
        if self._thermometer is None:
            self._thermometer = self._find("/sys/class/thermal/", "/type", "/temp")
            if not self._thermometer:
                self._thermometer = self._find("/sys/class/hwmon/", "/name", "/temp1_input")
        return 0

    def read(self):
        """(°C, processes that ran or wanted to in the last minute, % of memory, % of the root disk)"""
        heat = self._words(self._thermometer)
        load = self._words("/proc/loadavg")
        return (
            int(heat[0]) / 1000 if heat else None,
            float(load[0]) if load else None,
            self._memory_percent(),
            self._disk_percent(),
        )

    def _memory_percent(self):
        words = self._words("/proc/meminfo")
        if "MemAvailable:" not in words:
            return None
        return 100 - int(words[words.index("MemAvailable:") + 1]) * 100 / int(words[1])

    def _disk_percent(self):
        # As df counts: what only root may use is neither used nor free.
        disk = os.statvfs(self.root or "/")
        used = disk[2] - disk[3]
        return used * 100 / (used + disk[4]) if used + disk[4] else None

    def _find(self, folder, name, value):
        """Path of the first thermometer whose name is a processor's (ARM, Intel, AMD), or an empty one."""
        try:
            entries = sorted(os.listdir(self.root + folder))
        except OSError:
            return ""
        for entry in entries:
            text = " ".join(self._words(folder + entry + name))
            for word in ("cpu", "soc", "pkg", "core", "k10"):
                if word in text:
                    return folder + entry + value
        return ""

    def _words(self, path):
        try:
            with open(self.root + path) as file:
                return file.read(256).split()
        except OSError:
            return ()

"""lib/mqtt for others: what docs/mqtt.md says runs as it stands, and mip installs it on the real interpreter."""

import functools
import http.server
import json
import pathlib
import re
import shutil
import subprocess
import threading

import pytest

from tools import ROOT, brokers, micropython

LIB = pathlib.Path(ROOT, "lib")
TEXT = pathlib.Path(ROOT, "docs", "mqtt.md").read_text()
LISTED = [name for name, _ in json.loads((LIB / "package.json").read_text())["urls"]]

needs_micropython = pytest.mark.skipif(not micropython.available(), reason="no MicroPython for this machine")


def run(folder, code):
    """What MicroPython prints that has nothing of ours but what is in `folder`."""
    done = subprocess.run(
        micropython.command("-c", code), env=micropython.environment(str(folder)), cwd=folder, capture_output=True,
        text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def site():
    """The address of a web server that has lib/."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=LIB)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def publish(folder):
    """Run the first example of the page with what is in `folder`."""
    (folder / "example.py").write_text(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL).group(1))
    with brokers.Broker(brokers.choose()) as broker:
        code = (f"import asyncio, example; asyncio.run(example.main('127.0.0.1', {broker.port})); "
                "print('acknowledged')")
        assert run(folder, code).strip() == "acknowledged"


@needs_micropython
def test_the_example_publishes_from_what_mip_installed(site, tmp_path):
    run(tmp_path, f"import mip; mip.install('{site}/package.json', target='.')")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(LISTED)
    publish(tmp_path)


@needs_micropython
def test_the_example_publishes_from_the_files_that_the_page_names(tmp_path):
    files = {what: names.split() for what, names in re.findall(r"^\| (.*?) \| `(.*?)` \|$", TEXT, re.MULTILINE)}
    assert sorted(sum(files.values(), [])) == sorted(LISTED)
    for name in files["MQTT 3.1.1 over TCP"]:
        shutil.copy(LIB / name, tmp_path)
    publish(tmp_path)


def test_the_package_has_all_that_its_files_import():
    ours = {path.stem for path in LIB.glob("*.py")}
    needed = set()
    for name in LISTED:
        text = (LIB / name).read_text()
        needed |= set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE)) & ours
        needed |= set(re.findall(r'(?:lend\(|packets = |asking_module = )"(\w+)"', text))
    assert {"mqtt_packets", "mqtt5_properties", "mqtt_asking"} <= needed
    assert {f"{name}.py" for name in needed} <= set(LISTED)

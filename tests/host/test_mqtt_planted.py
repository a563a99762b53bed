"""Bugs planted in the MQTT client: each makes the test fail that is for it."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tools import ROOT

LIB = pathlib.Path(ROOT, "lib")
RUN = """
import sys, importlib, run
module = importlib.import_module(sys.argv[1])
sys.exit(0 if run.run_one(getattr(module, sys.argv[2])) else 3)
"""
FAILED = 3

# What it is: file, what stands there, what is planted, module and name of the test.
BUGS = {
    "packet id that does not wrap": (
        "mqtt_writer.py", "self.next = (self.next + 1) % self.ids", "self.next = self.next + 1",
        "test_mqtt_begin", "test_packet_ids_wrap_and_keep_their_order_whatever_the_window"),
    "no DUP": (
        "mqtt_session.py", "retain | 8", "retain", "test_mqtt_session",
        "test_what_was_in_flight_is_sent_again_in_its_order_with_dup_and_its_id"),
    "new packet id for what is sent again": (
        "mqtt_session.py", "client.next = number % client.ids", "client.next = (number + 1) % client.ids",
        "test_mqtt_session", "test_what_was_in_flight_is_sent_again_in_its_order_with_dup_and_its_id"),
    "will that is not retained": (
        "mqtt_packets.py", "(32 if will[2] else 0)", "0", "test_codec", "test_connect_flags_one_by_one"),
    "will of MQTT 5 that is not retained": (
        "mqtt5_packets.py", "(32 if will[2] else 0)", "0", "test_mqtt5",
        "test_connect_has_properties_of_the_session_and_of_the_will"),
    "window that is ignored": (
        "mqtt_writer.py", "return self.tokens[self.next % len(self.tokens)] is not None", "return False",
        "test_mqtt", "test_a_full_window_lets_nothing_in_until_an_acknowledgement"),
    "receive maximum that is ignored": (
        "mqtt5.py", "len(self.unacknowledged()) >= most", "False", "test_mqtt5", "test_what_connack_says_is_obeyed"),
    "acknowledgement that nobody waits for": (
        "mqtt.py", "if self.waits(number):", "if True:", "test_mqtt",
        "test_an_acknowledgement_that_nobody_waits_for_is_ignored"),
    "acknowledged before it was taken": (
        "mqtt.py", "            if self.on_message:\n", "            self.append(bytes((_PUBACK, 2, 0, 7)))\n"
        "            self.flush()\n            if self.on_message:\n",
        "test_mqtt", "test_a_message_that_was_not_taken_is_not_acknowledged"),
    "silence that is not noticed": (
        "mqtt.py", "self.pinged -= self.pinged > 0", "self.pinged -= 0", "test_mqtt_deadlines",
        "test_a_broker_that_is_silent_is_given_up"),
    "lost PUBACK that is not noticed": (
        "mqtt.py", "stuck - 1 if stuck and oldest == before else patience", "patience", "test_mqtt_deadlines",
        "test_a_publish_that_is_never_acknowledged_ends_the_connection"),
    "length that is believed": (
        "mqtt_long.py", "if end - start <= client.limit_bytes + _TOPIC_BYTES:", "if True:", "test_mqtt_fuzz",
        "test_an_announced_length_takes_no_memory_beyond_the_limit"),
}


def outcome(folder, module, test):
    """Exit status of one device test with the library in `folder`."""
    path = os.pathsep.join([str(folder), os.path.join(ROOT, "tests", "device"), ROOT])
    done = subprocess.run(
        [sys.executable, "-c", RUN, module, test], env={**os.environ, "PYTHONPATH": path}, cwd=ROOT, timeout=60,
        capture_output=True, text=True)
    assert done.returncode in (0, FAILED), done.stderr[-1000:]
    return done.returncode


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug, tmp_path):
    file, stands, planted, module, test = BUGS[bug]
    folder = tmp_path / "lib"
    shutil.copytree(LIB, folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / file).read_text()
    assert text.count(stands) == 1, f"{file} has this {text.count(stands)} times: {stands}"
    assert outcome(folder, module, test) == 0
    (folder / file).write_text(text.replace(stands, planted))
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    assert outcome(folder, module, test) == FAILED

"""Our MQTT client beside others, in one run, on MicroPython: `mote bench mqtt`. What is measured, and how.

The scripts that run on MicroPython are in tools/benches/clients: one adapter per client, one program that measures it.
"""

import collections
import concurrent.futures
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from tools import ROOT, brokers, build, errors, micropython, peers, rom, sink, slow_link

PARTS = ("rates", "wake", "memory", "rom", "heap", "instructions")
RTTS_MS = (0, 20, 100)
WAKE_RTTS_MS = (20, 100)
COUNT = 2_000  # messages of a rate over a link
SLOW_MS = 1_000  # the time that a client has which sends fewer
ROUNDS = 3
SHORT_RTT_MS = 50
WAKES = 3
HEAP_LOW_KIB, HEAP_HIGH_KIB = 6, 256
HEAP_COUNTS = (980, 20)  # messages at QoS 0 and 1 that must go through
INSTRUCTION_COUNTS = (400, 1_200)  # the difference leaves out the start

_SCRIPTS = os.path.join(ROOT, "tools", "benches", "clients")
_COMPILED = os.path.join(ROOT, "build", "bench_mqtt")
_HEAP = "256k"  # what the largest of them works in, so that collections are of their usual size
_LARGE_HEAP = "8m"  # where nothing may be collected while it is counted, or thousands of messages are in flight
_INSTRUCTIONS_HEAP = "256k"
_LIMIT_S = 60
_PUBLISH_LIMIT_S = 15  # a client that ran out of memory may hang
_turns = itertools.count()
# The image has to stay in the memory of the process that becomes the interpreter.
_ROM_LAUNCH = """
import sys
import micropython_unix
from tools import rom
with open(sys.argv[1], "rb") as file:
    memory, mount = rom.mounted(file.read())
program = mount + "import sys; sys.path.pop(0); import measure"
sys.exit(micropython_unix.run_main(["micropython", "-X", "heapsize=" + sys.argv[2], "-c", program, *sys.argv[3:]]))
"""
_COLLECTED = re.compile(r"Collected : (\d+)")

# `modules` are what a program imports to publish; `path` is where they are.
Subject = collections.namedtuple("Subject", "name version adapter modules path")


def subjects(names=None, told=print):
    """Floor, our client and its peers, or those of `names`, all compiled and in place.

    A peer that cannot be fetched now is left out and `told` why; one that was named raises UserError instead.
    """
    build.build()
    for file in os.listdir(_SCRIPTS):
        with open(os.path.join(_SCRIPTS, file), encoding="utf-8") as source:
            build.compile_text(source.read(), os.path.join(_COMPILED, file[:-3] + ".mpy"), name=file[:-3])
    found = [Subject("floor", "", "client_floor", (), _COMPILED),
             Subject("mote", "", "client_mote", ("mqtt",), build.path()[1])]
    found = [subject for subject in found if not names or subject.name in names]
    for peer in peers.PEERS:
        if not names or peer.name in names:
            try:
                path = peers.install(peer)
            except errors.UserError as error:
                if names or error.status != errors.UNREACHABLE:
                    raise
                told(f"mote: without {peer.name}: {error}")
                continue
            adapter = "client_" + peer.name.rpartition(".")[2]
            found.append(Subject(peer.name, peer.version, adapter, _IMPORTS[peer.name], path))
    return found


_IMPORTS = {
    "umqtt.simple": ("umqtt.simple",), "umqtt.simple2": ("umqtt.simple2",), "umqtt.robust2": ("umqtt.robust2",),
    "chumicro": ("chumicro_mqtt.client", "chumicro_sockets.sockets_factory", "chumicro_timing.ticks"),
    "aiomqttc": ("aiomqttc",),
}


def measure(found, parts, progress):
    """{"link": its kind, "broker", "clients": name -> figures}; what a client cannot do is None, what was not asked for
    is left out. `progress` is called with a line of text before each step."""
    figures = {subject.name: {} for subject in found}
    with brokers.Broker() as broker:
        _count(found, parts, broker, progress, figures)
        if "rates" in parts:
            _rates_over_loopback(found, broker, progress, figures)
    link = slow_link.best(max(RTTS_MS)).kind if {"rates", "wake"} & set(parts) else None
    for rtt_ms in RTTS_MS[1:] if link else ():
        with slow_link.best(rtt_ms) as line, line.far():
            _over_link(found, parts, progress, rtt_ms, line, figures)
    return {"link": link, "broker": broker.engine, "clients": figures}


def _count(found, parts, broker, progress, figures):
    """What is counted, not timed: several at once, as they do not disturb one another."""
    jobs = [(part, subject) for part in _COUNTS for subject in found if part in parts]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda job: _COUNTS[job[0]](job[1], broker), jobs)
        for (part, subject), result in zip(jobs, results, strict=True):
            progress(f"{part} of {subject.name}")
            figures[subject.name].update(result)


def _rates_over_loopback(found, broker, progress, figures):
    """Medians of several rounds: what else this machine does now meets all clients alike."""
    results = {subject.name: [] for subject in found}
    with sink.Sink() as reader:
        for turn in range(ROUNDS):
            for subject in found:
                progress(f"rates of {subject.name} over loopback, {turn + 1} of {ROUNDS}")
                results[subject.name].append({
                    "qos0_sink_per_s": _run(subject, "rate0", reader.host, reader.port)["per_s"],
                    "qos0_per_s": _run(subject, "rate0", broker.host, broker.port)["per_s"],
                    "qos1_per_s":
                        _run(subject, "rates", broker.host, broker.port, COUNT, COUNT, SLOW_MS)["qos1_per_s"]})
    for subject in found:
        rows = results[subject.name]
        _note_rates(figures, subject, 0, {key: statistics.median(row[key] for row in rows) for key in rows[0]})


def _over_link(found, parts, progress, rtt_ms, line, figures):
    """Rates and wake cycles at one round trip."""
    for nodelay in (True, False):
        with brokers.Broker(host=line.host, tcp_nodelay=nodelay) as broker:
            address = line.address(broker.port)
            if nodelay and "rates" in parts:
                _rates_over_link(found, progress, rtt_ms, line, address, figures)
            if "wake" in parts and rtt_ms in WAKE_RTTS_MS and (nodelay or broker.engine == "mosquitto"):
                for subject in found:
                    progress(f"wake cycles of {subject.name} at {rtt_ms} ms")
                    name = "wake_rtts" if nodelay else "wake_default_rtts"
                    rtts = _wake(subject, address, line) / rtt_ms
                    figures[subject.name].setdefault(name, {})[str(rtt_ms)] = round(rtts, 2)


def _rates_over_link(found, progress, rtt_ms, line, address, figures):
    rounds = ROUNDS if rtt_ms <= SHORT_RTT_MS else 1  # what else the machine does is much of a short round trip
    for subject in found:
        progress(f"rates of {subject.name} at {rtt_ms} ms")
        rows = []
        for _ in range(rounds):
            rows.append(_run(subject, "rates", *address, COUNT, COUNT, SLOW_MS, near=line.near, heap=_LARGE_HEAP))
            line.span_ms()
        _note_rates(figures, subject, rtt_ms, {key: statistics.median(row[key] for row in rows) for key in rows[0]})


def _note_rates(figures, subject, rtt_ms, result):
    for name, rate in result.items():
        figures[subject.name].setdefault(name, {})[str(rtt_ms)] = round(rate, 1)


def _wake(subject, address, line):
    """Median milliseconds of a wake cycle on the wire."""
    _run(subject, "wake", *address, WAKES, near=line.near)
    return statistics.median(line.span_ms() for _ in range(WAKES))


def _memory(subject, broker):
    found = _run(subject, "memory", broker.host, broker.port, ",".join(subject.modules), heap=_LARGE_HEAP)
    sizes = [_size(subject.path, module) for module in found.pop("modules")]
    return {**found, "mpy_bytes": sum(sizes)}


def _rom_memory(subject, broker):
    """The same for code that runs where it lies, as on a board with ROMFS: what is left is what it needs to run."""
    if subject.path == _COMPILED:
        return {"rom_connected_bytes": None}
    with tempfile.TemporaryDirectory(prefix="mote-rom-") as folder:
        image = os.path.join(folder, "image")
        with open(image, "wb") as file:
            file.write(rom.of_folder(subject.path))
        arguments = (subject.adapter, "memory", broker.host, str(broker.port), ",".join(subject.modules))
        command = [sys.executable, "-c", _ROM_LAUNCH, image, _LARGE_HEAP, *arguments]
        return {"rom_connected_bytes": _result(subject, "memory", command, _LIMIT_S, [_COMPILED, *rom.path()])[
            "connected_bytes"]}


def _size(folder, module):
    """Bytes of bytecode of a module, 0 when it is none of that folder."""
    stem = os.path.join(folder, module.replace(".", "/"))
    for name in (stem + ".mpy", stem + "/__init__.mpy"):
        if os.path.exists(name):
            return os.path.getsize(name)
    return 0


def _smallest_heap(subject, broker):
    """KiB of the smallest heap in which every publish succeeds."""
    low, high = HEAP_LOW_KIB, HEAP_HIGH_KIB  # low is taken to fail, high to succeed
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(subject, broker, middle):
            high = middle
        else:
            low = middle
    return {"smallest_heap_kib": high}


def publish(subject, broker, count0, count1, heap=_HEAP):
    """Let a client publish so many messages at QoS 0 and at QoS 1, and nothing else."""
    return _run(subject, "publish", broker.host, broker.port, count0, count1, heap=heap, limit_s=_PUBLISH_LIMIT_S)


def _fits(subject, broker, kib):
    try:
        publish(subject, broker, *HEAP_COUNTS, heap=f"{kib}k")
    except (errors.UserError, subprocess.TimeoutExpired):
        return False
    return True


def _instructions(subject, broker):
    """Instructions in user space for a publish at QoS 0; None without valgrind."""
    if not shutil.which("valgrind"):
        return {"instructions": None}
    few, more = (_counted(subject, broker, count) for count in INSTRUCTION_COUNTS)
    return {"instructions": round((more - few) / (INSTRUCTION_COUNTS[1] - INSTRUCTION_COUNTS[0]))}


def _counted(subject, broker, count):
    command = _command(subject, "publish", (broker.host, broker.port, count, 0), _INSTRUCTIONS_HEAP)
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command], capture_output=True, text=True,
        env={**environment(subject), "PYTHONHASHSEED": "0"}, timeout=_LIMIT_S)
    found = _COLLECTED.search(done.stderr)
    if done.returncode or not found:
        raise errors.UserError(f"{subject.name} under valgrind: {(done.stdout + done.stderr)[-600:]}", errors.FAILED)
    return int(found[1])


_COUNTS = {"memory": _memory, "rom": _rom_memory, "heap": _smallest_heap, "instructions": _instructions}


def _command(subject, what, arguments, heap):
    return micropython.command("-m", "measure", subject.adapter, what, *map(str, arguments), heap=heap)


def environment(subject, path=None):
    """Of a process that runs this client, under a name that no other one has at the same time."""
    folders = path or [_COMPILED, subject.path]
    return {**micropython.environment(*folders), "MOTE_BENCH_CLIENT": f"b{next(_turns) % 10_000:04}"}


def _run(subject, what, *arguments, heap=_HEAP, limit_s=_LIMIT_S, near=list):
    """What the program measured; `near` makes a command line one of the link's near end."""
    return _result(subject, what, near(_command(subject, what, arguments, heap)), limit_s)


def _result(subject, what, command, limit_s, path=None):
    done = subprocess.run(
        command, env=environment(subject, path), cwd=ROOT, capture_output=True, text=True, timeout=limit_s)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-600:]
        raise errors.UserError(f"{what} of {subject.name} failed:\n{said}", errors.FAILED)
    return json.loads(done.stdout)

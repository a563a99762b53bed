"""`mote broker`: a broker on loopback, for demos and tests."""

import json
import signal
import textwrap

from tools import brokers, errors

HELP = "run an MQTT broker on this computer, for demos and tests"
EXAMPLE = "mote broker --port 1883"


def add_arguments(parser):
    parser.description = textwrap.fill(
        HELP + ". It listens on loopback only, lets everybody in and forgets everything when it ends. When it takes "
        "connections, one line of JSON tells its ports and the broker's own process id; Ctrl-C ends it.", 100)
    parser.add_argument("--port", type=int, default=1883, metavar="N", help="MQTT port, 0: a free one (default 1883)")
    parser.add_argument("--ws-port", type=int, default=0, metavar="N",
                        help="port for MQTT over WebSocket, 0: a free one (default 0)")
    parser.add_argument("--engine", choices=("mosquitto", "iotcore"),
                        help="default: Mosquitto when it is installed, else the embedded iotcore (rumqttd)")


def run(args):
    for port in (args.port, args.ws_port):
        if not 0 <= port <= 65535:
            raise errors.UserError(f"{port} is not a port: 1 to 65535, or 0 for a free one")
    broker = brokers.Broker(args.engine, args.port, args.ws_port)
    for number in (signal.SIGINT, signal.SIGTERM):  # shells start background programs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with broker:
            print(json.dumps({"engine": broker.engine, "host": broker.host, "port": broker.port,
                              "ws_port": broker.ws_port, "pid": broker.pid}), flush=True)
            last_words = broker.wait()
    except KeyboardInterrupt:
        return errors.DONE
    raise errors.UserError(f"{broker.engine} ended by itself: {last_words}", errors.UNREACHABLE)

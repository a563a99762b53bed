"""A wake on umqtt.simple: connect, ask for the desired configuration, send the readings, say `sleeping`, disconnect.

Arguments: host, port, readings, how many times.
"""

import sys

from umqtt.simple import MQTTClient


def main(host, port, readings, times):
    for _ in range(int(times)):
        client = MQTTClient("bench-umqtt", host, int(port), keepalive=60)
        client.set_last_will("mote/bench-umqtt/status", b"offline", True, 1)
        client.set_callback(lambda topic, payload: None)
        client.connect()
        client.subscribe("mote/bench-umqtt/config/set", 1)
        for number in range(int(readings)):
            text = b'{"ts":1795378692,"boot":385053389,"seq":%d,"temperature":24.49,"humidity":41.7}' % number
            client.publish("mote/bench-umqtt/telemetry/pin_%d" % number, text, True, 1)
        client.publish("mote/bench-umqtt/status", b"sleeping", True, 1)
        client.check_msg()
        client.disconnect()


main(*sys.argv[1:])

"""The same as publish.py with umqtt.simple, which ESP32 images carry: what most programs publish with today."""

import json
import sys
import time

from umqtt.simple import MQTTClient

TOPIC = b"mote/bench"
PAYLOAD = b"x" * 100
SLOW_COUNT = 50  # at QoS 1 each message waits some 44 ms for TCP, as it is written in five pieces


def rate(client, count, qos):
    """Messages per second; a last one at QoS 1 tells that the broker has them all."""
    started = time.time()
    for _ in range(count):
        client.publish(TOPIC, PAYLOAD, False, qos)
    client.publish(TOPIC, PAYLOAD, False, 1)
    return int(count / (time.time() - started))


def main(host, port, count):
    client = MQTTClient("bench", host, port)
    client.connect()
    found = {"qos0_per_s": rate(client, count, 0), "qos1_per_s": rate(client, min(count, SLOW_COUNT), 1)}
    found["qos0_garbage_bytes"] = found["qos1_garbage_bytes"] = None
    client.disconnect()
    print(json.dumps(found))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

"""What a fleet of sensor nodes does, for Locust: each user publishes a reading a second at QoS 1."""

import json
import os
import time

from locust import constant_pacing, task
from locust.contrib.mqtt import MqttUser


class Node(MqttUser):
    """One client. Its first publish waits for its CONNACK."""

    host = "127.0.0.1"
    port = int(os.environ["FLEET_PORT"])
    wait_time = constant_pacing(1)

    def on_start(self):
        while not self.client.is_connected():
            time.sleep(0.05)
        self.seq = 0

    @task
    def publish(self):
        self.seq += 1
        self.client.publish("mote/locust/telemetry/air", json.dumps({
            "ts": int(time.time()), "boot": 1, "seq": self.seq, "temperature": 21.57, "humidity": 48.2}), qos=1)

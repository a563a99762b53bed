"""umqtt.robust2: umqtt.simple2 with a queue of five, which limits what is in flight."""

import client_simple2
from umqtt.robust2 import MQTTClient

LOOP = False


class Bench(client_simple2.Bench):
    at_once = 4
    client_class = MQTTClient

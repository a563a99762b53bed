"""What sits at the broker's address is not a broker, or a broken one: the node backs off, tries again, and lives."""

import time

import pytest

from . import servers

START_LIMIT_S = 30
GIVE_UP_S = 25  # the node's deadline for an answer (5 s), for each of CONNACK and SUBACK, and its pauses between
BEAR_S = 60  # how long a packet that never ends may hold a session up
BACK_LIMIT_S = 15


@pytest.mark.parametrize("name", servers.HOSTILE)
def test_node_outlives_a_server_that_is_no_broker(world, name):
    """It meets the server, gives it up and comes again; then the broker is back and so is the node."""
    node, proxy = world.start_node(world.proxy.port), world.proxy
    world.auditor.wait_message(node.topic("telemetry/air"), START_LIMIT_S)
    limit_s = BEAR_S if "never ends" in name else GIVE_UP_S
    with servers.hostile(name) as server:
        proxy.upstream_port = server.port
        since = time.monotonic()
        proxy.reset()
        proxy.wait(lambda: len([t for t in proxy.accepted if t >= since]) >= 2, limit_s, "second try")
    proxy.upstream_port = world.broker.port
    since = time.monotonic()
    proxy.reset()
    world.auditor.wait_message(node.topic("telemetry/air"), BACK_LIMIT_S, since)
    world.auditor.wait_message(node.topic("status"), BACK_LIMIT_S, since, lambda m: m.payload == b"online")

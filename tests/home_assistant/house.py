"""A real Home Assistant without a face, run by the Python that it is installed in: `house.py FOLDER BROKER_PORT
[INTEGRATION ...]`.

It sets up its MQTT integration and nothing else that looks outside. Commands come as lines of JSON on standard input,
each answered by one line on standard output; it ends with its input. What it keeps is in FOLDER, so that another one
on the same folder is a restart.
"""

import asyncio
import datetime
import importlib
import json
import logging
import os
import socket
import sys

from homeassistant import auth, bootstrap, config_entries, core, core_config, loader
from homeassistant.components.mqtt import debug_info
from homeassistant.const import __version__
from homeassistant.helpers import area_registry, device_registry, entity_registry, storage
from homeassistant.helpers import recorder as recorder_helper
from homeassistant.setup import async_setup_component

PROBLEMS = []


class Collector(logging.Handler):
    """Keeps every warning and error, whoever it comes from."""

    def emit(self, record):
        cause = f" ({record.exc_info[1]!r})" if record.exc_info else ""
        PROBLEMS.append(f"{record.levelname} {record.name}: {record.getMessage()}{cause}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def build(folder, broker_port, *more):
    """Home Assistant, started with `more` integrations, its MQTT entry connected to the broker on loopback."""
    with open(os.path.join(folder, "configuration.yaml"), "a"):
        pass  # an integration that is reloaded looks for it
    hass = core.HomeAssistant(folder)
    hass.config.skip_pip = True
    loader.async_setup(hass)
    config = {"http": {"server_port": free_port(), "server_host": "127.0.0.1"}}
    hass.config_entries = config_entries.ConfigEntries(hass, config)
    await loader.async_get_custom_components(hass)
    await bootstrap.async_load_base_functionality(hass)
    hass.auth = await auth.auth_manager_from_config(hass, [{"type": "homeassistant"}], [])
    recorder_helper.async_initialize_recorder(hass)
    config["recorder"] = {"db_url": f"sqlite:///{hass.config.path('history.db')}", "commit_interval": 0}
    for name in ("homeassistant", "persistent_notification", "http", *more):
        assert await async_setup_component(hass, name, config), (name, PROBLEMS)
    await core_config.async_process_ha_core_config(hass, {"name": "House", "time_zone": "UTC", "unit_system": "metric"})
    if not hass.config_entries.async_entries("mqtt"):
        flow = await hass.config_entries.flow.async_init("mqtt", context={"source": "user"})
        if flow["type"] == "menu":
            flow = await hass.config_entries.flow.async_configure(flow["flow_id"], {"next_step_id": "broker"})
        flow = await hass.config_entries.flow.async_configure(
            flow["flow_id"], {"broker": "127.0.0.1", "port": broker_port})
        assert flow["type"] == "create_entry", flow
    assert await async_setup_component(hass, "mqtt", config), PROBLEMS
    await hass.async_start()
    return hass


def described(hass):
    """Every entity of the MQTT integration, by its unique id: registry entry, state and attributes."""
    devices, areas = device_registry.async_get(hass), area_registry.async_get(hass)
    result = {}
    for entry in entity_registry.async_get(hass).entities.values():
        if entry.platform != "mqtt":
            continue
        state = hass.states.get(entry.entity_id)
        device = devices.async_get(entry.device_id) if entry.device_id else None
        area = areas.async_get_area(device.area_id) if device and device.area_id else None
        result[entry.unique_id] = {
            "entity_id": entry.entity_id, "domain": entry.domain, "state": state and state.state,
            "attributes": json.loads(json.dumps(dict(state.attributes), default=str)) if state else None,
            "category": entry.entity_category and entry.entity_category.value,
            "disabled": entry.disabled_by and entry.disabled_by.value,
            "device_id": entry.device_id,
            "device": device and {"name": device.name, "manufacturer": device.manufacturer, "model": device.model,
                                  "firmware": device.sw_version, "serial": device.serial_number,
                                  "area": area and area.name},
        }
    return result


def understood(hass, device_id):
    """What Home Assistant has made of a device's document: by entity id its options in full, and those that it did
    not know, and dropped without a word."""
    result = {}
    for entity in debug_info.info_for_device(hass, device_id)["entities"]:
        options = dict(entity["discovery_data"]["payload"])
        platform = importlib.import_module("homeassistant.components.mqtt." + entity["entity_id"].split(".")[0])
        known = platform.DISCOVERY_SCHEMA({name: options[name] for name in options if name != "platform"})
        result[entity["entity_id"]] = {"options": json.loads(json.dumps(options, default=str)),
                                       "dropped": sorted(set(options) - set(known) - {"platform"})}
    return result


async def page(hass, *names):
    """Set up what it takes of Home Assistant to answer; returns the address of its page."""
    for name in names:
        assert await async_setup_component(hass, name, {}), (name, PROBLEMS)
    return f"http://127.0.0.1:{hass.http.server_port}"


async def with_history(hass):
    """The address of the page, with the WebSocket API, and an administrator's token."""
    url = await page(hass, "websocket_api", "config")
    user = await hass.auth.async_create_user("Owner", group_ids=["system-admin"])
    token = await hass.auth.async_create_refresh_token(
        user, client_name="test", token_type="long_lived_access_token",
        access_token_expiration=datetime.timedelta(days=1))
    return {"url": url, "token": hass.auth.async_create_access_token(token)}


async def obey(hass, command):
    """The answer to one command."""
    if command["do"] == "entities":
        return described(hass)
    if command["do"] == "understood":
        return understood(hass, command["device_id"])
    if command["do"] == "count":
        states = [hass.states.get(entry.entity_id) for entry in entity_registry.async_get(hass).entities.values()
                  if entry.platform == "mqtt" and entry.domain in ("sensor", "binary_sensor")]
        return len([state for state in states if state and state.state not in ("unknown", "unavailable")])
    if command["do"] == "problems":
        said, PROBLEMS[:] = list(PROBLEMS), []
        return said
    if command["do"] == "enable":
        registry = entity_registry.async_get(hass)
        for entity_id in command["entity_ids"]:
            registry.async_update_entity(entity_id, disabled_by=None)
        await hass.config_entries.async_reload(hass.config_entries.async_entries("mqtt")[0].entry_id)
        return None
    if command["do"] == "face":
        # The other steps are for its first user. This one would look for a weather forecast, and a radio.
        await storage.Store(hass, 4, "onboarding").async_save({"done": ["core_config"]})
        return {"url": await page(hass, "frontend", "history", "logbook")}
    if command["do"] == "history":
        return await with_history(hass)
    if command["do"] == "rename":
        registry = entity_registry.async_get(hass)
        registry.async_update_entity(command["entity_id"], new_entity_id=command["new"], name=command["label"])
        return None
    if command["do"] == "call":
        try:
            await hass.services.async_call(command["domain"], command["service"], command["data"], blocking=True)
        except Exception as error:  # whatever it is, the test wants to read it
            return f"{type(error).__name__}: {error}"
        return None
    raise ValueError(command)


async def main(folder, broker_port, *more):
    logging.getLogger().addHandler(Collector(logging.WARNING))
    hass = await build(folder, int(broker_port), *more)
    print(json.dumps({"version": __version__}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await obey(hass, json.loads(line))), flush=True)
    await hass.async_stop(force=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""Drivers against the worked examples of the data sheets, and against their chips with and without faults."""

import os

from firmware.drivers import bme280, dht22, ds18b20, host, sht3x, sht4x
from minitest import equal, near, raises
from tools.sim.checksum import maxim, sensirion
from tools.sim.chips import bme280 as bosch
from workbench import Answers, Bench, driver, one

AIR = {"temperature": 21.3, "humidity": 47.0, "pressure": 1008.4, "illuminance": 320.0}
# Where each is, and how near its driver must come to the world: half a step, and rounding.
SENSORS = {
    "bme280": ({"address": 0x76}, (0.006, 0.02, 0.03)),
    "sht4x": ({"address": 0x44}, (0.002, 0.001)),
    "sht3x": ({"address": 0x45}, (0.002, 0.001)),
    "bh1750": ({"address": 0x23}, (0.42,)),
    "ds18b20": ({"pin": 4}, (0.032,)),
    "dht22": ({"pin": 5}, (0.051, 0.051)),
}
I2C = ("bme280", "sht4x", "sht3x", "bh1750")


def fails(bench, sensor, error):
    """One measurement that must end in `error`, wherever it does."""
    with raises(error):
        bench.measure(sensor)


def close(values, sensor, world, within):
    """Every value of a reading beside the world's."""
    equal(len(values), len(sensor.quantities))
    for value, quantity, distance in zip(values, sensor.quantities, within):
        near(value, world[quantity[0]], distance)


# All of them


def test_each_driver_gives_the_worlds_values():
    for name in sorted(SENSORS):
        options, within = SENSORS[name]
        bench, sensor, _ = one(name, AIR, **options)
        for _ in range(3):
            close(bench.measure(sensor), sensor, AIR, within)
            bench.world = dict(AIR, temperature=-7.4, humidity=81.0, pressure=964.2, illuminance=22000.0)
            bench.wait_ms(60_000)
            close(bench.measure(sensor), sensor, bench.world, within)
            bench.world = AIR
            bench.wait_ms(60_000)


def test_a_missing_chip_is_an_oserror_from_start_and_works_when_it_is_back():
    for name in sorted(SENSORS):
        options, within = SENSORS[name]
        bench, sensor, chip = one(name, AIR, **options)
        bench.measure(sensor)
        chip.fault = "missing"
        bench.wait_ms(60_000)
        for _ in range(2):
            with raises(OSError):
                sensor.start()
            bench.wait_ms(60_000)
        chip.fault = None
        chip.power_on()
        close(bench.measure(sensor), sensor, AIR, within)


def test_a_chip_that_goes_between_start_and_read_is_an_oserror():
    for name in sorted(SENSORS):
        bench, sensor, chip = one(name, AIR, **SENSORS[name][0])
        bench.wait_ms(sensor.start())
        chip.fault = "missing"
        with raises(OSError):
            sensor.read()


def test_no_pin_and_no_chips_are_oserrors():
    bench = Bench({})
    for name in sorted(SENSORS) + ["analog", "digital"]:
        for options in ({}, {"pin": 7, "address": 0x50}):
            fails(bench, driver(name, bench, options), OSError)


def test_a_stuck_i2c_bus_is_an_oserror_for_every_sensor_on_it_and_no_other_bus():
    sensors = {"a": {"driver": "bme280"}, "b": {"driver": "sht4x"}, "c": {"driver": "bh1750", "bus": 1}}
    bench = Bench(sensors, AIR)
    bench.chips["a"].fault = "stuck"
    fails(bench, driver("bme280", bench, {}), OSError)
    fails(bench, driver("sht4x", bench, {}), OSError)
    bench.measure(driver("bh1750", bench, {"bus": 1}))


def test_every_quantity_can_be_announced():
    for name in sorted(SENSORS) + ["analog", "digital", "host"]:
        quantities = driver(name, None, {}).quantities
        assert quantities, name
        for quantity, kind, _, decimals, _, low, high in quantities:
            assert len(quantity) <= 16 and quantity[0].isalpha() and kind in "mtb", quantity
            assert decimals >= 0 and low < high, quantity


# BME280, BMP280

# Trimming, raw values and results of BST-BMP280-DS001 section 3.12.
BMP280_TRIM = (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)


def test_bmp280_worked_example():
    t = bme280.fine(BMP280_TRIM, 519888)
    equal(t, 128422)
    equal(t * 5 + 128 >> 8, 2508)
    near(bme280.pressure_hpa(BMP280_TRIM, t, 415148), 1006.5327, 0.0002)
    near(bosch.pressure_pa(bosch.fine(519888), 415148), 100653.27, 0.005)


def test_bme280_integers_agree_with_the_floating_point_formulas():
    trim = BMP280_TRIM + bosch.H
    for raw_t in range(330_000, 700_000, 37_008):
        t = bme280.fine(trim, raw_t)
        near(t, bosch.fine(raw_t), 2)
        for raw_p in range(280_000, 900_000, 61_001):
            near(bme280.pressure_hpa(trim, t, raw_p), bosch.pressure_pa(t, raw_p) / 100, 0.0002)
        for raw_h in range(0, 65_536, 4_099):
            exact = min(max(bosch.humidity_percent(t, raw_h), 0), 100)
            near(bme280.humidity_percent(trim, t, raw_h), exact, 0.05)


def test_bme280_signed_trimming_of_humidity():
    bench, sensor, chip = one("bme280", AIR)
    chip.registers[0xE4:0xE7] = b"\xfe\x3c\xfd"  # H4 = -32 + 12, H5 = -48 + 3
    sensor.start()
    equal(sensor._trim[15:17], (-20, -45))


def test_bme280_over_its_range():
    bench, sensor, _ = one("bme280", dict(AIR))
    for temperature in (-39.5, -10.0, 0.0, 25.0, 84.5):
        for pressure in (301.0, 700.0, 1099.0):
            for humidity in (0.5, 33.0, 99.0):
                bench.world.update({"temperature": temperature, "pressure": pressure, "humidity": humidity})
                close(bench.measure(sensor), sensor, bench.world, (0.006, 0.025, 0.05))


def test_bmp280_has_no_humidity():
    bench = Bench({"it": {"driver": "bme280", "kind": "bmp280"}}, AIR)
    unnamed = bench.measure(driver("bme280", bench, {}))
    equal((len(unnamed), unnamed[2]), (3, None))
    named = driver("bme280", bench, {"kind": "bmp280"})
    equal([quantity[0] for quantity in named.quantities], ["temperature", "pressure"])
    close(bench.measure(named), named, AIR, (0.006, 0.02))


def test_bme280_that_is_replaced_is_calibrated_again():
    bench, sensor, chip = one("bme280", AIR)
    before = bench.measure(sensor)[0]
    chip.fault = "missing"
    fails(bench, sensor, OSError)
    chip.fault = None
    chip.registers[0x88:0x8A] = b"\x00\x6c"  # T1 of another chip
    assert abs(bench.measure(sensor)[0] - before) > 0.1


def test_bme280_that_lost_power_during_a_measurement_gives_no_old_values():
    bench, sensor, chip = one("bme280", AIR)
    bench.measure(sensor)
    sensor.start()
    chip.power_on()
    bench.wait_ms(20)
    with raises(OSError):
        sensor.read()
    close(bench.measure(sensor), sensor, AIR, SENSORS["bme280"][1])


def test_bme280_that_is_not_ready_is_an_oserror():
    bench, sensor, _ = one("bme280", AIR)
    sensor.start()
    bench.wait_ms(7)
    with raises(OSError):
        sensor.read()


def test_another_chip_at_the_address_of_a_bme280_is_an_oserror():
    bench, sensor, chip = one("bme280", AIR)
    chip.registers[0xD0] = 0x61
    with raises(OSError):
        sensor.start()


def test_bme280_trimming_of_zeros_is_a_valueerror():
    with raises(ValueError):
        bme280.pressure_hpa((0,) * 12, 128422, 415148)


# SHT4x, SHT3x


def test_sht_checksum_of_the_data_sheet():
    for module in (sht4x, sht3x):
        equal(module.crc8(b"\xbe\xef"), 0x92)
        equal(module.crc8(b"\xbe\xef\x92"), 0)
    equal(sensirion(0xBEEF), 0x92)


def test_sht_frames():
    frame = b"\x66\x66" + bytes((sensirion(0x6666),)) + b"\x80\x00" + bytes((sensirion(0x8000),))
    for name, humidity in (("sht4x", 56.501), ("sht3x", 50.001)):
        sensor = driver(name, Answers(frame), {})
        sensor.start()
        values = sensor.read()
        near(values[0], 25.0, 0.001)
        near(values[1], humidity, 0.001)


def test_sht_wrong_checksum_in_either_word_is_a_valueerror():
    good = b"\xbe\xef\x92"
    for name in ("sht4x", "sht3x"):
        bench, sensor, chip = one(name, AIR)
        chip.fault = "crc"
        fails(bench, sensor, ValueError)
        for frame in (good + b"\xbe\xef\x93", b"\xbe\xee\x92" + good):
            sensor = driver(name, Answers(frame), {})
            sensor.start()
            with raises(ValueError):
                sensor.read()


def test_sht_that_is_not_ready_is_an_oserror():
    for name in ("sht4x", "sht3x"):
        bench, sensor, _ = one(name, AIR)
        sensor.start()
        bench.wait_ms(5)
        with raises(OSError):
            sensor.read()


def test_sht4x_humidity_is_cut_to_its_scale():
    bench, sensor, _ = one("sht4x", dict(AIR))
    for humidity, expected in ((-4.0, 0), (112.0, 100), (0.5, 0.5)):
        bench.world["humidity"] = humidity
        near(bench.measure(sensor)[1], expected, 0.001)


# BH1750


def test_bh1750_worked_example():
    sensor = driver("bh1750", Answers(b"\x83\x90"), {})
    sensor.start()
    near(sensor.read()[0], 28067, 0.5)


def test_bh1750_that_can_tell_no_more_is_out_of_range():
    bench, sensor, _ = one("bh1750", {"illuminance": 90_000.0})
    assert bench.measure(sensor)[0] > sensor.quantities[0][6]
    bench.world = {"illuminance": 54_611.0}
    assert bench.measure(sensor)[0] <= sensor.quantities[0][6]


# DS18B20


def scratchpad(raw, configuration=0x7F):
    """Nine bytes as a chip gives them after a measurement."""
    frame = bytes((raw & 0xFF, raw >> 8, 0x4B, 0x46, configuration, 0xFF, 0x10 - (raw & 15), 0x10))
    return frame + bytes((maxim(frame),))


def test_ds18b20_table_of_the_data_sheet():
    for raw, celsius in (
        (0x07D0, 125), (0x0550, 85), (0x0191, 25.0625), (0x00A2, 10.125), (0x0008, 0.5), (0x0000, 0),
        (0xFFF8, -0.5), (0xFF5E, -10.125), (0xFE6F, -25.0625), (0xFC90, -55),
    ):  # fmt: skip
        equal(ds18b20.celsius(scratchpad(raw)), celsius)


def test_ds18b20_checksum():
    equal(maxim(b"\x02\x1c\xb8\x01\x00\x00\x00"), 0xA2)  # the ROM in Maxim's application note 27
    equal(ds18b20.crc8(b"\x02\x1c\xb8\x01\x00\x00\x00"), 0xA2)
    for spoilt in range(9):
        frame = bytearray(scratchpad(0x0191))
        frame[spoilt] ^= 0x40
        with raises(ValueError):
            ds18b20.celsius(frame)


def test_ds18b20_frames_of_real_chips():
    # At 15.25 °C byte 6 is 0x0C as well, which must not make it a power-on value.
    equal(ds18b20.celsius(bytes.fromhex("f4004b467fff0c10fa")), 15.25)
    equal(ds18b20.celsius(bytes.fromhex("f3004b467fff0d10ee")), 15.1875)
    with raises(ValueError):
        ds18b20.celsius(bytes.fromhex("5005aa557fff0c1030"))


def test_ds18b20_refuses_the_power_on_value_and_not_85_degrees():
    bench, sensor, chip = one("ds18b20", {"temperature": 85.0}, pin=4)
    equal(bench.measure(sensor), (85.0,))
    chip.fault = "power-on"
    fails(bench, sensor, ValueError)
    chip.fault = None
    equal(bench.measure(sensor), (85.0,))


def test_ds18b20_that_is_read_too_early_has_only_the_power_on_value():
    bench, sensor, _ = one("ds18b20", {"temperature": 20.0}, pin=4)
    sensor.start()
    bench.wait_ms(700)
    with raises(ValueError):
        sensor.read()


def test_ds18b20_bus_held_low_is_a_valueerror():
    bench, sensor, chip = one("ds18b20", AIR, pin=4)
    chip.fault = "stuck"
    fails(bench, sensor, ValueError)
    chip.fault = "crc"
    fails(bench, sensor, ValueError)


def test_ds18b20_two_on_one_pin_need_their_roms():
    roms = [(serial + bytes((maxim(serial),))).hex() for serial in (b"\x28first\0", b"\x28other\0")]
    sensors = {name: {"driver": "ds18b20", "pin": 4, "rom": rom} for name, rom in zip(("a", "b"), roms)}
    bench = Bench(sensors)
    bench.worlds = {"a": {"temperature": 4.5}, "b": {"temperature": -18.25}}
    equal(bench.measure(driver("ds18b20", bench, sensors["a"])), (4.5,))
    equal(bench.measure(driver("ds18b20", bench, sensors["b"])), (-18.25,))
    fails(bench, driver("ds18b20", bench, {"pin": 4}), ValueError)


def test_ds18b20_at_a_lower_resolution_gives_no_undefined_bits():
    bench, sensor, _ = one("ds18b20", {"temperature": 21.0}, pin=4)
    for configuration in (0x1F, 0x3F, 0x5F, 0x7F):
        wire = bench.onewire(4)
        wire.reset()
        wire.write(b"\xcc\x4e\x4b\x46" + bytes((configuration,)))
        equal(bench.measure(sensor), (21.0,))


# DHT22


def test_dht22_examples_of_the_manual():
    equal(dht22.decode(b"\x02\x8c\x01\x5f\xee"), (35.1, 65.2))
    equal(dht22.decode(b"\x02\x8c\x80\x65\x73"), (-10.1, 65.2))


def test_dht22_wrong_checksum_and_a_wire_held_low_are_valueerrors():
    for fault in ("crc", "stuck"):
        bench, sensor, chip = one("dht22", AIR, pin=5)
        chip.fault = fault
        fails(bench, sensor, ValueError)


def test_dht22_gives_no_value_of_a_minute_ago():
    bench, sensor, _ = one("dht22", dict(AIR), pin=5)
    bench.measure(sensor)
    bench.wait_ms(60_000)
    bench.world["temperature"] = 30.0
    equal(bench.measure(sensor)[0], 30.0)


def test_dht22_gives_no_old_value_after_a_wire_that_was_held_low():
    world = dict(AIR)
    bench, sensor, chip = one("dht22", world, pin=5)
    bench.measure(sensor)
    chip.fault = "stuck"
    bench.wait_ms(600_000)
    world["temperature"] += 9
    with raises(ValueError):
        sensor.start()
    chip.fault = None
    bench.wait_ms(1_000)
    with raises(OSError):
        sensor.start()
    bench.wait_ms(1_100)
    near(bench.measure(sensor)[0], world["temperature"], 0.051)


def test_dht22_every_two_seconds_is_never_asked_too_soon():
    bench, sensor, _ = one("dht22", AIR, pin=5)
    begun = []
    for _ in range(5):
        begun.append(bench.now_ms)
        close(bench.measure(sensor), sensor, AIR, (0.051, 0.051))
    assert begun[-1] - begun[0] < 4 * 2_100, begun


def test_dht22_knows_how_long_ago_it_was_across_the_wrap_of_ticks():
    bench, sensor, _ = one("dht22", AIR, pin=5)
    bench.now_ms = -1000.0
    bench.measure(sensor)
    before = bench.ticks_ms()
    bench.wait_ms(1000)
    assert bench.ticks_ms() < before
    bench.measure(sensor)


# Analog


def test_analog_voltage_behind_a_divider():
    bench, sensor, _ = one("analog", {"voltage": 1.234}, pin=34)
    near(bench.measure(sensor)[0], 1.234, 0.001)
    bench, sensor, _ = one("analog", {"voltage": 11.8}, pin=34, kind="voltage", divider=4)
    near(bench.measure(sensor)[0], 11.8, 0.001)
    assert sensor.quantities[0][6] > 13


def test_analog_soil_is_wet_at_a_low_voltage():
    bench, sensor, _ = one("analog", {"moisture": 30.0}, pin=34, kind="soil")
    near(bench.measure(sensor)[0], 30.0, 0.01)
    near(sensor._adc.read_uv(), 2_320_000, 1)
    bench, sensor, _ = one("analog", {"moisture": 80.0}, pin=34, kind="soil", low_mv=0, high_mv=3000)
    near(bench.measure(sensor)[0], 80.0, 0.01)
    near(sensor._adc.read_uv(), 2_400_000, 1)


def test_analog_battery_gives_charge_and_voltage():
    bench, sensor, _ = one("analog", {"battery": 50.0}, pin=35, kind="battery", divider=2)
    equal([quantity[0] for quantity in sensor.quantities], ["battery", "voltage"])
    percent, volts = bench.measure(sensor)
    near(percent, 50.0, 0.01)
    near(volts, 3.75, 0.001)


def test_analog_a_little_beyond_is_the_end_and_far_beyond_a_fault():
    bench, sensor, chip = one("analog", {"moisture": 104.0}, pin=34, kind="soil")
    equal(bench.measure(sensor), (100,))
    bench.world = {"moisture": -6.0}
    equal(bench.measure(sensor), (0,))
    chip.fault = "shorted"
    assert bench.measure(sensor)[0] > 110


def test_analog_without_a_slope_is_a_valueerror():
    bench, sensor, _ = one("analog", {"moisture": 30.0}, pin=34, kind="soil", low_mv=1000, high_mv=1000)
    with raises(ValueError):
        sensor.start()


# Digital


def test_digital_contact_and_motion_notify_at_each_edge():
    for kind, quantity in (("contact", "open"), ("motion", "motion")):
        for invert in (False, True):
            bench, sensor, _ = one("digital", {quantity: 0}, pin=14, kind=kind, invert=invert, pull="up")
            told = []
            sensor.notify = lambda told=told: told.append(1)
            equal(sensor.quantities[0][0], quantity)
            equal(bench.measure(sensor), (0,))
            equal(bench.input_pin(14, None).value(), int(invert))
            bench.buses.poll()
            equal(told, [])
            bench.world[quantity] = 1
            bench.buses.poll()
            bench.buses.poll()
            equal(told, [1])
            equal(bench.measure(sensor), (1,))


def test_digital_contact_is_read_after_it_bounced():
    bench, sensor, _ = one("digital", {"open": 0}, pin=14, kind="contact")
    assert 5 <= sensor.start() <= 50


def test_digital_without_a_listener_is_only_read():
    bench, sensor, _ = one("digital", {"open": 0}, pin=14, kind="contact")
    bench.measure(sensor)
    bench.world["open"] = 1
    bench.buses.poll()
    equal(bench.measure(sensor), (1,))


def test_digital_counts_pulses_and_begins_at_none():
    bench, sensor, chip = one("digital", {"pulses": 1000}, pin=14, kind="pulse")
    equal(chip.value(), 0)
    equal(sensor.quantities[0][1], "t")
    equal(bench.measure(sensor), (0,))
    bench.world["pulses"] = 1007
    for _ in range(30):
        bench.wait_ms(50)
        bench.buses.poll()
    equal(bench.measure(sensor), (7,))


class BouncingPin:
    """A pin whose level the test sets, edge by edge."""

    def __init__(self, bench):
        self._bench = bench
        self._level = 0

    def input_pin(self, number, pull):
        self.asked = number, pull
        return self

    def irq(self, handler):
        self._handler = handler

    def value(self):
        return self._level

    def edge(self, level, after_ms):
        self._bench.wait_ms(after_ms)
        self._level = level
        self._handler(self)


def counting(kind="pulse", **options):
    """(pin, driver) of a pulse counter."""
    bench = Bench({})
    pin = BouncingPin(bench)
    bench.input_pin = pin.input_pin
    sensor = driver("digital", bench, dict(options, kind=kind, pin=14, pull="down"))
    sensor.start()
    equal(pin.asked, (14, "down"))
    return pin, sensor


def test_digital_does_not_count_bounces_at_either_edge():
    pin, sensor = counting()
    for count in (1, 2, 3):
        for after_ms, level in ((300, 1), (1, 0), (1, 1), (2, 0), (1, 1), (200, 0), (1, 1), (1, 0)):
            pin.edge(level, after_ms)
        equal(sensor.read(), (count,))


def test_digital_counts_pulses_shorter_than_a_bounce_lasts():
    pin, sensor = counting()
    for _ in range(4):
        pin.edge(1, 100)
        pin.edge(0, 3)
    equal(sensor.read(), (4,))


def test_digital_counts_across_the_wrap_of_ticks():
    pin, sensor = counting()
    pin.edge(1, 100)
    pin.edge(0, 100)
    pin.edge(1, 2000)
    equal(sensor.read(), (2,))


def test_digital_inverted_counts_falls():
    pin, sensor = counting(invert=True)
    pin.edge(1, 100)
    equal(sensor.read(), (0,))
    pin.edge(0, 100)
    equal(sensor.read(), (1,))


def test_digital_count_stays_exact_as_a_float():
    pin, sensor = counting()
    sensor._count = 0xFFFFFE
    pin.edge(1, 100)
    equal(sensor.read(), (0xFFFFFF,))
    pin.edge(0, 100)
    pin.edge(1, 100)
    equal(sensor.read(), (0,))


def test_digital_tells_each_press_once_and_then_nothing():
    pin, sensor = counting("press")
    told = []
    sensor.notify = lambda: told.append(1)
    equal(sensor.quantities[0][:2], ("press", "e"))
    equal(sensor.read(), (None,), "before any:")
    for _ in range(3):
        for after_ms, level in ((300, 1), (1, 0), (1, 1), (200, 0), (2, 1), (1, 0)):
            pin.edge(level, after_ms)
    assert told
    found = []
    while True:
        told.clear()
        found.append(sensor.read())
        if not told:
            break
    equal(found, [(1,)] * 3, "as often as it asked to be read:")
    equal(sensor.read(), (None,))


# Host

MEMORY = "MemTotal:        4000000 kB\nMemFree:          200000 kB\nMemAvailable:    1000000 kB\n"


def computer(files):
    """A folder with these files, path -> text."""
    root = "build/test_host_driver_" + str(len(files)) + "_" + str(sum([len(path) for path in files]))
    for path in sorted(files):
        folders = (root + path).split("/")
        for depth in range(1, len(folders)):
            try:
                os.mkdir("/".join(folders[:depth]))
            except OSError as error:
                assert error.args[0] == 17, error
        with open(root + path, "w") as file:
            file.write(files[path])
    return root


def on(files):
    """What the host driver reads on such a computer."""
    sensor = driver("host", None, {})
    sensor.root = computer(files)
    equal(sensor.start(), 0)
    return sensor.read()


def test_host_reads_this_computer():
    sensor = driver("host", None, {})
    sensor.start()
    heat, load, memory, disk = sensor.read()
    assert heat is None or -40 < heat < 150, heat
    assert 0 <= load < 10_000 and 0 < memory < 100 and 0 <= disk <= 100, (load, memory, disk)


class Disk:
    """The `os` of a computer with 1,000 blocks, 400 of them free, 300 of these for everybody."""

    def statvfs(self, path):
        return 4096, 4096, 1000, 400, 300, 0, 0, 0, 0, 255

    def listdir(self, path):
        return []

    def stat(self, path):
        """Everything is there."""


def test_host_disk_counts_as_df_does():
    host.os = Disk()
    try:
        sensor = driver("host", None, {})
        sensor.start()
        near(sensor.read()[3], 66.667, 0.001)
    finally:
        host.os = os


def test_host_values():
    values = on({
        "/proc/loadavg": "1.25 0.80 0.70 2/300 4242\n",
        "/proc/meminfo": MEMORY,
        "/sys/class/thermal/thermal_zone0/type": "acpitz\n",
        "/sys/class/thermal/thermal_zone0/temp": "27800\n",
        "/sys/class/thermal/thermal_zone1/type": "cpu-thermal\n",
        "/sys/class/thermal/thermal_zone1/temp": "48312\n",
    })  # fmt: skip
    equal(values[:3], (48.312, 1.25, 75.0))


def test_host_finds_the_thermometer_of_an_amd_processor():
    values = on({
        "/proc/loadavg": "0.00 0.00 0.00 1/86 5741\n",
        "/sys/class/hwmon/hwmon0/name": "nvme\n",
        "/sys/class/hwmon/hwmon0/temp1_input": "30000\n",
        "/sys/class/hwmon/hwmon1/name": "k10temp\n",
        "/sys/class/hwmon/hwmon1/temp1_input": "-1500\n",
    })  # fmt: skip
    equal(values[:3], (-1.5, 0.0, None))


def test_host_without_proc_is_an_oserror():
    sensor = driver("host", None, {})
    sensor.root = "build/nowhere"
    with raises(OSError):
        sensor.start()

"""The simulated chips and buses: as strict as the data sheets, and a world that could be one."""

from minitest import equal, raises
from tools.sim.bus import Buses
from tools.sim.world import SMOOTH, World
from workbench import Bench, one

AIR = {"temperature": 21.3, "humidity": 47.0, "pressure": 1008.4, "illuminance": 320.0}


def i2c(name):
    """(bench, bus, address) of one chip on bus 0."""
    bench, _, chip = one(name, AIR)
    return bench, bench.i2c(0), chip.ADDRESS


def read(bus, address, register, size):
    """A register's bytes."""
    buf = bytearray(size)
    bus.readfrom_mem_into(address, register, buf)
    return bytes(buf)


def test_bus_answers_only_where_a_chip_is():
    bench = Bench({"a": {"driver": "bme280", "address": 0x77}, "b": {"driver": "sht4x"}}, AIR)
    equal(bench.i2c(0).scan(), [0x44, 0x77])
    equal(bench.i2c(1).scan(), [])
    for bus, address in ((0, 0x76), (1, 0x77)):
        with raises(OSError) as caught:
            bench.i2c(bus).writeto(address, b"\xd0")
        equal(caught.value.args[0], 19)
    bench.chips["a"].fault = "missing"
    equal(bench.i2c(0).scan(), [0x44])


def test_no_sensors_are_no_chips():
    chipless = {"pc": {"driver": "host"}, "typo": {"driver": "bme208"}, "nowhere": {"driver": "digital"}}
    for sensors in (None, {}, chipless):
        buses = Buses(sensors, None)
        equal(buses.chips, {})
        for find in (buses.input_pin, buses.adc, buses.onewire, buses.dht):
            with raises(OSError):
                find(4)
        buses.poll()


def test_sensors_at_one_address_share_the_chip_and_more_can_be_placed_later():
    bench = Bench({"a": {"driver": "sht4x"}, "b": {"driver": "sht4x", "address": 0x44}}, AIR)
    assert bench.chips["a"] is bench.chips["b"]
    more = {"a": {"driver": "sht4x"}, "c": {"driver": "bh1750", "address": None}}
    bench.buses.place(more, lambda name: None)
    assert bench.chips["a"] is bench.chips["b"]
    equal(bench.i2c(0).scan(), [0x23, 0x44])


def test_output_pin_remembers():
    bench = Bench({})
    bench.output_pin(2).value(1)
    equal(bench.output_pin(2).level, 1)


def test_bme280_registers():
    bench, bus, address = i2c("bme280")
    equal(read(bus, address, 0xD0, 1), b"\x60")
    equal(read(bus, address, 0xF7, 8), b"\x80\x00\x00\x80\x00\x00\x80\x00")
    # Writing does not advance: a second byte is the next register's address.
    bus.writeto_mem(address, 0xF2, b"\x01\xf4\x25")
    equal(read(bus, address, 0xF2, 3), b"\x01\x08\x25")
    bench.wait_ms(9)
    equal(read(bus, address, 0xFA, 3), b"\x80\x00\x00")
    bench.wait_ms(1)
    equal(read(bus, address, 0xF2, 3), b"\x01\x00\x24")
    assert read(bus, address, 0xFA, 3) != b"\x80\x00\x00"


def test_bme280_humidity_setting_waits_for_the_next_control_write():
    bench, bus, address = i2c("bme280")
    bus.writeto_mem(address, 0xF4, b"\x25")
    bus.writeto_mem(address, 0xF2, b"\x01")
    bench.wait_ms(10)
    equal(read(bus, address, 0xFD, 2), b"\x80\x00")
    bus.writeto_mem(address, 0xF4, b"\x25")
    bench.wait_ms(10)
    assert read(bus, address, 0xFD, 2) != b"\x80\x00"


def test_bme280_oversampling_sets_the_resolution():
    bench, bus, address = i2c("bme280")
    for control, mask in ((0x25, 0xF0), (0x49, 0x70), (0xB5, 0x00), (0x01, 0xF0)):
        bus.writeto_mem(address, 0xF4, bytes((control,)))
        bench.wait_ms(10)
        frame = read(bus, address, 0xF7, 6)
        equal(frame[2] & mask, 0)
        equal(frame[5] & mask, 0)
    equal(frame, b"\x80\x00\x00\x80\x00\x00")


def test_bme280_objects_to_what_a_driver_must_not_do():
    _, bus, address = i2c("bme280")
    wrong = (b"\xf3\x00", b"\x88\x00", b"\xf4\x27", b"\xe0\x01", b"\xf4\x24\x00")
    for data in wrong:
        with raises(AssertionError):
            bus.writeto(address, data)
    for register, size in ((0x00, 1), (0xF7, 9), (0xA2, 1), (0xE8, 1)):
        with raises(AssertionError):
            read(bus, address, register, size)
    bus.writeto_mem(address, 0xF4, b"\x25")
    with raises(AssertionError):
        bus.writeto_mem(address, 0xF5, b"\x00")
    with raises(AssertionError):
        bus.readfrom_into(address, bytearray(1))


def test_bmp280_has_no_humidity_registers():
    bench, _, chip = one("bme280", AIR, kind="bmp280")
    equal(read(bench.i2c(0), 0x76, 0xD0, 1), b"\x58")
    for register in (0xE1, 0xF2, 0xFD):
        with raises(AssertionError):
            read(bench.i2c(0), 0x76, register, 1)


def test_command_chips_object_to_unknown_commands():
    wrong = (("sht4x", b"\x24\x00"), ("sht4x", b"\x01"), ("sht3x", b"\xfd"), ("bh1750", b"\x55"))
    for name, command in wrong:
        _, bus, address = i2c(name)
        with raises(AssertionError):
            bus.writeto(address, command)


def test_sht_answers_once_and_not_while_it_measures():
    for name, command, longest_ms in (("sht4x", b"\xfd", 8.3), ("sht3x", b"\x24\x00", 15.5)):
        bench, bus, address = i2c(name)
        with raises(OSError):
            bus.readfrom_into(address, bytearray(6))
        bus.writeto(address, command)
        bench.wait_ms(longest_ms - 0.2)
        with raises(OSError):
            bus.writeto(address, command)
        bench.wait_ms(0.2)
        bus.readfrom_into(address, bytearray(6))
        with raises(OSError):
            bus.readfrom_into(address, bytearray(6))


def test_bh1750_gives_old_data_until_it_has_new():
    bench, bus, address = i2c("bh1750")
    buf = bytearray(2)
    bus.writeto(address, b"\x20")
    bench.wait_ms(179)
    bus.readfrom_into(address, buf)
    equal(buf, b"\0\0")
    bench.wait_ms(1)
    bus.readfrom_into(address, buf)
    equal(buf, b"\x01\x80")


def test_ds18b20_wire():
    bench, _, chip = one("ds18b20", AIR, pin=4)
    wire = bench.onewire(4)
    equal(wire.scan(), [chip.rom])
    equal((len(chip.rom), chip.rom[0]), (8, 0x28))
    frame = bytearray(9)
    for select in (b"\xcc", b"\x55" + chip.rom):
        assert wire.reset()
        wire.write(select + b"\xbe")
        wire.readinto(frame)
        equal(frame, b"\x50\x05\x4b\x46\x7f\xff\x0c\x10\x1c")
    wire.reset()
    wire.write(b"\x55" + chip.rom[:7] + b"\0\xbe")
    wire.readinto(frame)
    equal(frame, b"\xff" * 9)
    chip.fault = "missing"
    assert not wire.reset()


def test_ds18b20_shows_that_it_converts():
    bench, _, chip = one("ds18b20", AIR, pin=4)
    wire = bench.onewire(4)
    busy = bytearray(1)
    wire.reset()
    wire.write(b"\xcc\x44")
    bench.wait_ms(749)
    wire.readinto(busy)
    equal(busy, b"\0")
    bench.wait_ms(1)
    wire.readinto(busy)
    equal(busy, b"\xff")


def test_ds18b20_objects_to_a_wrong_order():
    bench, _, chip = one("ds18b20", AIR, pin=4)
    wire = bench.onewire(4)
    for bytes_ in (b"\x44", b"\xcc\x45", b"\xcc\x44\x44", b"\xcc\xbe\xbe"):
        wire.reset()
        with raises(AssertionError):
            wire.write(bytes_)


def test_dht22_wants_rest():
    bench, _, chip = one("dht22", AIR, pin=5)
    wire = bench.dht(5)
    frame = bytearray(5)
    wire.measure(frame)
    equal(frame, b"\x01\xd6\x00\xd5\xac")
    bench.wait_ms(1999)
    with raises(OSError):
        wire.measure(frame)


def test_dht22_is_one_frame_behind_and_signs_the_temperature():
    bench, _, chip = one("dht22", dict(AIR), pin=5)
    frames = []
    for temperature in (-10.1, 0.0, 0.0):
        bench.world["temperature"] = temperature
        frame = bytearray(5)
        bench.dht(5).measure(frame)
        frames.append(bytes(frame[2:4]))
        bench.wait_ms(2000)
    equal(frames, [b"\x00\xd5", b"\x80\x65", b"\x00\x00"])


def test_pin_tells_an_edge_once_and_not_when_it_is_stuck():
    bench, _, chip = one("digital", {"open": 0}, pin=14, kind="contact")
    edges = []
    pin = bench.input_pin(14, "up")
    pin.irq(lambda changed: edges.append(changed.value()))
    for level in (0, 1, 1, 0):
        bench.world["open"] = level
        bench.buses.poll()
    equal(edges, [1, 0])
    chip.fault = "stuck"
    bench.world["open"] = 1
    bench.buses.poll()
    equal((edges, pin.value()), ([1, 0], 0))


def test_world_is_plausible_smooth_and_seeded():
    now = [1_700_000_000.0]
    world = World(7, lambda: now[0])
    air, again, other = world.sensor("air"), World(7, lambda: now[0]).sensor("air"), world.sensor("cellar")
    differs = 0
    for quantity in sorted(SMOOTH):
        mean, day, drift, rough, low, high = SMOOTH[quantity]
        before = air(quantity)
        for _ in range(200):
            now[0] += 60
            value = air(quantity)
            assert low <= value <= high, (quantity, value)
            assert abs(value - before) < 0.01 * (abs(day) + drift) + 2 * rough, (quantity, before, value)
            equal(again(quantity), value)
            differs += value != other(quantity)
            before = value
    assert differs > 500


def test_world_has_days():
    now = [0]
    light = World(1, lambda: now[0]).sensor("roof")
    hours = []
    for hour in range(24):
        now[0] = hour * 3600
        hours.append(light("illuminance"))
    assert max(hours[12:18]) > 10_000 and max(hours[0:5]) == 0, hours


def test_world_levels_and_pulses():
    now = [1_700_000_000.0]
    world = World(3, lambda: now[0]).sensor("door")
    for quantity in ("open", "motion"):
        levels = []
        for _ in range(600):
            now[0] += 10
            levels.append(world(quantity))
        equal(sorted(set(levels)), [0, 1])
    count = first = world("pulses")
    for _ in range(3600):
        now[0] += 1
        assert count <= world("pulses") <= count + 1
        count = world("pulses")
    assert 800 < count - first < 1000


def test_world_does_not_know_other_quantities():
    with raises(KeyError):
        World(1, lambda: 0).sensor("a")("charm")

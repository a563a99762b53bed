"""What each chip's pins can do, and what they had better not be asked to.

Sources: Espressif's datasheets, "Pin Overview" and "Boot Configurations" (ESP32 v4.x, S2, S3, C3, C6), and for ADC2
the notes of "Analog to Digital Converter" in ESP-IDF: on ESP32 it cannot be read while Wi-Fi is on.
"""

from collections import namedtuple

Pins = namedtuple("Pins", "exist input_only flash psram strapping adc1 adc2 serial usb i2c_buses")
Pins.__doc__ = """Sets of GPIO numbers: that exist; without an output driver; wired to the flash inside the module; to
octal PSRAM, where there is one; read by the ROM at reset; of each ADC; of the first serial port; of USB. And how many
I2C controllers MicroPython offers."""


def _span(*ranges):
    return frozenset(number for low, high in ranges for number in range(low, high + 1))


PINS = {
    "esp32": Pins(
        exist=_span((0, 5), (6, 11), (12, 23), (25, 27), (32, 39)), input_only=_span((34, 39)), flash=_span((6, 11)),
        psram=frozenset((16, 17)), strapping=frozenset((0, 2, 5, 12, 15)), adc1=_span((32, 39)),
        adc2=frozenset((0, 2, 4, 12, 13, 14, 15, 25, 26, 27)), serial=frozenset((1, 3)), usb=frozenset(), i2c_buses=2),
    "esp32s2": Pins(
        exist=_span((0, 21), (26, 46)), input_only=frozenset((46,)), flash=_span((26, 32)), psram=frozenset((26,)),
        strapping=frozenset((0, 45, 46)), adc1=_span((1, 10)), adc2=_span((11, 20)), serial=frozenset((43, 44)),
        usb=frozenset((19, 20)), i2c_buses=2),
    "esp32s3": Pins(
        exist=_span((0, 21), (26, 48)), input_only=frozenset(), flash=_span((26, 32)), psram=_span((33, 37)),
        strapping=frozenset((0, 3, 45, 46)), adc1=_span((1, 10)), adc2=_span((11, 20)), serial=frozenset((43, 44)),
        usb=frozenset((19, 20)), i2c_buses=2),
    "esp32c3": Pins(
        exist=_span((0, 21)), input_only=frozenset(), flash=_span((11, 17)), psram=frozenset(),
        strapping=frozenset((2, 8, 9)), adc1=_span((0, 4)), adc2=frozenset((5,)), serial=frozenset((20, 21)),
        usb=frozenset((18, 19)), i2c_buses=1),
    "esp32c6": Pins(
        exist=_span((0, 30)), input_only=frozenset(), flash=_span((24, 30)), psram=frozenset(),
        strapping=frozenset((4, 5, 8, 9, 15)), adc1=_span((0, 6)), adc2=frozenset(), serial=frozenset((16, 17)),
        usb=frozenset((12, 13)), i2c_buses=2),
}

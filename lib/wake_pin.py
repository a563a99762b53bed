"""A pin that ends deep sleep, with `machine` and `esp32` of MicroPython's ESP32 port. Only lent."""


def arm(machine, esp32, number):
    """Let a change of the pin wake the chip. Raises OSError, ValueError or AttributeError when it cannot."""
    pin = machine.Pin(number, machine.Pin.IN)
    level = esp32.WAKEUP_ALL_LOW if pin.value() else esp32.WAKEUP_ANY_HIGH
    if hasattr(esp32, "wake_on_ext0"):
        esp32.wake_on_ext0(pin, level)
    else:
        esp32.wake_on_gpio((pin,), level)

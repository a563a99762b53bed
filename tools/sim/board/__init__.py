"""A virtual ESP32 on a virtual cable, for the real esptool, mpremote and ampy: see docs/board.md."""

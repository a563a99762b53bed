"""Runs first at every start of an ESP32. Imports nothing that an update can break: a board has to get past this."""

import sys

# What is frozen into the image comes first: looking for it on flash takes time at every import. Then the root of
# the flash with firmware/ and main.py; the folders of a chosen release would stand before it.
sys.path[:] = (".frozen", "", "/lib")

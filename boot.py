"""Runs first at every start of an ESP32. Imports nothing that an update can break: a board has to get past this."""

import gc
import sys

# Collecting this often (bytes allocated) keeps the free heap in one piece, so that it need not grow into the memory
# that Wi-Fi and TLS live on.
gc.threshold(4_096)

# What is frozen into the image comes first: looking for it on flash takes time at every import. Then the root of
# the flash with firmware/ and main.py; the folders of a chosen release would stand before it.
sys.path[:] = (".frozen", "", "/lib")

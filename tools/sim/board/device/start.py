"""Run by the virtual board's MicroPython, before its prompt, which finds this module empty."""

import life

life.main(globals())

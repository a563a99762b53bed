"""A board on a serial port: finding it, flashing it, writing files to it, and what its chip can do."""

"""What `mote doctor` looks at. Each finding: about what, what is wrong, why it matters, what to type."""

from collections import namedtuple

Finding = namedtuple("Finding", "node what why do")
Finding.__doc__ = "`node` is the node that it is about, or the part: a port, a key of the configuration, this computer."

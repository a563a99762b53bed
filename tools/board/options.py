"""Options that several verbs share."""

import os

from tools import errors
from tools.board import images
from tools.board import ports as serial_ports

BAUD = 460800


def add_port(parser, several=False):
    """--port"""
    more = "; `all` for every board, one after the other" if several else ""
    parser.add_argument("--port", metavar="PORT",
                        help="the board's serial port: a device, socket://HOST:PORT or rfc2217://HOST:PORT "
                             "(default: the only one there is" + more + ")")


def ports(args):
    """The ports that --port names. Raises UserError."""
    return serial_ports.every() if args.port == "all" else [serial_ports.chosen(args.port)]


def add_image(parser):
    """What is to be flashed, and how."""
    parser.add_argument("--image", metavar="FILE",
                        help="MicroPython for the board's chip, a .bin as published (default: the newest release)")
    parser.add_argument("--erase", action="store_true", help="erase the whole flash before, configuration included")
    parser.add_argument("--baud", type=int, default=BAUD, metavar="N",
                        help=f"speed of the transfer (default {BAUD}; 115200 for bad cables)")


def firmware(args):
    """The image that --image names, None without one. Raises UserError for one that is not whole."""
    return read_image(args.image) if args.image else None


def read_image(path):
    """An images.Firmware from a file. Raises UserError."""
    try:
        with open(path, "rb") as file:
            return images.Firmware(os.path.basename(path), file.read())
    except OSError as error:
        raise errors.UserError(f"cannot read {path}: {error.strerror}") from None

"""`mote image`: a board's whole flash in one file, for esptool or a flasher in the browser; and what is in one."""

import json
import os

from firmware import VERSION
from tools import errors, provisioning
from tools.board import files, options, releases, whole

HELP = "make one file of MicroPython, the node and its configuration, to be flashed in one go"
EXAMPLE = "mote image --image ESP32_GENERIC-20250415-v1.25.0.bin --config config.json --out build/image"


def add_arguments(parser):
    parser.add_argument("--image", metavar="FILE",
                        help="MicroPython, a .bin as published (default: the newest for --chip)")
    parser.add_argument("--chip", metavar="CHIP", default="esp32",
                        help="for which chip, without --image (default esp32)")
    parser.add_argument("--config", metavar="FILE",
                        help="the node's configuration; without one the board waits for `mote provision`")
    parser.add_argument("--flash-size", type=int, metavar="MB",
                        help="of the board's flash (default: as the image has it)")
    parser.add_argument("--out", metavar="DIR", help="where mote.bin and manifest.json go")
    parser.add_argument("--show", metavar="FILE", help="list what is in such a file instead")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args):
    return show(args) if args.show else make(args)


def make(args):
    if not args.out:
        raise errors.UserError("name a folder with --out DIR")
    from tools.verbs import run as run_verb

    content = dict(files.wanted())
    if args.config:
        content["config.json"] = provisioning.text_of(run_verb.read_config(args.config))
    firmware = options.read_image(args.image or releases.image_for(args.chip))
    packed = whole.packed(firmware, content, args.flash_size << 20 if args.flash_size else None)
    os.makedirs(args.out, exist_ok=True)
    path, manifest = os.path.join(args.out, "mote.bin"), os.path.join(args.out, "manifest.json")
    provisioning.write_secret(path, packed, 0o600 if args.config else 0o644)
    text = whole.manifest("Mote", VERSION, firmware.chip, "mote.bin", firmware.offset)
    provisioning.write_secret(manifest, text.encode(), 0o644)
    if args.json:
        print(json.dumps({"image": path, "manifest": manifest, "chip": firmware.chip, "offset": firmware.offset,
                          "bytes": len(packed), "sha256": whole.digest(packed), "files": len(content)}))
    else:
        print(f"wrote {path} ({len(packed):,} bytes) and {manifest}\n"
              f"esptool --chip {firmware.chip} write-flash {firmware.offset:#x} {path}")
        if args.config:
            print("It holds the passwords of the configuration: it is readable for you alone, keep it so.")
    return errors.DONE


def show(args):
    try:
        with open(args.show, "rb") as file:
            found = whole.unpacked(os.path.basename(args.show), file.read())
    except OSError as error:
        raise errors.UserError(f"cannot read {args.show}: {error.strerror}") from None
    if args.json:
        print(json.dumps({"chip": found.firmware.chip, "micropython": found.firmware.version,
                          "partitions": [entry._asdict() for entry in found.partitions],
                          "files": {path: whole.digest(content) for path, content in found.files.items()}}))
    else:
        print(f"{found.firmware.chip}, MicroPython {found.firmware.version}")
        print("\n".join(f"  {entry.offset:#010x} {entry.size:#10x} {entry.name}" for entry in found.partitions))
        print("\n".join(f"  {whole.digest(content)[:16]} {len(content):6} {path}"
                        for path, content in sorted(found.files.items())))
    return errors.DONE

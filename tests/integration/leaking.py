"""Whether a secret is somewhere it must not be, as it is or in disguise."""

import base64

WINDOW = 8  # bytes of a secret in a row that are too many
_GROUP = 4  # letters of base64, out of three bytes


def disguises(secret):
    """Byte strings none of which may be found: every window of a secret, in hex and in base64, too; of one that is hex
    itself, also of the bytes that it stands for."""
    data, found = secret.encode(), set()
    kinds = [data, data[::-1]]
    if all(letter in "0123456789abcdef" for letter in secret):
        kinds.append(bytes.fromhex(secret))
    for kind in kinds:
        windows = {kind[at:at + WINDOW] for at in range(len(kind) - WINDOW + 1)}
        found |= windows | {one.hex().encode() for one in windows} | {one.hex().upper().encode() for one in windows}
        for shift in range(3):  # where its first byte stands in a group of three
            whole = base64.b64encode(bytes(shift) + kind)
            ends = range(_GROUP, len(whole) - 3 * _GROUP + 1, _GROUP)
            found |= {whole[at:at + 2 * _GROUP] for at in ends}  # two groups that are of the secret alone
    return found


def leaks(secrets, named):
    """(secret, place) of each of `secrets`, name -> text, that is somewhere in `named`, place -> bytes."""
    return [(secret, place) for secret, value in secrets.items() for disguise in disguises(value)
            for place, data in named.items() if disguise in data]

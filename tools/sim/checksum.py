"""The chips' checksums, bit by bit: another way than the drivers', so that each tests the other."""


def sensirion(raw):
    """Checksum of a 16-bit word: polynomial x^8+x^5+x^4+1, start 0xFF."""
    rest = (raw ^ 0xFF00) << 8
    for bit in range(23, 7, -1):
        if rest >> bit & 1:
            rest ^= 0x131 << bit - 8
    return rest


def maxim(data):
    """Checksum of bytes on a 1-Wire bus: the same polynomial, lowest bit first, start 0."""
    rest = 0
    for byte in data:
        for bit in range(8):
            carry = (rest ^ byte >> bit) & 1
            rest >>= 1
            if carry:
                rest ^= 0x8C
    return rest

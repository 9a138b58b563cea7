"""Section 4.3: the check of packets; section 17: the checks of byte streams."""


def _table(polynomial):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
        table.append(byte)
    return table


_CRC32C = _table(0x82F63B78)
_CRC16 = _table(0x8408)
MASK = (1 << 64) - 1


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC32C[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


def crc16(data):
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _CRC16[(value ^ byte) & 255]
    return value ^ 0xFFFF


def key(sender, receiver):
    """R4.7, from the two incarnations."""
    turned = (receiver << 32 | receiver >> 32) & MASK
    m = (sender * 0x9E3779B97F4A7C15 & MASK) ^ (turned * 0xC2B2AE3D27D4EB4F & MASK)
    return (m ^ m >> 32) & 0xFFFFFFFF


def binding(packet, acked, others):
    """R4.8, from restored numbers; None where there is none."""
    total = (packet or 0) * 0x9E3779B1 + (acked or 0) * 0x85EBCA77
    total += sum(others) * 0xC2B2AE3D
    return total & 0xFFFFFFFF


def seal(body, check_key=0, bound=0):
    return body + (crc32c(body) ^ check_key ^ bound).to_bytes(4, "little")

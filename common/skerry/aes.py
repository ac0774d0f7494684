"""AES-128 encryption (FIPS 197) with the interface of cryptolib, for ports that lack it.

Two tables of 256 bytes and small integers, which every port has. What is secret selects where
the tables are read: that takes the same time on microcontrollers without a data cache only.
"""

_SBOX = (
    b"\x63\x7c\x77\x7b\xf2\x6b\x6f\xc5\x30\x01\x67\x2b\xfe\xd7\xab\x76"
    b"\xca\x82\xc9\x7d\xfa\x59\x47\xf0\xad\xd4\xa2\xaf\x9c\xa4\x72\xc0"
    b"\xb7\xfd\x93\x26\x36\x3f\xf7\xcc\x34\xa5\xe5\xf1\x71\xd8\x31\x15"
    b"\x04\xc7\x23\xc3\x18\x96\x05\x9a\x07\x12\x80\xe2\xeb\x27\xb2\x75"
    b"\x09\x83\x2c\x1a\x1b\x6e\x5a\xa0\x52\x3b\xd6\xb3\x29\xe3\x2f\x84"
    b"\x53\xd1\x00\xed\x20\xfc\xb1\x5b\x6a\xcb\xbe\x39\x4a\x4c\x58\xcf"
    b"\xd0\xef\xaa\xfb\x43\x4d\x33\x85\x45\xf9\x02\x7f\x50\x3c\x9f\xa8"
    b"\x51\xa3\x40\x8f\x92\x9d\x38\xf5\xbc\xb6\xda\x21\x10\xff\xf3\xd2"
    b"\xcd\x0c\x13\xec\x5f\x97\x44\x17\xc4\xa7\x7e\x3d\x64\x5d\x19\x73"
    b"\x60\x81\x4f\xdc\x22\x2a\x90\x88\x46\xee\xb8\x14\xde\x5e\x0b\xdb"
    b"\xe0\x32\x3a\x0a\x49\x06\x24\x5c\xc2\xd3\xac\x62\x91\x95\xe4\x79"
    b"\xe7\xc8\x37\x6d\x8d\xd5\x4e\xa9\x6c\x56\xf4\xea\x65\x7a\xae\x08"
    b"\xba\x78\x25\x2e\x1c\xa6\xb4\xc6\xe8\xdd\x74\x1f\x4b\xbd\x8b\x8a"
    b"\x70\x3e\xb5\x66\x48\x03\xf6\x0e\x61\x35\x57\xb9\x86\xc1\x1d\x9e"
    b"\xe1\xf8\x98\x11\x69\xd9\x8e\x94\x9b\x1e\x87\xe9\xce\x55\x28\xdf"
    b"\x8c\xa1\x89\x0d\xbf\xe6\x42\x68\x41\x99\x2d\x0f\xb0\x54\xbb\x16"
)
_TWICE = bytes([i << 1 ^ (0x11B if i > 127 else 0) for i in range(256)])  # in GF(2^8)


def _expand(key: bytes) -> bytes:
    """Return 11 round keys of 16 bytes (section 5.2)."""
    keys = key
    words = int.from_bytes(key, "big")
    for constant in b"\x01\x02\x04\x08\x10\x20\x40\x80\x1b\x36":
        a, b, c, d = keys[-4:]
        mixed = bytes((_SBOX[b] ^ constant, _SBOX[c], _SBOX[d], _SBOX[a]))
        words ^= words >> 32  # these two: XOR each word with all before it
        words ^= words >> 64
        words ^= int.from_bytes(mixed * 4, "big")
        keys += words.to_bytes(16, "big")
    return keys


def _encrypt(keys: bytes, block: bytes) -> bytes:
    """Encrypt a block of 16 bytes (section 5.1): local names cost MicroPython least."""
    sub, twice = _SBOX, _TWICE
    s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15 = [
        x ^ y for x, y in zip(block, keys)
    ]
    for at in range(16, 160, 16):
        # SubBytes and ShiftRows for a column, then MixColumns: 2a+3b+c+d = a + (a+b+c+d) + 2(a+b)
        a, b = sub[s0], sub[s5]
        c, d = sub[s10], sub[s15]
        e = a ^ b ^ c ^ d
        t0 = a ^ e ^ twice[a ^ b] ^ keys[at]
        t1 = b ^ e ^ twice[b ^ c] ^ keys[at + 1]
        t2 = c ^ e ^ twice[c ^ d] ^ keys[at + 2]
        t3 = d ^ e ^ twice[d ^ a] ^ keys[at + 3]
        a, b = sub[s4], sub[s9]
        c, d = sub[s14], sub[s3]
        e = a ^ b ^ c ^ d
        t4 = a ^ e ^ twice[a ^ b] ^ keys[at + 4]
        t5 = b ^ e ^ twice[b ^ c] ^ keys[at + 5]
        t6 = c ^ e ^ twice[c ^ d] ^ keys[at + 6]
        t7 = d ^ e ^ twice[d ^ a] ^ keys[at + 7]
        a, b = sub[s8], sub[s13]
        c, d = sub[s2], sub[s7]
        e = a ^ b ^ c ^ d
        t8 = a ^ e ^ twice[a ^ b] ^ keys[at + 8]
        t9 = b ^ e ^ twice[b ^ c] ^ keys[at + 9]
        t10 = c ^ e ^ twice[c ^ d] ^ keys[at + 10]
        t11 = d ^ e ^ twice[d ^ a] ^ keys[at + 11]
        a, b = sub[s12], sub[s1]
        c, d = sub[s6], sub[s11]
        e = a ^ b ^ c ^ d
        t12 = a ^ e ^ twice[a ^ b] ^ keys[at + 12]
        t13 = b ^ e ^ twice[b ^ c] ^ keys[at + 13]
        t14 = c ^ e ^ twice[c ^ d] ^ keys[at + 14]
        t15 = d ^ e ^ twice[d ^ a] ^ keys[at + 15]
        s0, s1, s2 = t0, t1, t2
        s3, s4, s5 = t3, t4, t5
        s6, s7, s8 = t6, t7, t8
        s9, s10, s11 = t9, t10, t11
        s12, s13, s14 = t12, t13, t14
        s15 = t15
    last = (s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)
    return bytes([sub[last[5 * i & 15]] ^ keys[160 + i] for i in range(16)])


class aes:
    """What cryptolib.aes does with mode 1, ECB, and mode 2, CBC; no more."""

    def __init__(self, key: bytes, mode: int, iv: bytes = bytes(16)) -> None:
        """Take a key and, for CBC, an initialization vector of 16 bytes each."""
        self._keys = _expand(key)
        self._chained = mode == 2
        self._before = iv

    def encrypt(self, data: bytes) -> bytes:
        """Encrypt whole blocks; CBC goes on where the last call ended."""
        encrypted = bytearray(len(data))
        for at in range(0, len(data), 16):
            block = data[at : at + 16]
            if self._chained:
                block = bytes([x ^ y for x, y in zip(block, self._before)])
            encrypted[at : at + 16] = self._before = _encrypt(self._keys, block)
        return bytes(encrypted)

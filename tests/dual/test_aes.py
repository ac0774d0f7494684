"""AES in plain Python against its standards: what replaces cryptolib where a port lacks it."""

from dual.tools import unhex

from skerry.aes import aes

ECB, CBC = 1, 2

# SP 800-38A, appendix F: key, IV, plaintext, and what ECB (F.1.1) and CBC (F.2.1) make of it.
KEY = unhex("2b7e151628aed2a6abf7158809cf4f3c")
IV = unhex("000102030405060708090a0b0c0d0e0f")
PLAINTEXT = unhex(
    "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710"
)
IN_ECB = unhex(
    "3ad77bb40d7a3660a89ecaf32466ef97 f5d3d58503b9699de785895a96fdbaaf"
    "43b1cd7f598ece23881b00e3ed030688 7b0c785e27e8ad3f8223207104725dd4"
)
IN_CBC = unhex(
    "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2"
    "73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7"
)


def test_fips_197():
    # Appendices B and C.1.
    encrypted = aes(KEY, ECB).encrypt(unhex("3243f6a8885a308d313198a2e0370734"))
    assert encrypted == unhex("3925841d02dc09fbdc118597196a0b32")
    encrypted = aes(bytes(range(16)), ECB).encrypt(unhex("00112233445566778899aabbccddeeff"))
    assert encrypted == unhex("69c4e0d86a7b0430d8cdb78070b4c55a")


def test_sp_800_38a():
    assert aes(KEY, ECB).encrypt(PLAINTEXT) == IN_ECB
    assert aes(KEY, CBC, IV).encrypt(PLAINTEXT) == IN_CBC
    chained = aes(KEY, CBC, IV)
    assert chained.encrypt(PLAINTEXT[:16]) + chained.encrypt(PLAINTEXT[16:]) == IN_CBC
    assert aes(KEY, ECB).encrypt(b"") == aes(KEY, CBC, IV).encrypt(b"") == b""


def test_every_byte_of_the_tables():
    """A hundred blocks, each the key of the next; OpenSSL comes to the same end."""
    key = bytes(16)
    for i in range(100):
        key = aes(key, ECB).encrypt(bytes((i,)) * 16)
    assert key == unhex("3eca880e0ac1126944d1e730b38aba54")

"""HMAC, HKDF and AES-CCM against their RFCs, on whichever backend this interpreter has."""

from hashlib import sha256

from dual.tools import flips, pattern, raises, unhex

from skerry.errors import BadTag
from skerry.primitives import AesCcm, equal, hkdf_expand, hkdf_extract, hmac_sha256

# RFC 4231, the cases with keys of at most 64 bytes: key, data, HMAC-SHA-256.
RFC_4231 = (
    (  # case 1
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    (  # case 2
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (  # case 3
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ),
    (  # case 4
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (  # case 5, cut to 16 bytes
        b"\x0c" * 20,
        b"Test With Truncation",
        "a3b6167473100ee06e0c796c2955552b",
    ),
)

# RFC 3610 section 8, the packet vectors with M = 8: key, nonce, aad, plaintext, sealed.
KEY = unhex("c0c1c2c3c4c5c6c7c8c9cacbcccdcecf")
RFC_3610 = (
    ("00000003020100", 8, 31, "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0"),
    ("00000004030201", 8, 32, "72c91a36e135f8cf291ca894085c87e3cc15c439c9e43a3ba091d56e10400916"),
    (
        "00000005040302",
        8,
        33,
        "51b1e5f44a197d1da46b0f8e2d282ae871e838bb64da8596574adaa76fbd9fb0c5",
    ),
    ("00000006050403", 12, 31, "a28c6865939a9a79faaa5c4c2a9d4a91cdac8c96c861b9c9e61ef1"),
    ("00000007060504", 12, 32, "dcf1fb7b5d9e23fb9d4e131253658ad86ebdca3e51e83f077d9c2d93"),
    ("00000008070605", 12, 33, "6fc1b011f006568b5171a42d953d469b2570a4bd87405a0443ac91cb94"),
)

# SHA-256 over all that `seal` gives for plaintexts and aad of 0 to 33 bytes, from pycryptodome
# (tests/properties/test_backends.py computes them again).
ALL_LENGTHS = {
    8: "a6560e1620b1fe015169b8d6515d24f41061d9710bcba110d25cfd74ea90ebda",
    16: "4fe75234c37b6315684a8e415faf6060837ddbe9dd603ec41da5fbf749d60b9e",
}


def test_hmac_rfc_4231():
    for key, data, expected in RFC_4231:
        assert hmac_sha256(key, data)[: len(expected) // 2] == unhex(expected)
        assert len(hmac_sha256(key, data)) == 32


def test_hmac_key_of_exactly_one_block():
    # Made with OpenSSL: the key is used as it is, and differs from its hash.
    key = bytes(range(64))
    expected = unhex("0c4195064dd4ca79599d2b8508c3f4c5f3805080dd6b451ca30e7d2da73a2c3d")
    assert hmac_sha256(key, b"block") == expected
    assert hmac_sha256(b"", b"") == unhex(
        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
    )


def test_hkdf_rfc_5869_case_1():
    prk = hkdf_extract(unhex("000102030405060708090a0b0c"), b"\x0b" * 22)
    assert prk == unhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
    okm = hkdf_expand(prk, unhex("f0f1f2f3f4f5f6f7f8f9"), 42)
    assert okm == unhex(
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_hkdf_rfc_5869_case_3():
    prk = hkdf_extract(b"", b"\x0b" * 22)
    assert prk == unhex("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04")
    okm = hkdf_expand(prk, b"", 42)
    assert okm == unhex(
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )


def test_hkdf_every_length_is_a_prefix():
    whole = hkdf_expand(KEY, b"info", 97)
    for length in range(98):
        assert hkdf_expand(KEY, b"info", length) == whole[:length]


def test_equal():
    assert equal(b"", b"")
    assert equal(b"abc", b"abc")
    assert not equal(b"abc", b"abcd")
    assert not equal(b"abcd", b"abc")
    assert not equal(b"", b"\0")
    assert not equal(b"\0", b"\0\0")
    tag = pattern(16)
    for changed in flips(tag):
        assert not equal(tag, changed)
    # Two differences must not cancel each other.
    assert not equal(b"\x01\x01", b"\x00\x00")
    assert not equal(b"\x01\x00", b"\x00\x01")


def test_ccm_rfc_3610():
    for nonce, aad, end, expected in RFC_3610:
        cipher = AesCcm(KEY, 8)
        n = unhex(nonce) + unhex("a0a1a2a3a4a5")
        plaintext = bytes(range(aad, end))
        assert cipher.seal(n, plaintext, bytes(range(aad))) == unhex(expected)
        assert cipher.open(n, unhex(expected), bytes(range(aad))) == plaintext


def test_ccm_rfc_3610_packet_vector_13():
    sealed = AesCcm(unhex("d7828d13b2b0bdc325a76236df93cc6b"), 8).seal(
        unhex("00412b4ea9cdbe3c9696766cfa"),
        unhex("08e8cf97d820ea258460e96ad9cf5289054d895ceac47c"),
        unhex("0be1a88bace018b1"),
    )
    assert sealed == unhex("4cb97f86a2a4689a877947ab8091ef5386a6ffbdd080f8e78cf7cb0cddd7b3")


def test_ccm_nist_16_byte_tag():
    # NIST CAVP, DVPT128: Alen 32, Plen 24, Nlen 13, Tlen 16.
    cipher = AesCcm(unhex("26511fb51fcfa75cb4b44da75a6e5a0e"), 16)
    nonce = unhex("5a8aa485c316e9403aff859fbb")
    aad = unhex("a16a2e741f1cd9717285b6d882c1fc53655e9773761ad697a7ee6410184c7982")
    plaintext = unhex("8739b4bea1a099fe547499cbc6d1b13d849b8084c9b6acc5")
    sealed = unhex(
        "50038b5fdd364ee747b70d00bd36840ece4ea19998123375c0a458bfcafa3b2609afe0f825cbf503"
    )
    assert cipher.seal(nonce, plaintext, aad) == sealed
    assert cipher.open(nonce, sealed, aad) == plaintext


def test_ccm_every_length():
    for tag_length in (8, 16):
        cipher = AesCcm(pattern(16, 1), tag_length)
        digest = sha256()
        for n in range(34):
            for a in range(34):
                nonce, plaintext, aad = pattern(13, n), pattern(n, 2), pattern(a, 3)
                sealed = cipher.seal(nonce, plaintext, aad)
                assert len(sealed) == n + tag_length
                assert cipher.open(nonce, sealed, aad) == plaintext
                digest.update(sealed)
        assert digest.digest() == unhex(ALL_LENGTHS[tag_length])


def test_ccm_every_flipped_bit_of_a_ciphertext():
    for tag_length in (8, 16):
        cipher = AesCcm(KEY, tag_length)
        for n in range(34):
            nonce, aad = pattern(13, n), pattern(7 * n % 34)
            for changed in flips(cipher.seal(nonce, pattern(n), aad)):
                raises(BadTag, cipher.open, nonce, changed, aad)


def test_ccm_every_flipped_bit_of_nonce_aad_and_key():
    nonce, aad, plaintext = pattern(13, 5), pattern(20, 6), pattern(17, 7)
    for tag_length in (8, 16):
        cipher = AesCcm(KEY, tag_length)
        sealed = cipher.seal(nonce, plaintext, aad)
        for changed in flips(nonce):
            raises(BadTag, cipher.open, changed, sealed, aad)
        for changed in flips(aad):
            raises(BadTag, cipher.open, nonce, sealed, changed)
        for changed in flips(KEY):
            raises(BadTag, AesCcm(changed, tag_length).open, nonce, sealed, aad)


def test_ccm_other_lengths():
    nonce = pattern(13)
    for tag_length in (8, 16):
        cipher = AesCcm(KEY, tag_length)
        sealed = cipher.seal(nonce, b"plaintext", b"aad")
        for end in range(len(sealed)):
            raises(BadTag, cipher.open, nonce, sealed[:end], b"aad")
        raises(BadTag, cipher.open, nonce, sealed + b"\0", b"aad")
        raises(BadTag, cipher.open, nonce, sealed, b"aa")
        raises(BadTag, cipher.open, nonce, sealed, b"aad\0")
        raises(BadTag, cipher.open, nonce, sealed, b"")
    # The tag length is part of the tag: a cut long tag is not a short one.
    long_tag = AesCcm(KEY, 16).seal(nonce, b"plaintext", b"aad")
    raises(BadTag, AesCcm(KEY, 8).open, nonce, long_tag[:-8], b"aad")


def test_ccm_one_object_serves_many_messages():
    cipher = AesCcm(KEY, 8)
    first = cipher.seal(pattern(13, 1), b"first", b"")
    cipher.seal(pattern(13, 2), b"second", b"")
    raises(BadTag, cipher.open, pattern(13, 2), first, b"")
    assert cipher.open(pattern(13, 1), first, b"") == b"first"
    assert cipher.seal(pattern(13, 1), b"first", b"") == first


def test_ccm_of_long_messages():
    """Lengths and counters beyond one byte; expected values from another implementation."""
    expected = (
        (300, 10, "b8f0523db2b6f57c8ff9b7276e28dea8"),
        (4096, 300, "2e0ecd7a03993bf29f67875cd8665cdc"),
        (5000, 257, "6fea178f178ebf9bad5c04628cf880e7"),
    )
    cipher, nonce = AesCcm(bytes(range(16)), 8), bytes(range(13))
    for size, aad_size, digest in expected:
        plaintext = bytes([i * 7 & 255 for i in range(size)])
        aad = bytes([i * 3 & 255 for i in range(aad_size)])
        sealed = cipher.seal(nonce, plaintext, aad)
        assert sha256(sealed).digest()[:16] == unhex(digest)
        assert cipher.open(nonce, sealed, aad) == plaintext

"""Every key, tag and label against frozen values of tests/properties/oracle.py."""

from dual.tools import pattern, unhex

from skerry import further, provisioning, schedule

K0 = bytes(range(32))


def test_context():
    assert schedule.context(0, b"lamp-7", b"hub") == unhex("2d9f1eb265e4cdff602d1a30a1856fdd")
    assert schedule.context(1, b"lamp-7", b"hub") == unhex("7f073c54e93430eb255e3945cdc17d64")


def test_context_is_unambiguous():
    made = [
        schedule.context(suite, device_id, hub_id)
        for suite in (0, 1)
        for device_id, hub_id in (
            (b"ab", b"c"),
            (b"a", b"bc"),
            (b"a\x02b", b"c"),
            (b"c", b"ab"),
            (b"a" * 255, b"b" * 255),
            (b"a" * 254, b"b" * 255),
        )
    ]
    assert len(set(made)) == len(made)
    assert {len(each) for each in made} == {16}


def test_chain():
    # HMAC-SHA-256 of these keys and messages, nothing else.
    ctx = schedule.context(0, b"lamp-7", b"hub")
    root = provisioning.root_key(K0, ctx)
    assert root == unhex("cb150f70cc58a87482cdd9b0b1e698e7ec73fabf179ab8c69a2c4315a16d7a78")
    chain_key = schedule.first_chain_key(root)
    assert chain_key == unhex("8d3c7e0bd05951143bf4ed1cbf3199fa373bd4e3ac98ae90d4dab0f8927c85db")
    assert schedule.next_root_key(root) == unhex(
        "01abc35d75241951f861e02e6472bfd0e3ffa1bc102d000b7d27f9f2bfc23705"
    )
    assert schedule.epoch_key(chain_key) == unhex(
        "640a38c33a981afe1a1d49840fed1c210a809d9cd6394613c70693173b569e49"
    )
    assert schedule.next_chain_key(chain_key) == unhex(
        "29d231a4de99df00b1d73cadb0845e8337bea134c9fa6c5efcdc59f9d9fcf220"
    )
    assert schedule.pseudonym(chain_key) == unhex("8664085d0028")
    assert further.poke(pattern(32)) == unhex("6c872cc0b3f59dac")


def test_tags_and_session_secret():
    ek, ctx = pattern(32, 1), pattern(16, 2)
    signed_1, signed_2 = pattern(15, 3), pattern(14, 4)
    for length in (8, 16):
        assert (
            schedule.tag_1(ek, ctx, signed_1, length)
            == unhex("17323e1e369f1698ede8e5b8870058f6cc6af6a04ebb18e90b0360c00c330618")[:length]
        )
        assert (
            schedule.tag_2(ek, ctx, signed_1, signed_2, length)
            == unhex("c73c7b4d578373b60924dca2284ee8488df2450b3dfb3e2ec1aa431694c92d42")[:length]
        )
    assert schedule.session_secret(ek, ctx, signed_1, 0x21, pattern(8, 5)) == unhex(
        "5c8d69b048b669cccf3d31f3105e1790e4fb14c1ae13e7242fe7930179e515f8"
    )


def test_exports():
    secret, salt, kid = schedule.oscore_secrets(pattern(32, 6))
    assert (len(secret), len(salt), len(kid)) == (16, 8, 3)
    assert secret + salt + kid == unhex("4dc65a1948606bb67aa05eb0a93a182552d9946ebeb7e6bb88b3d3")
    assert schedule.fingerprint(pattern(32, 6)) == "8bda5eaf"
    assert further.exported(pattern(32, 6), b"wg1", b"peer", 40) == unhex(
        "3d0b3a4aa391c5adb82c4550a7cd7284bbd5d1f9a2d0ea533f8d19bdc5135daf334de26f9880d361"
    )
    # No label is the end of another one, and no context the beginning of a label.
    assert further.exported(pattern(32, 6), b"wg1p", b"eer", 4) != unhex("3d0b3a4a")
    assert further.exported(pattern(32, 6), b"oscore", b"", 16) != secret


def test_labels_are_apart():
    key = pattern(32)
    made = [
        schedule.first_chain_key(key)[:6],
        schedule.next_root_key(key)[:6],
        schedule.pseudonym(key),
        further.poke(key)[:6],
        further.exported(key, b"oscore", b"", 6),
        schedule.tag_1(key, b"", b"", 6),
        schedule.tag_2(key, b"", b"", b"", 6),
        schedule.session_secret(key, b"", b"", 0, b"")[:6],
        schedule.oscore_secrets(key)[0][:6],
        further.proof(key, b"", b"")[:6],
    ]
    assert len(set(made)) == 10

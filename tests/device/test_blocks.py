"""Bodies longer than a message, both ways: sizes, smaller blocks, changes and lost sessions."""

from block_hub import BLOCK1, BLOCK2, BlockStore
from flash import raises
from place import Place

from skerry import coap
from skerry_device.errors import HubSilent

SIZES = (0, 1, 255, 256, 257, 511, 512, 513, 1000, 4096)


def body(size, seed=7):
    pattern = bytes([i * seed & 255 for i in range(251)])  # no multiple of a block
    return (pattern * (size // 251 + 1))[:size]


def place(**more):
    made = Place()
    made.hub.answer = store = BlockStore(**more)
    return made, made.connect(), store


def collector():
    """Return a buffer, and what writes to it."""
    found = bytearray()

    def write(offset, data):
        assert offset <= len(found)
        found[offset:] = data

    return found, write


def test_put_and_get():
    for szx in (6, 4, 2, 0):
        _, hub, store = place(szx=szx)
        for size in SIZES:
            if size > 600 and not szx:
                continue
            assert hub.put("file", body(size)).code == coap.CHANGED
            assert store.body == body(size)
            response = hub.get("file")
            assert (response.ok, response.payload) == (True, body(size))


def test_short_bodies_take_one_message():
    made, hub, store = place()
    hub.put("file", body(256))
    hub.get("file")
    assert len(made.net.sends) == 3
    assert store.blocks == [(BLOCK2, 4)]


def test_blocks_on_the_wire():
    """256 bytes each, numbered, with the more bit; a datagram stays below 320 bytes."""
    made, hub, store = place()
    hub.put("file", body(600))
    assert store.blocks == [(BLOCK1, 0x0C), (BLOCK1, 0x1C), (BLOCK1, 0x24)]
    store.blocks.clear()
    hub.get("file")
    assert store.blocks == [(BLOCK2, 0x04), (BLOCK2, 0x14), (BLOCK2, 0x24)]
    assert max([len(datagram) for _, datagram in made.net.sends]) < 320


def test_the_hub_asks_for_smaller_blocks():
    """By its answer to the first block, or by 4.13 with a size."""
    made, hub, store = place(szx=2)
    hub.put("file", body(700))
    assert store.body == body(700)
    assert store.blocks[0] == (BLOCK1, 0x0C)
    assert all(value & 7 == 2 for _, value in store.blocks[1:])


def test_streams():
    """Nothing holds all of the body: what is read is sent, what comes is written."""
    made, hub, store = place()
    whole = body(6_000)
    longest = []

    def read(offset, length):
        longest.append(length)
        return whole[offset : offset + length]

    assert hub.upload("file", read, 42).ok
    assert store.body == whole
    assert max(longest) == 256
    found, write = collector()
    response = hub.download("file", write)
    assert (response.ok, response.payload) == (True, b"")
    assert bytes(found) == whole


def test_limits():
    made, hub, store = place()
    store.body = body(4097)
    assert "4096" in str(raises(ValueError, hub.get, "file"))
    hub.limit = 5000
    assert hub.get("file").payload == store.body
    found, write = collector()
    raises(ValueError, hub.download, "file", write, 1000)
    assert len(found) <= 1000


def test_too_large_for_the_hub():
    made, hub, store = place(limit=500)
    assert hub.put("file", body(1000)).code == 0x8D


def test_change_in_between_starts_anew():
    made, hub, store = place()
    store.body = body(1000)
    seen = []

    def change():
        seen.append(1)
        if len(seen) == 3:
            store.body, store.etag = body(900, 3), b"2"

    store.before = change
    assert hub.get("file").payload == body(900, 3)
    offsets = []
    store.etag, store.body = b"3", body(1000)
    seen.clear()
    found, write = collector()

    def noting(offset, data):
        offsets.append(offset)
        write(offset, data)

    hub.download("file", noting)
    assert bytes(found) == body(900, 3)
    assert offsets == [0, 256, 0, 256, 512, 768]


def test_change_at_every_block_ends():
    made, hub, store = place()
    store.body = body(1000)

    def change():
        store.etag = bytes((store.etag[0] + 1 & 255,))

    store.before = change
    response = hub.get("file")
    assert response.payload != store.body
    assert len(store.blocks) < 20


def test_session_lost_in_an_upload():
    """The hub forgets what came so far: it starts anew, in a new session, by itself."""
    made, hub, store = place()
    seen = []

    def restart():
        seen.append(1)
        if len(seen) == 3:
            made.hub.restart()
            store.coming = None

    store.before = restart
    assert hub.put("file", body(1500)).ok
    assert store.body == body(1500)
    assert made.hub.answered == 2


def test_session_lost_in_a_download():
    made, hub, store = place()
    store.body = body(1500)
    carry = made.net.peer

    def peer(datagram):
        if len(made.net.sends) == 4:
            made.hub.restart()
        return carry(datagram)

    made.net.peer = peer
    assert hub.get("file").payload == body(1500)
    assert made.hub.answered == 2


def test_each_datagram_lost_in_turn():
    for lost in range(1, 6):
        for way in ("lose", "lose_answer"):
            made, hub, store = place()
            setattr(made, way, lambda number, datagram, lost=lost: number == lost)
            assert hub.put("file", body(600)).ok
            assert store.body == body(600)
            assert hub.get("file").payload == body(600)


def test_hub_away():
    made, hub, store = place()
    made.lose = lambda number, datagram: number >= 2
    raises(HubSilent, hub.put, "file", body(600))


def test_what_the_hub_forgets_all_the_time():
    """4.08 for ever ends, too."""
    made, hub, store = place()

    def forget():
        store.coming = None

    store.before = forget
    assert hub.put("file", body(600)).code == 0x88
    assert len(store.blocks) < 12


def test_long_request_and_long_response():
    made, hub, store = place()
    answer = made.hub.answer

    def echo(inner):
        found = answer(inner)
        if found.code == coap.CHANGED and inner.option(BLOCK2) is None:
            return store.piece(coap.Message(coap.GET, [(BLOCK2, b"\4")]), coap.CHANGED)
        return found

    made.hub.answer = echo
    response = hub.post("echo", body(700))
    assert response.code == coap.CHANGED
    assert response.payload == body(700)


def test_wrong_blocks():
    """Another number than was asked for, an empty one that promises more, no option at all."""
    for wrong in ((BLOCK2, b"\x7c"), (BLOCK2, b"\x1c"), None):
        made, hub, store = place()
        store.body = body(1000)
        count = []

        def answer(inner, store=store, wrong=wrong, count=count):
            count.append(1)
            if len(count) % 2 == 0:
                payload = b"" if wrong and wrong[1] == b"\x1c" else b"x"
                return coap.Message(coap.CONTENT, [wrong] if wrong else [], payload)
            return store(inner)

        made.hub.answer = answer
        hub.get("file")
        assert len(count) < 20

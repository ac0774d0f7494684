"""The hub's requests to a device: answered once, in order of section 7.4 of RFC 8613, or not."""

import os

from place import Place, works

from skerry import coap


def serving(confirmed=True, **handlers):
    """Return (place, hub, calls) with the resource "led" served by what records its calls."""
    place = Place()
    hub = place.connect()
    calls = []

    def led(request):
        calls.append(request)
        return {"on": len(calls)}

    hub.serve("led", led, **handlers)
    if confirmed:
        works(place, hub)
    return place, hub, calls


def ask(place, hub, *datagrams):
    """Let datagrams arrive; return what the device sends."""
    sent = len(place.net.sends)
    for i, datagram in enumerate(datagrams):
        place.net.deliver(i + 1, datagram)
    hub.listen(200)
    return [coap.decode(datagram) for _, datagram in place.net.sends[sent:]]


def opened(place, answer, binding):
    return place.hub.last.oscore.unprotect_response(answer, binding)


def test_each_method():
    place, hub, calls = serving()
    for code in (coap.GET, coap.POST, coap.PUT, 4):
        datagram, binding = place.hub.ask(code, "led", b"x")
        (answer,) = ask(place, hub, datagram)
        request = coap.decode(datagram)
        assert (answer.type, answer.mid, answer.token) == (coap.ACK, request.mid, request.token)
        assert answer.code == coap.CHANGED
        inner = opened(place, answer, binding)
        assert inner.code == (coap.CONTENT if code == coap.GET else coap.CHANGED)
        assert inner.payload == b'{"on": %d}' % len(calls)
        assert inner.option(coap.CONTENT_FORMAT) == b"\x32"
        assert (calls[-1].code, calls[-1].payload) == (code, b"x")


def test_what_a_handler_may_return():
    place, hub, _ = serving()
    cases = (
        (None, coap.CHANGED, b"", None),
        ("grün", coap.CHANGED, "grün".encode(), b""),
        (b"\0\1", coap.CHANGED, b"\0\1", None),
        (bytearray(b"ab"), coap.CHANGED, b"ab", None),
        ([1], coap.CHANGED, b"[1]", b"\x32"),
        ((0x41, b"made"), 0x41, b"made", None),
        ((0x83, None), 0x83, b"", None),
    )
    for returned, code, payload, option in cases:
        hub.serve("x/y", lambda request, returned=returned: returned)
        datagram, binding = place.hub.ask(coap.PUT, "x/y")
        inner = opened(place, ask(place, hub, datagram)[0], binding)
        assert (inner.code, inner.payload) == (code, payload)
        assert inner.option(coap.CONTENT_FORMAT) == option


def test_non_confirmable_requests():
    place, hub, calls = serving()
    datagram, binding = place.hub.ask(coap.GET, "led", kind=coap.NON)
    (answer,) = ask(place, hub, datagram)
    assert answer.type == coap.NON
    assert answer.token == coap.decode(datagram).token
    assert opened(place, answer, binding).code == coap.CONTENT


def test_errors():
    """No such resource, no such method, a handler that fails, a payload that cannot be said."""
    place, hub, _ = serving()
    hub.serve("only", get=lambda request: b"x")
    hub.serve("fails", lambda request: {}["nothing"])
    hub.serve("odd", lambda request: (1, 2, 3))
    cases = (("nowhere", 1, 0x84), ("", 1, 0x84), ("only", 1, 0x45), ("only", 2, 0x85))
    cases += (("led", 9, 0x85), ("fails", 1, 0xA0), ("odd", 1, 0xA0))
    for path, code, expected in cases:
        datagram, binding = place.hub.ask(code, path)
        assert opened(place, ask(place, hub, datagram)[0], binding).code == expected
    works(place, hub)


def test_a_retransmission_gets_the_same_bytes():
    place, hub, calls = serving()
    datagram, _ = place.hub.ask(coap.POST, "led")
    sent = len(place.net.sends)
    assert len(ask(place, hub, datagram, datagram, datagram)) == 3
    assert len({each for _, each in place.net.sends[sent:]}) == 1
    assert len(calls) == 1


def test_replay_window():
    """T9: 3, 5, 4, 4, 6, 1 in this order: each once; replays get the bytes of before or silence."""
    place, hub, calls = serving()
    requests = [place.hub.ask(coap.POST, "led", b"%d" % i)[0] for i in range(7)]
    for i in (3, 5, 4, 4, 6, 1):
        ask(place, hub, requests[i])
    assert [each.payload for each in calls] == [b"3", b"5", b"4", b"6", b"1"]
    for i in (3, 4, 5, 6, 1):
        changed = bytearray(requests[i])
        changed[2] ^= 1  # another message id: no retransmission
        assert ask(place, hub, bytes(changed)) == []
    assert len(calls) == 5


def test_window_edge():
    place, hub, calls = serving()
    requests = [place.hub.ask(coap.POST, "led", b"%d" % i)[0] for i in range(40)]
    for i in (33, 1, 2, 33, 1, 39, 7, 8):
        ask(place, hub, requests[i])
    assert [each.payload for each in calls] == [b"33", b"2", b"39", b"8"]


def test_forged_requests_get_silence():
    place, hub, calls = serving()
    datagram, binding = place.hub.ask(coap.POST, "led", b"x")
    for i in range(len(datagram) - 12, len(datagram)):
        forged = bytearray(datagram)
        forged[i] ^= 0x10
        assert ask(place, hub, bytes(forged)) == []
    assert ask(place, hub, datagram[:-1]) == []
    assert calls == []
    assert hub.status()["failures"] == 13
    assert len(ask(place, hub, datagram)) == 1


def test_plain_requests_are_rejected():
    """T22: nothing is served without OSCORE, whoever asks."""
    place, hub, calls = serving()
    plain = coap.Message(coap.GET, coap.path_options("led"), b"", coap.CON, 0x1111, b"\1")
    (answer,) = ask(place, hub, coap.encode(plain))
    assert (answer.type, answer.code, answer.mid) == (coap.RST, coap.EMPTY, 0x1111)
    plain.type = coap.NON
    assert ask(place, hub, coap.encode(plain)) == []
    assert calls == []


def test_nothing_is_served_before_confirmation():
    place, hub, calls = serving(confirmed=False)
    datagram, _ = place.hub.ask(coap.GET, "led")
    place.lose = lambda number, datagram: True
    sent = ask(place, hub, datagram)
    assert all(each.type != coap.ACK for each in sent)
    assert calls == []


def test_listening_confirms():
    """Who only listens sends one request, so that the hub may use the session."""
    place, hub, calls = serving(confirmed=False)
    hub.listen(10)
    assert len(place.hub.served) == 1
    datagram, binding = place.hub.ask(coap.GET, "led")
    assert opened(place, ask(place, hub, datagram)[0], binding).code == coap.CONTENT


def test_requests_during_a_request():
    place, hub, calls = serving()
    datagram, binding = place.hub.ask(coap.GET, "led")
    carry = place.net.peer
    place.net.peer = lambda sent: [(1, datagram)] + [(9, each) for _, each in carry(sent)]
    works(place, hub)
    assert len(calls) == 1


def test_both_directions_share_no_nonce():
    """Responses take the hub's Partial IV, requests the device's own: all differ."""
    place, hub, _ = serving()
    for i in range(5):
        datagram, binding = place.hub.ask(coap.GET, "led")
        opened(place, ask(place, hub, datagram)[0], binding)
        works(place, hub)
    assert hub.session.oscore.sequence == 6


def test_a_session_is_served_for_itself():
    """Requests of the former session mean nothing in the next one, whose window is new."""
    place, hub, calls = serving()
    old, _ = place.hub.ask(coap.GET, "led")
    hub.rekey()
    assert ask(place, hub, old) == []
    new, binding = place.hub.ask(coap.GET, "led")
    assert opened(place, ask(place, hub, new)[0], binding).code == coap.CONTENT
    assert len(calls) == 1


def test_junk():
    place, hub, calls = serving()
    head = b"\x44\x02\x12\x34abcd\x99"
    for length in range(40):
        ask(place, hub, head + os.urandom(9) + b"\xff" + os.urandom(length))
    assert calls == []
    works(place, hub)


def test_without_memory():
    """A handler, or the receive path, that finds no memory: as good as lost, and life goes on."""
    place, hub, calls = serving()

    def full(request):
        raise MemoryError

    hub.serve("full", full)
    datagram, binding = place.hub.ask(coap.GET, "full")
    assert opened(place, ask(place, hub, datagram)[0], binding).code == 0xA0
    decode, coap.decode = coap.decode, full
    try:
        place.net.deliver(1, datagram)
        hub.listen(10)
    finally:
        coap.decode = decode
    works(place, hub)


BLOCK1, BLOCK2, SIZE1 = 27, 23, 60
WHOLE = bytes(range(250)) * 3


def block(number, more, szx=4):
    return coap.uint(number << 4 | more << 3 | szx)


def put(place, hub, number, more, payload, szx=4, path="image"):
    """Send one block of a PUT; return the answer, opened."""
    options = [(BLOCK1, block(number, more, szx))]
    datagram, binding = place.hub.ask(coap.PUT, path, payload, options=options)
    return opened(place, ask(place, hub, datagram)[0], binding)


def keeping(limit=4096):
    """Return (place, hub, bodies) with "image" and "other" served by what keeps bodies."""
    place, hub, _ = serving()
    hub.limit = limit
    bodies = []

    def keep(request):
        bodies.append(request.payload)

    hub.serve("image", keep)
    hub.serve("other", keep)
    return place, hub, bodies


def test_a_request_in_blocks():
    """RFC 7959 section 2.3: 2.31 for each block, and the handler is called with all of them."""
    place, hub, bodies = keeping()
    for szx in (4, 2, 0):
        size = 16 << szx
        last = (len(WHOLE) - 1) // size
        for number in range(last):
            answer = put(place, hub, number, 1, WHOLE[number * size : (number + 1) * size], szx)
            assert (answer.code, answer.option(BLOCK1)) == (0x5F, block(number, 1, szx))
        answer = put(place, hub, last, 0, WHOLE[last * size :], szx)
        assert (answer.code, answer.option(BLOCK1)) == (coap.CHANGED, block(last, 0, szx))
        assert bodies.pop() == WHOLE
    assert put(place, hub, 0, 0, b"x").code == coap.CHANGED  # one block is all of it
    assert bodies == [b"x"]


def test_blocks_that_do_not_follow():
    """4.08, and neither a gap nor a repetition nor another transfer's block does any harm."""
    place, hub, bodies = keeping()
    part = bytes(256)
    assert put(place, hub, 1, 0, part).code == 0x88
    assert put(place, hub, 0, 1, part).code == 0x5F
    for number, payload, path in ((2, part, "image"), (0x1000, b"x", "image"), (1, b"x", "other")):
        assert put(place, hub, number, 0, payload, path=path).code == 0x88
    assert put(place, hub, 1, 1, b"short").code == 0x80
    assert put(place, hub, 1, 0, bytes(257)).code == 0x80
    assert put(place, hub, 1, 0, b"x", szx=7).code == 0x80
    assert put(place, hub, 1, 0, b"end").code == coap.CHANGED
    assert bodies == [part + b"end"]


def test_a_request_that_is_too_long():
    place, hub, bodies = keeping(limit=600)
    for number in (0, 1):
        assert put(place, hub, number, 1, bytes(256)).code == 0x5F
    answer = put(place, hub, 2, 0, bytes(89))
    assert (answer.code, answer.option(SIZE1)) == (0x8D, coap.uint(600))
    assert put(place, hub, 2, 0, b"x").code == 0x88  # nothing is kept of it
    assert bodies == []


def test_a_request_for_which_there_is_no_memory():
    place, hub, bodies = keeping()

    class Full(bytearray):
        def extend(self, data):
            raise MemoryError

    assert put(place, hub, 0, 1, bytes(256)).code == 0x5F
    hub.server._parts._body = Full(bytes(256))
    assert put(place, hub, 1, 0, b"x").code == 0x8D
    works(place, hub)
    assert bodies == []


def test_another_session_does_not_go_on_with_a_request():
    place, hub, bodies = keeping()
    assert put(place, hub, 0, 1, bytes(256)).code == 0x5F
    hub.rekey()
    assert put(place, hub, 1, 0, b"x").code == 0x88
    assert bodies == []


def get(place, hub, number=None, szx=4, path="log"):
    options = [] if number is None else [(BLOCK2, block(number, 0, szx))]
    datagram, binding = place.hub.ask(coap.GET, path, options=options)
    return opened(place, ask(place, hub, datagram)[0], binding)


def test_an_answer_in_blocks():
    """RFC 7959 section 2.4: 256 bytes each or less, one version of it, one call of the handler."""
    place, hub, _ = serving()
    calls = []

    def log(request):
        calls.append(request)
        return WHOLE

    hub.serve("log", log)
    for szx in (6, 4, 1):
        size = 16 << min(szx, 4)
        last = (len(WHOLE) - 1) // size
        tags, whole = set(), b""
        for number in range(last + 1):
            asked = min(szx, 4) if number else szx  # 1,024 bytes are too many for it
            answer = get(place, hub, number if number or szx != 4 else None, asked)
            tags.add(answer.option(4))
            assert answer.code == coap.CONTENT
            assert answer.option(BLOCK2) == block(number, number < last, min(szx, 4))
            whole += answer.payload
        assert whole == WHOLE
        assert len(tags) == 1
    assert len(calls) == 3
    assert get(place, hub, 1).code == 0x88  # let go with the last block
    assert get(place, hub).code == coap.CONTENT
    assert get(place, hub, 3).code == 0x80  # beyond the end
    assert get(place, hub, 1, path="led").code == 0x88
    assert len(get(place, hub, 1).payload) == 256
    assert get(place, hub, 0, path="led").option(BLOCK2) is None  # it fits

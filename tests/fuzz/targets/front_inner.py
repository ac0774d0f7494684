"""A true device may put any bytes inside: the hub survives, stores one reading at most, for it."""

from fuzz.world import Worlds

from skerry import coap, oscore
from skerry.errors import Malformed, SkerryError
from skerry_hub.readings import MAX_READING

BLOCK1 = 27
SPLIT = b"\0\0\xff\xff"  # between the requests of one session

worlds = Worlds()


def sealed(session, plaintext, mid, kind):
    """Protect a plaintext as it is; return its datagram and what an answer is bound to."""
    context = session.oscore
    partial_iv = context.take_partial_iv()
    nonce = context.nonce(context.sender_id, partial_iv)
    binding = oscore.Binding(context.sender_id, partial_iv, nonce)
    option = oscore.encode_option(partial_iv, None, context.sender_id)
    ciphertext = context._sender.seal(nonce, plaintext, context._aad(binding))
    outer = coap.Message(coap.POST, [(coap.OSCORE, option)], ciphertext, kind, mid, b"t")
    return coap.encode(outer), binding


def check(data):
    world = worlds()
    session = world.session("d-live")
    for mid, part in enumerate(data.split(SPLIT)[:5]):
        one(world, session, mid, part)
    worlds.end()


def one(world, session, mid, data):
    kind, plaintext = (data[0] & 3, data[1:]) if data else (coap.CON, b"")
    before = world.rows()
    datagram, binding = sealed(session, plaintext, mid, kind)
    answers = world.receive(datagram)
    after = world.rows()
    assert after[:3] == before[:3]
    new = after[3][len(before[3]) :]
    assert after[3][: len(before[3])] == before[3]
    assert len(new) <= 1
    device = world.opened.store.device("d-live")
    assert device.readings == len([each for each in after[3] if each[1] == device.id])
    for reading in new:
        assert reading[1] == device.id
        assert world.opened.store.last_reading(device.id).id == reading[0]
        assert len(reading[6]) <= MAX_READING
        assert reading[6] in plaintext or in_blocks(plaintext)
    for answer in answers:
        told = coap.decode(answer)
        if told.code != coap.EMPTY:
            assert session.oscore.unprotect_response(told, binding).code >> 5 in (2, 4, 5)
    try:
        session.oscore.unprotect_response(coap.decode(datagram), binding)
    except SkerryError:
        return
    raise AssertionError("a request was taken for its answer")


def in_blocks(plaintext):
    """Tell whether earlier requests may belong to this one."""
    try:
        return BLOCK1 in [number for number, _ in coap.decode_body(plaintext[1:])[0]]
    except Malformed:
        return False

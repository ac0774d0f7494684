"""The hub survives any datagram; what is not authentic changes no row and no session."""

from fuzz.world import Worlds

from skerry import coap
from skerry.errors import Malformed

worlds = Worlds()
PLAIN_SUCCESS = (coap.CONTENT, 0x5F)  # of the hub's own description, 0x5F while it comes in blocks


def authentic(world, datagram):
    """Tell whether a device made what counts in it: then the hub may act."""
    try:
        return coap.decode(datagram).payload in world.authentic
    except Malformed:
        return False


def check(data):
    world = worlds()
    if authentic(world, data):
        world.receive(data)
        worlds.end(now=True)
        return
    before, memory = world.rows(), world.sessions()
    answers = world.receive(data)
    assert world.rows() == before
    assert world.sessions() == memory
    assert len(answers) <= 2, answers
    for answer in answers:
        judge(world, data, coap.decode(answer), answer)
    worlds.end()


def judge(world, asked, told, answer):
    """What nobody proved to have asked is refused, answered in plain, or was answered before."""
    if answer in world.answers or told.code == coap.EMPTY or told.code >> 5 in (4, 5):
        return
    if told.option(coap.OSCORE) is None and told.code in PLAIN_SUCCESS:
        return
    payloads = [coap.decode(each).payload for each in world.spent]
    assert told.code == coap.CHANGED
    assert coap.decode(asked).payload in payloads  # message 1 of the epoch that is pending
    assert len(told.payload) in (17, 22, 25, 30)

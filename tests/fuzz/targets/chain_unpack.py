"""Chain.unpack raises nothing but Malformed, its moves nothing but Exhausted; pack undoes it."""

from skerry.chain import MAX_ERA, MAX_STEP, Chain
from skerry.errors import Exhausted, Malformed


def check(data):
    try:
        chain = Chain.unpack(data)
    except Malformed:
        assert len(data) != 72
        return
    assert chain.pack() == data
    for move in (chain.next_step, chain.next_era):
        try:
            after = move()
        except Exhausted:
            assert chain.era == MAX_ERA
            assert move == chain.next_era or chain.step == MAX_STEP
        else:
            assert (after.era, after.step) > (chain.era, chain.step)
            assert len(after.pack()) == 72
            assert after.chain_key != chain.chain_key

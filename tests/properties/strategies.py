"""What hypothesis makes: CoAP messages, and bytes that are nearly messages."""

from hypothesis import strategies as st

from skerry import coap

numbers = st.one_of(
    st.sampled_from([0, 1, 3, 7, 9, 11, 12, 13, 14, 15, 35, 39, 60, 268, 269, 270, 281, 65535]),
    st.integers(0, 65535),
)
values = st.one_of(st.binary(max_size=20), st.binary(min_size=260, max_size=290))
options = st.lists(st.tuples(numbers, values), max_size=8)
codes = st.integers(1, 255)
payloads = st.binary(max_size=40)


@st.composite
def messages(draw: st.DrawFn, with_codes: st.SearchStrategy[int] = codes) -> coap.Message:
    """Messages in which only the order of options is not canonical."""
    return coap.Message(
        draw(with_codes),
        draw(options),
        draw(payloads),
        draw(st.integers(0, 3)),
        draw(st.integers(0, 65535)),
        draw(st.binary(max_size=8)),
    )


def in_order(given: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Sort options by number and nothing else."""
    return sorted(given, key=lambda option: option[0])


def fields(message: coap.Message) -> tuple[object, ...]:
    return (
        message.code,
        in_order(message.options),
        message.payload,
        message.type,
        message.mid,
        message.token,
    )


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with a few changed, some cut off, or some put behind."""
    changed = bytearray(whole)
    for _ in range(draw(st.integers(0, 3))):
        if changed:
            changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    end = draw(st.integers(0, len(changed)))
    return bytes(changed[: draw(st.sampled_from([end, len(changed)]))]) + draw(
        st.binary(max_size=4)
    )

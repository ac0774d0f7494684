"""Labels: what is printed is what a reader of codes reads, and what is wrong in it is named."""

import io

import pypdfium2
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_cli import Hub

from skerry import record
from skerry.chain import Chain
from skerry_hub.bulk.label_text import _ALPHABET, LabelText, parse
from skerry_hub.errors import HubError

SAID = LabelText("d-7k3mqx29", "h-pb42tr6k", "8a17c0d4")
names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
texts = st.builds(LabelText, names, names, st.from_regex(r"[0-9a-f]{8}", fullmatch=True))


@pytest.fixture
def hub(tmp_path):
    hub = Hub(tmp_path / "hub")
    hub.good("init")
    return hub


@given(texts)
def test_what_is_written_is_read(said):
    assert parse(str(said)) == said


def test_people_type_it_their_way():
    text = str(SAID)
    for typed in (text.lower(), " ".join(text), text.replace("-", "\u2013"), f"  {text}\n"):
        assert parse(typed) == SAID


@given(texts, st.data())
def test_one_wrong_character_or_a_swap_is_found_and_the_part_named(said, data):
    parts = str(said).split(":")
    which = data.draw(st.integers(1, 3))
    part = list(parts[which])
    at = data.draw(st.integers(0, len(part) - 1))
    if data.draw(st.booleans()) and at + 1 < len(part):
        part[at : at + 2] = reversed(part[at : at + 2])
    else:
        part[at] = data.draw(st.sampled_from(_ALPHABET))
    wrong = ":".join([*parts[:which], "".join(part), *parts[which + 1 :]])
    if wrong == str(said):
        return
    with pytest.raises(HubError, match="the " + ("id", "hub", "fingerprint")[which - 1]):
        parse(wrong)


@pytest.mark.parametrize("text", ["", "SK2:A:B:C", "SK1:AB", "SK1:A:B:C:D", "https://example.org"])
def test_what_is_no_label(text):
    with pytest.raises(HubError):
        parse(text)


def test_parts_that_changed_places_are_found():
    version, one, two, three = str(SAID).split(":")
    with pytest.raises(HubError, match="the id is wrong"):
        parse(":".join([version, two, one, three]))


def keys(hub):
    for slot in hub.data.glob("bundles/*/skerry.0"):
        chain = Chain.unpack(record.unpack(slot.read_bytes())[1])
        yield from (chain.chain_key, chain.pack()[-32:])


def codes(image):
    return sorted(each.text for each in zxingcpp.read_barcodes(image))


def test_png_and_pdf_say_what_they_should_and_no_key(hub, tmp_path):
    ids = [f"lamp-{number}" for number in range(30)]
    for name in ids:
        hub.good("enroll", name, "--label", "kitchen \u2603")
    said = hub.json("label", *ids, "-o", str(tmp_path / "all.pdf"))
    one = hub.json("label", ids[0], "-o", str(tmp_path / "one.png"))
    assert codes(Image.open(tmp_path / "one.png")) == [one[0]["text"]]
    content = (tmp_path / "all.pdf").read_bytes()
    pages = [each.render(scale=4).to_pil() for each in pypdfium2.PdfDocument(io.BytesIO(content))]
    assert len(pages) == 2
    found = [text for page in pages for text in codes(page)]
    assert sorted(found) == sorted(each["text"] for each in said)
    for key in keys(hub):
        assert key not in content
        assert not any(key.hex()[:16].upper() in each["text"] for each in said)
    read = hub.json("label", "--read", said[3]["text"].lower())
    assert (read["id"], read["state"]) == ("lamp-3", "active")


def test_errors_say_what_to_do(hub, tmp_path):
    hub.good("enroll", "lamp")
    hub.good("enroll", "door")
    out = tmp_path / "label.png"
    (text,) = (each["text"] for each in hub.json("label", "lamp", "-o", str(out)))
    assert "mistyped" in hub.fails(
        "label", "--read", text[:-1] + ("A" if text[-1] != "A" else "B")
    )
    assert ".pdf" in hub.fails("label", "lamp", "door", "-o", str(out))
    assert "-o" in hub.fails("label", "lamp")
    other = Hub(tmp_path / "other")
    other.good("init")
    assert "ask that one" in other.fails("label", "--read", text)
    changed = LabelText("lamp", parse(text).hub, "00000000")
    assert "flashed anew" in hub.fails("label", "--read", str(changed))

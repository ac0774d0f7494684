"""Pages of what the store holds: bounded reads, and counts that nobody counts."""

import pytest
from desk import ADDRESS
from stores import sqlite_only

from skerry_hub import enrolment
from skerry_hub.store import Wanted, pages
from skerry_hub.store.sqlite import SqliteStore


@pytest.fixture
def store(opened):
    """A hub's store with twelve devices."""
    for number in range(12):
        enrolment.enroll(opened, f"d-{number:02}", label="Ost & %_ Süd", address=ADDRESS)
    for name in ("d-03", "d-07"):
        opened.store.set_tags(name, "sensor north")
    opened.store.set_tags("d-04", "sensors")
    opened.store.revoke("d-03")
    opened.store.quarantine("d-05", "lost")
    return opened.store


EVERYONE = Wanted()


def all_pages(store, limit, wanted=EVERYONE):
    after, found, turns = 0, [], 0
    while after is not None:
        page = store.page(after, limit, wanted)
        assert len(page.devices) <= limit
        found += [each.name for each in page.devices]
        after, turns = page.next, turns + 1
    return found, turns


def test_pages_have_every_device_once_in_the_order_of_enrolment(store):
    everyone = [f"d-{number:02}" for number in range(12)]
    for limit in (1, 5, 6, 12, 100):
        assert all_pages(store, limit)[0] == everyone


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(state="revoked"), ["d-03"]),
        (Wanted(state="quarantined"), ["d-05"]),
        (Wanted(tag="sensor"), ["d-03", "d-07"]),
        (Wanted(tag="north"), ["d-03", "d-07"]),
        (Wanted(tag="sensor", state="active"), ["d-07"]),
        (Wanted(text="D-1"), ["d-10", "d-11"]),
        (Wanted(text="ost & %_"), [f"d-{number:02}" for number in range(12)]),
        (Wanted(text="%"), [f"d-{number:02}" for number in range(12)]),
        (Wanted(text="d_0"), []),
    ],
)
def test_what_is_wanted(store, wanted, found):
    assert all_pages(store, 3, wanted)[0] == found


def test_a_page_looks_at_a_bounded_number_of_devices(store, monkeypatch):
    monkeypatch.setattr(pages, "LOOKED_AT", 5)
    page = store.page(0, 100, Wanted(text="d-11"))
    assert (page.devices, page.next is not None) == ([], True)
    assert all_pages(store, 100, Wanted(text="d-11")) == (["d-11"], 3)


def test_the_population_follows_every_change_of_a_state(store, opened):
    assert store.population() == {"pending": 0, "active": 10, "quarantined": 1, "revoked": 1}
    store.release("d-05")
    enrolment.undelete(opened, "d-03", ADDRESS)
    by_hand = {}
    for each in store.devices():
        by_hand[each.state] = by_hand.get(each.state, 0) + 1
    counted = store.population()
    assert {state: number for state, number in counted.items() if number} == by_hand


def test_readings_and_entries_come_newest_first_in_pieces(store):
    one, other = store.device("d-01"), store.device("d-02")
    numbers = []
    for turn in range(7):
        numbers.append(store.add_reading(one.id, 1.0 + turn, "readings", None, b"%d" % turn))
        store.add_reading(other.id, 1.0, "readings", None, b"other")
    first = store.readings_before(one.id, None, 3)
    assert [each.payload for each in first] == [b"6", b"5", b"4"]
    rest = store.readings_before(one.id, first[-1].id, 10)
    assert [each.payload for each in rest] == [b"3", b"2", b"1", b"0"]
    assert store.readings_before(one.id, numbers[0], 10) == []
    assert store.readings_before(other.id, numbers[3], 10) == []  # not one of its own
    assert store.readings_before(store.device("d-00").id, None, 10) == []
    last = store.last_audit().id
    assert [each.id for each in store.audit_before(None, 2)] == [last, last - 1]
    assert [each.id for each in store.audit_before(last - 1, 2)] == [last - 2, last - 3]
    about = store.audit_before(None, 10, "d-03")
    assert [each.action for each in about] == ["revoke", "tag", "enrol"]
    assert [each.action for each in store.audit_after(0, subject="d-03")] == [
        "enrol", "tag", "revoke"
    ]  # fmt: skip


@sqlite_only
def test_a_page_of_a_long_log_uses_indexes(store):
    plans = [
        row[3]
        for sql in (
            pages._ENTRIES + "AND subject = 'd-03' ORDER BY id DESC LIMIT 5",
            pages._LAST_LOOKED_AT,
        )
        for row in store._db.execute("EXPLAIN QUERY PLAN " + sql, (9, 9)[: sql.count("?")])
    ]
    assert plans[0].startswith("SEARCH audit USING INDEX audit_by_subject")
    assert all("TEMP B-TREE" not in each and "SCAN" not in each for each in plans)


@sqlite_only
def test_another_process_sees_the_same_population(store):
    beside = SqliteStore(store._path)
    beside.revoke("d-00")
    beside.close()
    assert store.population()["revoked"] == 2

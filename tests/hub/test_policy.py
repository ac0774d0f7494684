"""Rules by tags: what is read, and who may talk to whom."""

import pytest
from desk import enrolled

from skerry_hub import policy
from skerry_hub.errors import ConfigError, NotAllowed, UnknownDevice


def test_rules_are_lines():
    rules = policy.parse("a -> b\n\n# nothing\n  *->c  # all\n")
    assert [str(each) for each in rules] == ["a -> b", "* -> c"]


@pytest.mark.parametrize("text", ["a", "a b", "a -> b c", "-> b", "ok -> ok\na -> "])
def test_what_is_no_rule_is_refused_with_its_line(text):
    with pytest.raises(ConfigError, match=f"policy line {text.count(chr(10)) + 1}: write TAG"):
        policy.parse(text)


def test_who_may(opened):
    store = opened.store
    for name, tags in (("s1", "sensor north"), ("d1", "display"), ("x1", "")):
        enrolled(opened, name)
        store.set_tags(name, tags)
    policy.check_devices(store, "x1", "d1")  # without rules, everybody
    policy.put(store, policy.parse("sensor -> display\n* -> north\napp -> *"))
    policy.check_devices(store, "s1", "d1")
    policy.check_devices(store, "x1", "s1")
    policy.check(store, ["app"], "x1")
    for source, target in (("d1", "x1"), ("x1", "d1"), ("s1", "x1")):
        with pytest.raises(NotAllowed, match=f"{target}: no rule"):
            policy.check_devices(store, source, target)
    with pytest.raises(UnknownDevice):
        policy.check_devices(store, "s1", "nobody")
    assert store.last_audit().said["after"] == ["sensor -> display", "* -> north", "app -> *"]
    policy.put(store, [])
    policy.check_devices(store, "x1", "d1")

"""What is loaded when it is used first: the names of a Hub that are not in client.py.

Each line has a module and its functions, whose first argument is the Hub; one string takes less
heap than a dict.
"""

_NAMES = """blocks download transfer upload
fresh due replace
more delete export_key factory_reset rekey status time window
observing observe
outbox flush queue
serving serve
tending listen
unasked unasked"""


def method(hub, name: str):
    """Return a method of a hub and keep it there; raise AttributeError if there is none."""
    for line in _NAMES.split("\n"):
        module, *names = line.split()
        if name in names:
            break
    else:
        raise AttributeError(name)
    try:
        function = getattr(__import__("skerry_device." + module, None, None, (name,)), name)
    except MemoryError:
        if name != "due":
            raise
        return lambda: False  # a session that is due for a new one serves on

    def bound(*given, **named):
        return function(hub, *given, **named)

    setattr(hub, name, bound)
    return bound

"""Run the tests of what must not go wrong against every small change of it.

python tests/mutation/run.py [--all] [PLAN...]      prints JSON: {plan: {"killed": n, "survived":
                                                    [...]}}; --all takes whole modules and longer
Each mutant is loaded in a process of its own, in place of its module, before any test is.
"""

import importlib
import importlib.util
import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace

ROOT = Path(__file__).parents[2]
for _below in ("tests/device", "tests", "hub", "device", "common"):
    sys.path.insert(0, str(ROOT / _below))

import fuzz.ticks  # noqa: E402, F401 - before skerry_device
import hypothesis.stateful  # noqa: E402 - loaded once, before the processes part
import pytest  # noqa: E402, F401
from Crypto.Cipher import AES  # noqa: E402
from cryptography.hazmat.primitives.ciphers import aead  # noqa: E402, F401
from mutation.mutate import mutants  # noqa: E402

SECONDS = 15  # of processor time; a mutant that takes longer is one that never ends: noticed

# Module, what is changed in it, what is changed in it with --all, and the tests.
PLANS = {
    "equal": (
        "skerry.backend_micropython",
        ["equal"],
        ["equal", "_xor", "hmac_sha256", "AesCcm", "_IPAD", "_OPAD"],
        ["dual.test_primitives"],
    ),
    "replay": (
        "skerry.replay",
        ["ReplayWindow", "_SIZE"],
        ["ReplayWindow", "_SIZE"],
        ["dual.test_replay", "properties.test_replay_model"],
    ),
    "store": (
        "skerry_device.store",
        ["ChainStore"],
        ["ChainStore", "FileSlots"],
        ["test_store", "stateful.test_chain_store"],
    ),
    "logslots": (
        "skerry_device.logslots",
        ["LogStore"],
        ["LogStore"],
        ["test_logslots", "stateful.test_log_store"],
    ),
    "session_record": (
        "skerry.session_record",
        ["SessionRecord", "_check"],
        [
            "SessionRecord",
            "_check",
            "LENGTH",
            "_HEAD",
            "_MAX_AGE",
            "_MAX_FAILURES",
            "_MAX_SEQUENCE",
        ],
        ["dual.test_session_record"],
    ),
    "flash_session": (
        "skerry_device.flash_session",
        ["FlashSession"],
        ["FlashSession", "_CHUNK", "_LAST"],
        ["test_flash_session"],
    ),
    "rtc": (
        "skerry_device.rtc",
        ["RtcMemory", "Ram"],
        ["RtcMemory", "Ram", "memory", "deepsleep", "_MARK"],
        ["test_rtc"],
    ),
    "record": (
        "skerry.record",
        ["unpack", "LENGTH", "_MAGIC"],
        ["unpack", "pack", "LENGTH", "_MAGIC"],
        ["dual.test_record"],
    ),
    "chain": (
        "skerry.chain",
        ["Chain", "MAX_ERA", "MAX_STEP"],
        ["Chain", "MAX_ERA", "MAX_STEP", "PACKED_LENGTH"],
        ["dual.test_chain"],
    ),
    "verify": (
        "skerry.responder",
        ["Known", "Verified.__init__", "RECOVERY_ERAS"],
        ["identify", "Known", "Verified", "HubSession", "RECOVERY_ERAS"],
        ["dual.test_responder", "dual.test_session", "dual.test_trace"],
    ),
}
# With --all only.
MORE = {
    "wire": (
        "skerry.wire",
        [],
        [
            "header_1", "header_2", "wants_time", "suite_of", "_body", "decode_message_1",
            "decode_message_2", "body_1", "body_2", "SUITES", "_TYPE_1", "_TYPE_2", "_TIME",
            "_TIME_LENGTH", "_LENGTH_1", "_LENGTH_2",
        ],
        ["dual.test_wire", "dual.test_trace"],
    ),
    "initiator": (
        "skerry.initiator",
        [],
        ["Start", "WaitMessage2", "Accepted"],
        ["dual.test_initiator", "dual.test_trace"],
    ),
    "schedule": (
        "skerry.schedule",
        [],
        [
            "context", "root_key", "first_chain_key", "next_root_key", "epoch_key",
            "next_chain_key", "pseudonym", "tag_1", "tag_2", "session_secret", "oscore_secrets",
            "fingerprint",
        ],
        ["dual.test_schedule", "dual.test_trace"],
    ),
    "oscore": (
        "skerry.oscore",
        [],
        ["_bstr", "decode_option", "encode_option", "SecurityContext", "_PARTIAL_IVS"],
        ["dual.test_oscore", "dual.test_rfc8613", "dual.test_trace"],
    ),
    "oscore_server": (
        "skerry.oscore_server",
        [],
        ["ServerContext"],
        ["dual.test_oscore", "dual.test_rfc8613", "dual.test_trace"],
    ),
    "coap": (
        "skerry.coap",
        [],
        ["Message", "path_options", "uint", "_extended", "encode_body", "encode",
         "_read_extended", "decode_body", "decode"],
        ["dual.test_coap"],
    ),
}  # fmt: skip


def load(name, source):
    """Make a module of this source, under the name that everybody imports."""
    spec = importlib.util.find_spec(name)
    module = ModuleType(name)
    module.__file__, module.__spec__ = spec.origin, spec
    sys.modules[name] = module
    exec(compile(source, f"<mutant of {name}>", "exec"), module.__dict__)
    package, _, last = name.rpartition(".")
    setattr(importlib.import_module(package), last, module)


def backend_of_micropython():
    """Let the core use MicroPython's backend here, on a cryptolib made of pycryptodome."""
    sys.modules["cryptolib"] = SimpleNamespace(
        aes=lambda key, mode, iv=b"": (
            AES.new(key, AES.MODE_ECB) if mode == 1 else AES.new(key, AES.MODE_CBC, iv=iv)
        )
    )
    sys.modules["micropython"] = SimpleNamespace(const=int)
    sys.modules["skerry.backend_cpython"] = None


def run_tests(name, source, tests, examples):
    """Run all tests of some modules; the first failure raises."""
    hypothesis.settings.register_profile(
        "mutants", deadline=None, derandomize=True, database=None, max_examples=examples,
        stateful_step_count=20, phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    hypothesis.settings.load_profile("mutants")
    if name == "skerry.backend_micropython":
        backend_of_micropython()
    load(name, source)
    machine = hypothesis.stateful.RuleBasedStateMachine
    for each in tests:
        module = vars(importlib.import_module(each))
        for name, value in module.items():
            if name.startswith("test_") and callable(value):
                value()
            elif isinstance(value, type) and issubclass(value, machine) and value is not machine:
                hypothesis.stateful.run_state_machine_as_test(value)


def survives(name, source, tests, examples):
    """Tell whether all tests pass, in a process of their own."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            run_tests(name, source, tests, examples)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def run_plan(plan, everything):
    """Return how many mutants were killed, and which survived."""
    name, names, all_names, tests = plan
    source = Path(importlib.util.find_spec(name).origin).read_text()
    examples = 200 if everything else 30
    if not survives(name, source, tests, examples):
        sys.exit(f"{name}: its tests fail without any change")
    made = mutants(source, all_names if everything else names)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda each: survives(name, each, tests, examples), made.values())
    survived = [identity for identity, alive in zip(made, results, strict=True) if alive]
    return {"killed": len(made) - len(survived), "survived": survived}


def main(arguments):
    everything = "--all" in arguments
    wanted = [each for each in arguments if each != "--all"]
    plans = {**PLANS, **MORE} if everything else PLANS
    if not set(wanted) <= set(plans):
        sys.exit(f"{__doc__}\nplans: {', '.join(plans)}")
    results = {each: run_plan(plans[each], everything) for each in wanted or plans}
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])

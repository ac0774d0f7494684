"""Settings: where they come from, what is refused, and that the printed file can be read again."""

import re
import subprocess
import sys

import pytest

from skerry_hub import settings
from skerry_hub.config import Config
from skerry_hub.errors import ConfigError


def write(tmp_path, text):
    path = tmp_path / "skerry.toml"
    path.write_text(text)
    return str(path)


def test_flag_over_environment_over_file_over_default(tmp_path):
    file = write(
        tmp_path, 'data = "/file"\nlisten = ["f:1"]\naddress = "f:2"\nlog_format = "json"\n'
    )
    config = Config.of(file=file, environ={})
    assert (str(config.data), config.listen, config.address) == ("/file", [("f", 1)], ("f", 2))
    assert (config.log_format, config.log_level) == ("json", "info")
    environ = {"SKERRY_DATA": "/env", "SKERRY_LISTEN": "e:1,e:2", "SKERRY_LOG_FORMAT": "text"}
    config = Config.of(file=file, environ=environ)
    assert (str(config.data), config.listen) == ("/env", [("e", 1), ("e", 2)])
    assert (config.address, config.log_format) == (("f", 2), "text")
    config = Config.of("/flag", ["g:1"], "g:2", file=file, environ=environ)
    assert (str(config.data), config.listen, config.address) == ("/flag", [("g", 1)], ("g", 2))


def test_the_data_folders_own_file_and_the_one_that_the_environment_names(tmp_path):
    write(tmp_path, 'listen = "own:1"\n')
    other = tmp_path / "other.toml"
    other.write_text('listen = "other:1"\n')
    assert Config.of(str(tmp_path), environ={}).listen == [("own", 1)]
    assert Config.of(environ={"SKERRY_DATA": str(tmp_path)}).listen == [("own", 1)]
    assert Config.of(str(tmp_path), environ={"SKERRY_CONFIG": str(other)}).listen == [("other", 1)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listen = [", "no TOML"),
        ("\n\nlisen = 'a:1'\n", r"line 3: no setting lisen: did you mean listen\?"),
        ("[hub]\nlisten = 'a:1'\n", "line 1: no setting hub"),
        ("xyzzy = 1\n", "skerry config lists"),
        ("# a\nlisten = 7\n", "line 2: listen: write it as a text"),
        ("listen = ['a:1', 2]\n", "line 1: listen"),
        ("log_format = 'xml'\n", "line 1: log_format: 'xml' is none of text, json"),
        ("address = '0.0.0.0:1'\n", "line 1: address: devices cannot find"),
        ("data = true\n", "line 1: data"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        Config.of(file=write(tmp_path, text), environ={})


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        Config.of(file=str(tmp_path / "none.toml"), environ={})
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        Config.of(file=str(tmp_path / "bad.toml"), environ={})


def test_an_environment_variable_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"^SKERRY_ADDRESS: "):
        Config.of(environ={"SKERRY_ADDRESS": "a:b"})


def test_the_printed_file_says_what_holds_and_reads_the_same(tmp_path):
    said = Config.of(str(tmp_path), ["[::1]:7"], "hub.example:9", environ={})
    again = Config.of(file=write(tmp_path, said.explained()), environ={})
    assert (again.listen, again.address) == (said.listen, said.address)
    assert again.explained() == said.explained()
    for each in settings.SETTINGS:
        assert f"{each.name} = " in said.explained()


def test_every_example_can_be_uncommented(tmp_path):
    lines = Config.of(str(tmp_path), environ={}).explained().splitlines()
    names = tuple(f"# {each.name} = " for each in settings.SETTINGS)
    text = "\n".join(line[2:] if line.startswith(names) else line for line in lines)
    with pytest.raises(ConfigError, match="kek_file and kek_command: say one of them"):
        Config.of(file=write(tmp_path, text), environ={})
    text = re.sub(r"^kek_(command|pkcs11) .*$", "", text, flags=re.MULTILINE)
    config = Config.of(file=write(tmp_path, text), environ={})
    assert config.monitoring == ("127.0.0.1", 9090)
    assert config.address == ("hub.example", 5683)


def test_config_check_on_the_command_line(tmp_path):
    def skerry(text):
        file = write(tmp_path, text)
        command = [sys.executable, "-m", "skerry_hub", "--config", file, "config", "check"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = skerry('listen = "127.0.0.1:0"\n')
    assert good.returncode == 0
    assert "ok" in good.stdout
    bad = skerry("listen = 1\n")
    assert bad.returncode == 1
    assert bad.stdout == ""
    assert len(bad.stderr.splitlines()) == 1

"""Arguments of the command: examples in the help are true, mistakes get one line."""

from __future__ import annotations

import importlib
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pystack.cli.calling import device_options
from pystack.cli.commands import pystack
from tests.cli.program import PYSTACK


def run(*arguments: str) -> Result:
    return CliRunner().invoke(pystack, arguments, prog_name="pystack")


def examples(name: str) -> Iterator[list[str]]:
    """The arguments of each example in the help of a command."""
    text = run(name, "--help").output.replace("\\\n", "")
    _, _, rest = text.partition("Example:\n")
    for line in rest.partition("\nOptions:")[0].splitlines():
        words = shlex.split(line, comments=True)  # all of a line can be pasted
        if words:
            called = [word.rpartition("/")[2] for word in words]
            yield words[called.index("pystack") + 1 :]


@pytest.mark.parametrize("name", sorted(pystack.commands))
def test_every_help_has_examples_whose_options_parse(name: str) -> None:
    found = list(examples(name))
    assert found
    for arguments in found:
        assert arguments[0] == name
        pystack.commands[name].make_context(name, arguments[1:])  # raises when it does not parse


def test_the_help_of_the_whole_names_every_command() -> None:
    output = run("--help").output
    assert "Example:" in output
    for name in ("serve", "demo", "nc", "doctor"):
        assert name in output


def test_without_arguments_the_help_comes_as_it_is_with_status_2() -> None:
    result = run()
    assert result.exit_code == 2
    assert result.output == run("--help").output


@pytest.mark.parametrize(
    "option",
    ["--dev", "--addr", "--peer", "--addr6", "--mtu", "--port", "--netns", "--pcap", "--msl",
     "--no-offload", "--sysctl", "--dir", "--cc", "--variant"],
)  # fmt: skip
def test_serve_has_the_option(option: str) -> None:
    assert option in run("serve", "--help").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("serve --sysctl tcp_sak=0", "no setting of that name: tcp_sak (is it tcp_sack?)"),
        ("serve --sysctl net.ipv4.tcp_sack=yes", "does not take the value 'yes'"),
        ("serve --sysctl tcp_congestion_control=warp", "'warp': there is "),
        ("serve --sysctl tcp_sack", "name=value"),
        ("serve --sysctl tcp_ack_policy=nosuch", "there is no ACK policy 'nosuch': there is "),
        ("serve --cc warp", "there is no congestion control 'warp': there is "),
        ("nc --variant ack_policy=warp -l 1", "there is no ACK policy 'warp': there is ack-rate"),
        ("serve --variant warp=1", "'warp' can't be replaced: there is ack_policy, "),
        ("serve --variant quick", "kind=name"),
        ("serve --port http=99999", "a port is 1 to 65535"),
        ("serve --port gopher=70", "the services are http, echo"),
        ("serve --port echo=80", "http and echo cannot both have 80"),
        ("serve gopher", "'gopher'"),
        ("serve --mtu 20", "an MTU of 20 is out of range"),
        ("serve --mtu 1000 --addr6 fd00::2/64", "IPv6 needs 1280"),
        ("serve --addr 198.18.0", "'--addr': '198.18.0' does not appear"),
        ("serve --addr 198.18.0", "give an address such as 198.18.0.2/24"),
        ("serve --addr 198.18.0.2", "with --peer, or a prefix here, such as 198.18.0.2/24"),
        ("serve --addr6 fd00::2", "with --peer6, or a prefix here, such as fd00::2/64"),
        ("serve --addr=", "'--addr': it is empty"),
        ("serve --addr6=", "'--addr6': it is empty"),
        ("serve --addr none --addr6 none", "the stack has no address"),
        ("serve --addr none --peer 198.18.0.1", "'--peer': it goes with --addr"),
        ("serve --addr6 none --peer6 fd00::1", "'--peer6': it goes with --addr6"),
        ("serve --addr6 fd00::/64", "give an address such as fd00:198:18::2/64"),
        ("doctor --addr6 fd00::/64", "'--addr6': fd00:: is the address of all routers"),
        ("serve --peer foo", "'--peer': 'foo' does not appear"),
        ("serve --addr 10.9.0.1/24 --peer foo", "give an address such as 10.9.0.2; see"),
        ("nc --addr6 fd01::2/64 --peer6 fd00::1 -l 1", "give an address such as fd01::1; see"),
        ("serve --netns=", "the network namespace has an empty name"),
        ("serve --sysctl foo=1", "no setting of that name: foo: there is tcp_"),
        ("serve --sysctl alive=1", "there is tcp_keepalive_time, tcp_keepalive_intvl, "),
        ("serve --pcap=", "'--pcap': '' is no file"),
        ("serve --pcap -", "'--pcap': stdout has what the command says: give a file"),
        ("serve --pcap /", "'--pcap': '/' is no file"),
        ("serve http --port echo=80", "--port echo=80: of the services only http is wanted"),
        ("run --impari loss x.py", "No such option '--impari'. Did you mean '--impair'?"),
        ("run --impari=loss x.py", "No such option '--impari'. Did you mean '--impair'?"),
        ("run --dve tun1 x.py", "No such option '--dve'. Did you mean '--dev'?"),
        ("run -m http.server", "pystack run -- python -m http.server`"),
        ("run -c pass", "pystack run -- python -c pass`"),
        ("serve --addr6 198.18.0.2/24", "is no IPv6 address"),
        ("serve --dev a/b", "is no name for an interface"),
        ("serve --netns no-such-namespace", "no network namespace no-such-namespace"),
        ("serve --dir /no/such/folder", "does not exist"),
        ("serve --speed 9", "--speed"),
        ("serve --impair", "requires an argument"),
        ("serve --impair=lose", "'--impair': 'lose' is no word of an impairment: is it loss?"),
        ("serve --impair=delay", "'--impair': delay needs a time, such as 20ms"),
        ("nc --impair=limit 198.18.0.1 80", "limit needs a number of packets"),
        ("nc", "give HOST and PORT, or -l and PORT"),
        ("nc 198.18.0.1", "give HOST and PORT"),
        ("nc 198.18.0.1 http", "is no port"),
        ("nc -l 0", "is no port"),
        ("demo --msl 0", "--msl"),
        ("demo --msl nan", "'nan' is no finite number"),
        ("serve --msl nan", "'nan' is no finite number"),
        ("nc -w nan 198.18.0.1 80", "'nan' is no finite number"),
        ("nc -w inf 198.18.0.1 80", "'inf' is no finite number"),
        ("doctor --deep", "--deep"),
        ("dance", "No such command 'dance'"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_status_2(arguments: str, words: str) -> None:
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("pystack")
    assert words in result.stderr


SCRIPTS = ("benchmarks", "side_by_side", "behaviours")


def program(name: str) -> click.Command:
    """A command of pystack's, or what is behind a script where its libraries are installed."""
    if name not in SCRIPTS:
        return pystack.commands[name]
    pytest.importorskip("rich", reason="scripts/setup --test brings it")
    command = importlib.import_module(f"scripts.{name}.command").main
    assert isinstance(command, click.Command)
    return command


@pytest.mark.parametrize("name", [*pystack.commands, *SCRIPTS])
@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_no_option_for_a_number_takes_one_that_is_not_finite(name: str, text: str) -> None:
    for option in program(name).params:
        if isinstance(option.type, type(click.FLOAT)):
            with pytest.raises(click.BadParameter):
                option.type.convert(text, option, None)


def test_a_trace_that_cannot_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    missing = run("serve", "--impair", f"trace {shlex.quote(str(tmp_path))}/missing")
    (tmp_path / "wrong").write_text("7\nseven\n")
    wrong = run("serve", "--impair", f"trace {shlex.quote(str(tmp_path))}/wrong")
    for result, words in (
        (missing, "missing: No such file or directory"),
        (wrong, "line 2: 'seven' is no time in ms"),
    ):
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert words in result.stderr


def test_without_the_extra_the_command_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['click'] = None\n"
        "from pystack.cli.main import main\n"
        "sys.exit(main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr == (
        "pystack: click is not installed: run scripts/setup in a clone of pystack, or "
        "`pip install '.[cli]'` there\n"
    )


def test_the_version_is_told() -> None:
    for command in (PYSTACK, [sys.executable, "-m", "pystack"]):
        result = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert result.stdout.startswith("pystack, version ")


def test_options_not_given_are_linux_defaults() -> None:
    command = pystack.commands["serve"]
    context = command.make_context("serve", [])
    assert isinstance(command, click.Command)
    assert context.params["mtu"] == 1500
    assert context.params["dev"] == "tun0"
    assert context.params["addr"] == "198.18.0.2/24"
    assert context.params["offload"] is True


def test_cc_and_variants_become_settings_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, str] = {}

    def over_tun(*names: object, sysctl: dict[str, str], **options: object) -> None:
        given.update(sysctl)

    monkeypatch.setattr(device_options.Stack, "over_tun", over_tun)
    arguments = ["--cc", "reno", "--variant", "ack_policy=every-4", "--variant", "pacing=fq", "1"]
    context = pystack.commands["nc"].make_context("nc", ["-l", *arguments])
    names = ("cc", "variants")
    device_options.DeviceOptions(**{name: context.params[name] for name in names}).stack()
    assert given == {
        "tcp_congestion_control": "reno", "tcp_ack_policy": "every-4", "tcp_pacing_policy": "fq",
    }  # fmt: skip

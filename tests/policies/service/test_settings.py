"""Settings are read strictly, and say what is wrong with them."""

from __future__ import annotations

import builtins
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from experiments.cli import main
from policies.codec import write
from policies.ledger import read_decisions
from policies.service.identity import read_identity
from policies.service.settings import Settings, SettingsError, read_settings, settings_of
from policies.service.state.sqlite_store import SqliteStore
from tests.policies.service.serving import SECRET, sender, served

EXAMPLE = """
project_zone = "Europe/Paris"
[constraints]
gap_hours = 4
[constraints.quiet]
mode = "defer"
[[constraints.caps]]
name = "push-a-day"
limit = 2
window = "day"
channels = ["push"]
[users]
segments = ["new", "old"]
[[campaigns]]
name = "digest"
opens = 2026-03-01T09:00:00+01:00
[[campaigns]]
name = "cart"
kind = "triggered"
trigger = "cart"
[campaigns.audience]
segments = ["old"]
"""


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "service.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    found = read_settings(path)
    assert found.constraints.caps[0].channels == ("push",)
    assert found.constraints.quiet is not None
    assert found.constraints.quiet.mode == "defer"
    assert [campaign.kind for campaign in found.campaigns] == ["scheduled", "triggered"]
    assert found.campaigns[1].audience.segments == ("old",)
    assert Settings() == settings_of({})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"campains": []}, "campains: unknown name. Did you mean 'campaigns'?"),
        ({"campaigns": [{"name": "a", "knd": 1}]}, "campaigns[0].knd: unknown name. Did you mean 'kind'?"),
        (
            {"constraints": {"caps": [{"name": "a", "limit": 1, "hour": 2}]}},
            "caps[0].hour: unknown name. Did you mean 'hours'?",
        ),
        (
            {"campaigns": [{"name": "a", "kind": "sheduled"}]},
            "kind: no 'sheduled'; expected one of scheduled",
        ),
        ({"constraints": {"preset": "braz"}}, "no preset 'braz'"),
        (
            {"constraints": {"preset": "braze", "gap_hours": 2}},
            "expected a preset alone",
        ),
        (
            {"constraints": {"caps": [{"name": "a", "limit": 77, "hours": 1}]}},
            "caps.0.limit: expected whole",
        ),
        ({"limits": {"batch": 0}}, "limits.batch: Expected `int` >= 1"),
        ({"project_zone": "Europe/Pariss"}, "project_zone: time zone: expected an IANA name such as 'Europe/Paris'"),
        ({"campaigns": [{"name": "a"}, {"name": "a"}]}, "campaigns: the name 'a' is used twice"),
        ({"campaigns": [{"name": "a", "kind": "triggered"}]}, "campaigns[0].trigger: missing; expected one of browse"),
        ({"campaigns": [{"name": "a", "trigger": "cart"}]}, "campaigns[0].trigger: a scheduled campaign has none"),
        (
            {"campaigns": [{"name": "a", "kind": "triggered", "trigger": "cart", "delay_hours": 5, "expiry_hours": 5}]},
            "campaigns[0].expiry_hours: expected more than delay_hours (5), got 5",
        ),
        (
            {"users": {"segments": ["old"]}, "campaigns": [{"name": "a", "audience": {"segments": ["odl"]}}]},
            "campaigns[0].audience.segments: no 'odl' in users.segments. Did you mean 'old'?",
        ),
        ({"keys": [{"name": "a", "roles": ["admin"]}]}, "keys[0]: expected either env or sha256 of key 'a'"),
        (
            {"keys": [{"name": "a", "roles": ["admin"], "env": "KAIROS_NO_SUCH"}]},
            "has no KAIROS_NO_SUCH",
        ),
        ({"keys": [{"name": "a", "roles": ["admn"], "sha256": "0" * 64}]}, "no 'admn'; expected one of decide"),
        ({"keys": [{"name": "a", "roles": [], "sha256": "0" * 64}]}, "keys[0].roles: key 'a' may do nothing"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(tree, "service.toml")
    assert str(caught.value).startswith("service.toml: ")
    assert message in str(caught.value)


def test_all_unknown_names_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of({"campains": [], "users": {"segmnts": []}, "on_fault": "fall"})
    assert len(str(caught.value).splitlines()) == 3


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "service.toml"
    with pytest.raises(SettingsError, match=r"service\.toml: cannot be read"):
        read_settings(path)
    path.write_text("a = ", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"service\.toml: expected TOML: "):
        read_settings(path)


def test_a_kept_state_needs_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KAIROS_USER_KEY", raising=False)
    with pytest.raises(SettingsError, match="put at least 16 random characters into the environment's KAIROS_USER_KEY"):
        read_identity(Settings(), is_kept=True)
    one, other = (read_identity(Settings(), is_kept=False) for _ in range(2))
    assert one.fingerprint != other.fingerprint, "a key for each process"
    (tmp_path / "key").write_bytes(SECRET + b"\n")
    monkeypatch.setenv("KAIROS_USER_KEY", SECRET.decode())
    from_file = read_identity(Settings(user_key_file=str(tmp_path / "key")), is_kept=True)
    assert from_file.fingerprint == read_identity(Settings(), is_kept=True).fingerprint
    with pytest.raises(SettingsError, match=r"user_key_file: .*nothing: cannot be read"):
        read_identity(Settings(user_key_file=str(tmp_path / "nothing")), is_kept=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--state", "sqlte:x"], "Error: state: expected memory"),
        (["--host", "0.0.0.0"], "Error: keys: without API keys everybody who reaches 0.0.0.0"),
        (["--config", "nothing.toml"], "Error: nothing.toml: cannot be read"),
    ],
)
def test_the_command_tells_a_fault_without_a_traceback(tmp_path: Path, arguments: list[str], message: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(write(sender()), encoding="utf-8")
    done = CliRunner().invoke(main, ["serve", str(path), *arguments], env={"KAIROS_USER_KEY": SECRET.decode()})
    assert done.exit_code == 1
    assert message in done.output


def test_a_corrupt_policy_ends_the_start(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(write(sender())[:50], encoding="utf-8")
    done = CliRunner().invoke(main, ["serve", str(path)])
    assert done.exit_code == 1
    assert f"Error: {path}: document: " in done.output


def test_the_log_of_a_service_becomes_a_ledger(tmp_path: Path) -> None:
    state = f"sqlite:{tmp_path / 'state.db'}"
    arguments = ["service-log", "--state", state, "--out", str(tmp_path / "log")]
    empty = CliRunner().invoke(main, arguments)
    assert "Error: state: sqlite:" in empty.output
    assert "no service has decided with this state yet" in empty.output
    with served(store=SqliteStore(tmp_path / "state.db")) as it:
        it.decide("ann")
        it.decide("bob")
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.output) == (0, f"2 decisions -> {tmp_path / 'log'}\n")
    assert len(read_decisions(tmp_path / "log")) == 2
    again = CliRunner().invoke(main, arguments)
    assert "expected a new folder, or an empty one" in again.output
    memory = CliRunner().invoke(main, ["service-log", "--state", "memory", "--out", str(tmp_path / "other")])
    assert "which no process shares" in memory.output


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "msgspec":
            raise ImportError("No module named 'msgspec'", name="msgspec")
        return real(name, *arguments, **options)

    kept = {name: module for name, module in sys.modules.items() if name.startswith("policies.service")}
    for name in kept:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'policies\.service needs msgspec: pip install "kairos-notify\[serve\]"'):
        importlib.import_module("policies.service")
    monkeypatch.undo()

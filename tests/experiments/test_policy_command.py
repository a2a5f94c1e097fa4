"""`kairos policy`: what it says, what it writes, and that it writes over no key."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from click.testing import CliRunner, Result

from experiments.cli import main
from policies.codec import content_hash, write
from tests.policies.documents import RULES, tree_of


def kairos(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["policy", *map(str, arguments)])


def test_check_and_show(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(write(RULES), encoding="utf-8")
    bad.write_text("{}", encoding="utf-8")
    done = kairos("check", good)
    assert (done.exit_code, done.output) == (0, f"{good}: fine, {content_hash(RULES)}\n")
    done = kairos("check", bad, good)
    assert done.exit_code == 1
    assert "version: missing" in done.output
    assert f"{good}: fine" in done.output
    shown = kairos("show", good).output
    assert "model           rules\n" in shown
    assert content_hash(RULES) in shown
    assert kairos("show", bad).exit_code == 1


def test_a_draft_is_sealed(tmp_path: Path) -> None:
    file = tmp_path / "draft.json"
    file.write_text(json.dumps(tree_of(RULES)), encoding="utf-8")
    assert kairos("check", file).exit_code == 1
    done = kairos("seal", file)
    assert done.exit_code == 0, done.output
    assert file.read_text(encoding="utf-8") == write(RULES)
    file.write_text(json.dumps(tree_of(RULES) | {"policy_hash": "sha256:0"}), encoding="utf-8")
    before = file.read_bytes()
    assert kairos("seal", file).exit_code == 1
    assert file.read_bytes() == before


def test_keys_sign_and_verify(tmp_path: Path) -> None:
    file, private, public = tmp_path / "p.json", tmp_path / "policy-key.pem", tmp_path / "policy-key.pub.pem"
    file.write_text(write(RULES), encoding="utf-8")
    assert kairos("keys", "--out", tmp_path).exit_code == 0
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    done = kairos("keys", "--out", tmp_path)
    assert done.exit_code == 1
    assert "a key is there; name another folder with --out." in done.output
    assert private.read_bytes() == before
    done = kairos("verify", file, "--key", public)
    assert done.exit_code == 1
    assert "not signed: there is no" in done.output
    assert kairos("sign", file, "--key", private).exit_code == 0
    done = kairos("verify", file, "--key", public)
    assert (done.exit_code, done.output) == (0, f"{file}: vouched for, {content_hash(RULES)}\n")
    assert kairos("verify", file, "--key", private).exit_code == 1
    assert kairos("sign", file, "--key", public).exit_code == 1

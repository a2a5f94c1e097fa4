"""The page about deciding in one process: its example runs as it stands, and its numbers are true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from policies.codec import write
from policies.document import Document, Rules, Send
from policies.runtime import User

PAGE = (Path(__file__).parents[2] / "docs" / "runtime.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    document = Document("evening", 4, Rules((), Send(("push", "email"), "first")))
    (tmp_path / "policy.json").write_text(write(document), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(compile(example, "runtime.md", "exec"), found)
    assert capsys.readouterr().out.startswith("sale push 1.0 ")
    assert found["answer"].suppressed[0] == ("sale", "email", "no permission")
    again = User.unpacked(found["kept"])
    assert again.history.n_sent[0] == 1
    assert len(found["kept"]) - len("Europe/Paris") == int(re.findall(r"(\d+) bytes and a time zone", PAGE)[0])

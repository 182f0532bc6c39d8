from __future__ import annotations

import socket
import sys
import urllib.request

import pytest

import viewed
from survfuse._errors import InputError, MissingExtraError
from survfuse.viewer.serving import bound, need_view, served


def test_a_study_is_served_on_this_machine_alone() -> None:
    with served(viewed.study()) as address:
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert b"survfuse viewer" in answer.read()


def test_a_port_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(
                InputError, match=rf"port {port} of 127\.0\.0\.1 cannot be used"
            ),
            bound(port),
        ):
            pass


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'survfuse\[view\]'"):
        need_view()

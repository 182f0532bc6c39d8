"""Fetching: checked, kept, resumed, and never half a file. No network: a server on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from survfuse._errors import InputError
from survfuse._storage import sha256_text
from survfuse.datasets.download import (
    RemoteFile,
    cache_folder,
    fetch,
    local_folder,
    locate,
)

FILES = (
    RemoteFile("features/a.csv", sha256_text("a")),
    RemoteFile("b c.csv", sha256_text("b")),
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    (folder / "features").mkdir(parents=True)
    (folder / "features" / "a.csv").write_text("a")
    (folder / "b c.csv").write_text("b")
    return folder


@pytest.fixture
def address(published: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0),
        partial(_Quiet, directory=str(published)),
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURVFUSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SURVFUSE_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_files_arrive_and_are_kept(address: str, published: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    folder = fetch("demo", FILES, address, progress=lambda *step: seen.append(step))
    assert folder == cache_folder() / "demo"
    assert (folder / "features" / "a.csv").read_text() == "a"
    assert seen == [("features/a.csv", 1, 2), ("b c.csv", 2, 2)]
    (published / "features" / "a.csv").unlink()
    fetch("demo", FILES, address)  # nothing is asked for twice


def test_an_interrupted_download_goes_on(address: str, published: Path) -> None:
    (published / "b c.csv").unlink()
    with pytest.raises(
        InputError,
        match=r"b%20c\.csv: cannot be fetched \(HTTP 404\).*SURVFUSE_DATA",
    ):
        fetch("demo", FILES, address)
    (published / "b c.csv").write_text("b")
    asked: list[str] = []
    fetch("demo", FILES, address, progress=lambda path, *_: asked.append(path))
    assert asked == ["b c.csv"]


def test_a_changed_file_is_refused_and_not_kept(address: str, published: Path) -> None:
    (published / "features" / "a.csv").write_text("tampered")
    with pytest.raises(InputError, match=r"sha256 of features/a\.csv is .*expected"):
        fetch("demo", FILES, address)
    assert not [p for p in cache_folder().rglob("*") if p.is_file()]


def test_a_damaged_cache_is_repaired(address: str) -> None:
    folder = fetch("demo", FILES, address)
    (folder / "b c.csv").write_text("bitrot")
    fetch("demo", FILES, address)
    assert (folder / "b c.csv").read_text() == "b"


def test_file_addresses_work(published: Path) -> None:
    assert (fetch("demo", FILES, published.as_uri()) / "b c.csv").read_text() == "b"


def test_offline_says_what_to_do() -> None:
    with pytest.raises(
        InputError,
        match=r"cannot be fetched.*Without a network.*SURVFUSE_DATA",
    ):
        fetch("demo", FILES, "http://127.0.0.1:9", timeout=2)


def test_other_schemes_are_refused() -> None:
    with pytest.raises(InputError, match="expected an address with https"):
        fetch("demo", FILES, "ftp://example.org")


def test_a_local_copy_comes_first_and_is_checked(
    published: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    published.rename(root / "demo")
    monkeypatch.setenv("SURVFUSE_DATA", str(root))
    assert local_folder("demo") == root / "demo"
    assert locate("demo", FILES, "http://127.0.0.1:9") == root / "demo"
    (root / "demo" / "b c.csv").write_text("tampered")
    with pytest.raises(InputError, match=r"sha256 of b c\.csv"):
        locate("demo", FILES, None)
    (root / "demo" / "b c.csv").unlink()
    with pytest.raises(InputError, match=r"1 are absent: b c\.csv"):
        locate("demo", FILES, None)


def test_a_dataset_without_an_address_asks_for_a_source() -> None:
    with pytest.raises(InputError, match="give `source`, or point SURVFUSE_DATA"):
        locate("demo", FILES, None)


def test_cache_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("SURVFUSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "survfuse"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "survfuse"

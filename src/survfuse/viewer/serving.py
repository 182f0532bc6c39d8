"""Serve a study on this machine alone, and open it in a browser."""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from survfuse._errors import InputError, MissingExtraError
from survfuse.viewer.study import Study

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
"""Nothing else: patients are nobody's business on the network."""
START_SECONDS = 20.0


def serve(
    study: Study,
    *,
    port: int = 0,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve a study until the process is ended by Ctrl-C.

    Parameters
    ----------
    study : Study
    port : int
        0: one that is free.
    browser : bool
        Whether to open the address in a browser.
    say : callable
        Is told the address.

    Raises
    ------
    InputError
        When the port is taken.
    MissingExtraError
        Without the extra `view`.
    """
    with bound(port) as own:
        server = server_of(study)
        address = f"http://{HOST}:{own.getsockname()[1]}/"
        say(f"viewer: {address} (only on this machine; Ctrl-C ends it)")
        if browser:
            opener = threading.Timer(0.5, webbrowser.open, [address])
            opener.daemon = True
            opener.start()
        server.run(sockets=[own])


@contextmanager
def served(study: Study) -> Iterator[str]:
    """Serve a study in another thread while the block runs; gives its address."""
    with bound(0) as own:
        server = server_of(study)
        thread = threading.Thread(target=server.run, args=([own],), daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{own.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)


@contextmanager
def bound(port: int) -> Iterator[socket.socket]:
    """A socket that listens on this machine.

    Raises
    ------
    InputError
        When the port is taken or not allowed.
    """
    own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            own.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise InputError(
                f"port {port} of {HOST} cannot be used ({error}); give another --port, or 0 for "
                "one that is free",
            ) from None
        own.listen(128)
        yield own


def server_of(study: Study) -> uvicorn.Server:
    """A server of the study, not yet running.

    Raises
    ------
    MissingExtraError
        Without the extra `view`.
    """
    need_view()
    import uvicorn

    from survfuse.viewer.application import make_application

    settings = uvicorn.Config(
        make_application(study),
        log_level="warning",
        server_header=False,
        lifespan="off",
    )
    return uvicorn.Server(settings)


def need_view() -> None:
    """Make sure that the extra `view` is installed.

    Raises
    ------
    MissingExtraError
        Where it is not.
    """
    for name in ("fastapi", "uvicorn"):
        try:
            import_module(name)
        except ImportError as error:
            raise MissingExtraError(
                f"the viewer needs {error.name or name}: pip install 'survfuse[view]'",
            ) from None

"""What keeps a page of another site from reading patients: hosts, methods and headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

HOSTS = frozenset({"127.0.0.1", "localhost"})
ONE_STYLE = "'sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE='"
"""Hash of the one style that OpenSeadragon 6.1.1 adds to a page."""
POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {ONE_STYLE}; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing is fetched from elsewhere, and no page may frame these."""
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Of a page that holds its style and pictures itself, and has no script."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def secure(application: FastAPI) -> None:
    """Answer only to this machine's own names, only to GET and HEAD, with strict headers.

    A name of another site that leads to 127.0.0.1 (DNS rebinding) is refused by the header Host.
    """

    @application.middleware("http")
    async def checked(
        request: Request,
        answer: Callable[[Request], Awaitable[Response]],
    ) -> Response:
        host = request.headers.get("host", "").rpartition(":")
        name = host[0] or host[2]
        if name.lower() not in HOSTS:
            response: Response = PlainTextResponse(
                "this viewer answers only to 127.0.0.1 and localhost",
                status_code=421,
            )
        elif request.method not in ("GET", "HEAD"):
            response = PlainTextResponse("only GET is answered", status_code=405)
        else:
            response = await answer(request)
        for header, value in HEADERS.items():
            response.headers.setdefault(header, value)
        return response

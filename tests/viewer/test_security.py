from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from survfuse.viewer.security import secure


@pytest.fixture(scope="module")
def application() -> FastAPI:
    application = FastAPI()
    secure(application)
    application.add_api_route("/", lambda: {"patients": 1}, methods=["GET"])
    return application


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8123", "localhost:1", "LOCALHOST", "127.0.0.1"]
)
def test_own_names_are_answered(application: FastAPI, host: str) -> None:
    with TestClient(application) as client:
        assert client.get("/", headers={"Host": host}).json() == {"patients": 1}


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "[::1]:8000",
        "",
        ":80",
    ],
)
def test_other_names_are_refused(application: FastAPI, host: str) -> None:
    with TestClient(application) as client:
        answer = client.get("/", headers={"Host": host})
        assert answer.status_code == 421
        assert "patients" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_reading_is_answered(application: FastAPI, method: str) -> None:
    with TestClient(application, base_url="http://localhost") as client:
        assert client.request(method, "/").status_code == 405


def test_no_page_of_another_site_can_read_or_frame(application: FastAPI) -> None:
    with TestClient(application, base_url="http://localhost") as client:
        answer = client.get("/", headers={"Origin": "http://evil.example"})
    headers = answer.headers
    assert "access-control-allow-origin" not in headers
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"

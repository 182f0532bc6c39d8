"""The viewer as an application of FastAPI: pages, JSON, buffers of scores, tiles of slides."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles

from survfuse._errors import InputError, SlideError, SurvfuseError
from survfuse.maps import SlideMap
from survfuse.maps.overlay import check_within
from survfuse.maps.pixels import float32_bytes
from survfuse.viewer import security
from survfuse.viewer.open_slides import OpenSlides
from survfuse.viewer.shown_slide import shown_slide, version_of
from survfuse.viewer.slide_view import THUMBNAIL_PX, check_tile, number_bytes
from survfuse.viewer.study import Study

STATIC = files("survfuse.viewer") / "static"
CACHED = {"Cache-Control": "private, max-age=86400, immutable"}
"""Of tiles, whose address holds the version of the slide."""
BINARY = "application/octet-stream"
Id = Annotated[str, Query(min_length=1, max_length=500)]


def make_application(study: Study, slides: OpenSlides | None = None) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    study : Study
        Every id of a request is looked up in it; no request names a path.
    slides : OpenSlides, optional
        Where slides are opened.
    """
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    security.secure(application)
    application.add_exception_handler(SurvfuseError, _said)
    handlers = _Handlers(study, OpenSlides() if slides is None else slides)
    routes: dict[str, Any] = {
        "/": _page("table.html"),
        "/patient": _page("patient.html"),
        "/page": handlers.page,
        "/api/study": handlers.study_record,
        "/api/patient": handlers.patient,
        "/api/slide": handlers.slide,
        "/api/score": handlers.score,
        "/api/numbers": handlers.numbers,
        "/api/neighbours": handlers.neighbours,
        "/tile": handlers.tile,
        "/thumbnail": handlers.thumbnail,
    }
    for path, handler in routes.items():
        application.add_api_route(path, handler, methods=["GET", "HEAD"])
    static = StaticFiles(directory=str(STATIC))
    application.mount("/static", static, name="static")
    return application


class _Handlers:
    """Answers of the viewer."""

    def __init__(self, study: Study, slides: OpenSlides) -> None:
        self.study, self.slides = study, slides
        self._table = JSONResponse(study.described())

    def study_record(self) -> Response:
        """The table of patients."""
        return Response(self._table.body, media_type="application/json")

    def patient(self, patient: Id) -> Response:
        """One patient: facts, terms, slides."""
        return JSONResponse(self.study.record_of(patient))

    def slide(self, patient: Id, modality: Id, slide: Id) -> Response:
        """One slide: where image and map lie, scores, tiles to list."""
        own = self.study.slide(patient, (modality, slide))
        _, record = shown_slide(self.study, patient, own, self.slides)
        return JSONResponse(record)

    def score(self, patient: Id, modality: Id, slide: Id, name: Id) -> Response:
        """A score, Float32."""
        one = self._needed_map(patient, modality, slide)
        return Response(float32_bytes(one, name), media_type=BINARY)

    def numbers(self, patient: Id, modality: Id, slide: Id) -> Response:
        """Numbers of tiles, Int32."""
        one = self._needed_map(patient, modality, slide)
        return Response(number_bytes(one), media_type=BINARY)

    def neighbours(self, patient: Id, modality: Id, slide: Id, tile: int) -> Response:
        """Tiles that look like one."""
        one = self._needed_map(patient, modality, slide)
        check_tile(one, tile)
        key = modality, slide
        return JSONResponse(self.study.neighbours(patient, key, tile))

    def tile(
        self,
        patient: Id,
        modality: Id,
        slide: Id,
        level: int,
        column: int,
        row: int,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """A tile of the slide's pyramid, JPEG."""
        path = self._image(patient, modality, slide)
        tag = f'"{version_of(path)}-{level}-{column}-{row}"'
        headers = {"ETag": tag, **CACHED}
        if if_none_match == tag:
            return Response(status_code=304, headers=headers)
        with self.slides.reading(path) as zoom:
            content = zoom.jpeg(level, column, row)
        return Response(content, media_type="image/jpeg", headers=headers)

    def thumbnail(self, patient: Id, modality: Id, slide: Id, tile: int) -> Response:
        """A tile of the map, JPEG."""
        path = self._image(patient, modality, slide)
        one = self._needed_map(patient, modality, slide)
        check_tile(one, tile)
        x, y = one.places.corners[tile].tolist()
        with self.slides.reading(path) as zoom:
            check_within(one, zoom.reader)
            content = zoom.thumbnail(x, y, one.side, THUMBNAIL_PX)
        return Response(content, media_type="image/jpeg")  # its number is the map's

    def page(self, patient: Id) -> Response:
        """The whole page about a patient."""
        html = self.study.page(self.study.check(patient))
        policy = {"Content-Security-Policy": security.PAGE_POLICY}
        return HTMLResponse(html, headers=policy)

    def _needed_map(self, patient: str, modality: str, slide: str) -> SlideMap:
        own = self.study.slide(patient, (modality, slide))
        one, why = self.study.map_of(patient, own)
        if one is None:
            raise InputError(why or f"there is no map of slide {slide!r}")
        return one

    def _image(self, patient: str, modality: str, slide: str) -> Path:
        own = self.study.slide(patient, (modality, slide))
        if own.image is None:
            raise InputError(own.why_no_image)
        return own.image


def _page(name: str) -> Any:
    """Handler that answers with a page of ours."""
    content = (STATIC / name).read_text(encoding="utf-8")

    def page() -> Response:
        return HTMLResponse(content)

    return page


def _said(_request: Request, error: Exception) -> Response:
    """Say what is wrong: 404 for what is not there, 500 for a slide that cannot be read."""
    is_absent = isinstance(error, InputError) and not isinstance(error, SlideError)
    status = 404 if is_absent else 500
    return PlainTextResponse(str(error), status_code=status)

"""QuPath's documented form of a tile in GeoJSON, as a JSON schema written by hand.

From its documentation of "Exporting annotations / GeoJSON" and the reader of `PathObject`: the type of
an object is `properties.objectType`, ids are UUIDs, measurements an object of names and numbers.
"""

from __future__ import annotations

from typing import Any

_POINT = {
    "type": "array",
    "items": {"type": "number"},
    "minItems": 2,
    "maxItems": 2,
}
TILE: dict[str, Any] = {
    "type": "object",
    "required": ["type", "id", "geometry", "properties"],
    "properties": {
        "type": {"const": "Feature"},
        "id": {
            "type": "string",
            "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
        },
        "geometry": {
            "type": "object",
            "required": ["type", "coordinates"],
            "properties": {
                "type": {"const": "Polygon"},
                "coordinates": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 1,
                    "items": {
                        "type": "array",
                        "items": _POINT,
                        "minItems": 5,
                        "maxItems": 5,
                    },
                },
            },
            "additionalProperties": False,
        },
        "properties": {
            "type": "object",
            "required": ["objectType", "measurements"],
            "properties": {
                "objectType": {"const": "tile"},
                "name": {"type": "string"},
                "color": {"$ref": "#/$defs/colour"},
                "classification": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string", "minLength": 1},
                        "color": {"$ref": "#/$defs/colour"},
                    },
                    "additionalProperties": False,
                },
                "isLocked": {"type": "boolean"},
                "measurements": {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": {"type": "number"},
                },
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
COLLECTION: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {
        "colour": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 255},
            "minItems": 3,
            "maxItems": 3,
        },
    },
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {"type": "array", "items": TILE},
        "survfuse": {"type": "object"},
    },
    "additionalProperties": False,
}

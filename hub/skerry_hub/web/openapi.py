"""The API as an OpenAPI 3.1 document, made of the table of routes and the types they name."""

from importlib.metadata import version
from typing import Any

import msgspec

from skerry_hub import tokens
from skerry_hub.web import schema
from skerry_hub.web.problems import MEDIA_TYPE
from skerry_hub.web.routes import BASE, ROUTES, Route

_REF = "#/components/schemas/{name}"
_PARAMETERS = {"id": "A device's id.", "path": "A value's path, such as led/colour."}


def document(cookie: str) -> dict[str, Any]:
    """Return the document; `cookie` is the name of the page's."""
    named = {each for route in ROUTES for each in (route.answer, route.body)
             if isinstance(each, type) and issubclass(each, msgspec.Struct)}  # fmt: skip
    types = [schema.Problem, *sorted(named, key=lambda each: each.__name__)]
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Skerry",
            "version": version("skerry"),
            "summary": "Devices of a hub: who they are, what they do, and who may.",
        },
        "servers": [{"url": BASE}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "skerry token new; scopes: "
                    + "; ".join(f"{name}: {what}" for name, what in tokens.SCOPES.items()),
                },
                "page": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    doc = (route.call.__doc__ or "").strip().splitlines()[0]
    said: dict[str, Any] = {
        "operationId": route.name,
        "summary": doc,
        "parameters": [*_in_path(route), *_in_query(route)],
        "responses": {
            str(route.status): _answer(route, doc),
            "default": {
                "description": "What went wrong, and what to do about it.",
                "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}},
            },
        },
        "security": [],
    }
    if route.scope is not None:
        scopes = route.scope.split()
        said["security"] = [{"token": scopes}, {"page": scopes}]
    if route.body is not None:
        ref = {"$ref": _REF.format(name=route.body.__name__)}
        required = bool(msgspec.json.schema(route.body)["$defs"][route.body.__name__]["required"])
        said["requestBody"] = {
            "required": required,
            "content": {"application/json": {"schema": ref}},
        }
    return said


def _in_path(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": text,
         "schema": {"type": "string", "minLength": 1}}
        for name, text in _PARAMETERS.items() if f"{{{name}}}" in route.path
    ]  # fmt: skip


def _in_query(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    (_,), defs = msgspec.json.schema_components([route.query], ref_template=_REF)
    fields = defs[route.query.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": said}
        for name, said in fields.items()
    ]


def _answer(route: Route, doc: str) -> dict[str, Any]:
    if route.answer is None:
        return {"description": doc}
    if isinstance(route.answer, str):
        return {"description": doc, "content": {route.answer: {}}}
    ref = {"$ref": _REF.format(name=route.answer.__name__)}
    return {"description": doc, "content": {"application/json": {"schema": ref}}}

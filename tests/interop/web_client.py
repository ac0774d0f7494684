"""A client of the web interface that believes no answer before it fits the OpenAPI document."""

import json
import re
import ssl
import urllib.error
import urllib.request
from typing import Any

from jsonschema import Draft202012Validator


class Answer:
    """One answer; `said` is its JSON, if it is any."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body
        self.kind = headers.get("Content-Type", "").partition(";")[0]
        self.said = json.loads(body) if self.kind.endswith("json") else None

    def __repr__(self) -> str:
        return f"<{self.status} {self.said or self.kind}>"


class Api:
    """Calls as one token; `used` are the operations that answered well."""

    def __init__(self, url: str, token: str | None, tls: ssl.SSLContext | None = None) -> None:
        self.url, self.token, self._tls = url.rstrip("/"), token, tls
        self.used: set[str] = set()
        self.document = json.loads(self.raw("GET", "/api/v1/openapi.json").body)

    def raw(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request as it is said."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, body, said, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20, context=self._tls) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def __call__(self, method: str, path: str, body: Any = None, status: int = 0) -> Any:
        """Call an operation; return what it says. `status` is what is expected, 0 any good one."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content_Type"] = "application/json"
        answer = self.raw(method, "/api/v1" + path, data, **headers)
        operation = self._operation(method, path)
        assert answer.status == status or (not status and answer.status < 300), answer
        self._fits(operation, answer)
        if answer.status < 300:
            self.used.add(operation["operationId"])
        return answer.said if answer.said is not None else answer

    def _operation(self, method: str, path: str) -> dict:
        bare = path.partition("?")[0]
        for template, methods in self.document["paths"].items():
            form = template.replace("{id}", "[^/]+").replace("{path}", ".+")
            if re.fullmatch(form, bare) and method.lower() in methods:
                return methods[method.lower()]
        raise AssertionError(f"{method} {path} is not in the document")

    def _fits(self, operation: dict, answer: Answer) -> None:
        known = operation["responses"]
        said = known.get(str(answer.status), known["default"])
        if answer.status < 300:
            assert str(answer.status) in known, answer
        if "content" not in said:
            assert answer.body == b""
            return
        schema = said["content"][answer.kind].get("schema")
        if schema is not None:
            whole = {**schema, "components": self.document["components"]}
            Draft202012Validator(whole).validate(answer.said)

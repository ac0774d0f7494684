"""Schemathesis makes requests up from the OpenAPI document, right ones and wrong ones."""

import shutil
import subprocess
import sys
from pathlib import Path

from test_page import SCOPES, token

# What the document allows may still be refused, with a reason: an id that is taken, for example.
# Wrong tokens would be slowed down: tests/interop/test_web.py has them.
WITHOUT = "positive_data_acceptance,ignored_auth"


def test_the_api_keeps_to_its_document_whatever_it_is_asked(hub, tmp_path):
    hub("enroll", "lamp")
    bearer = "Authorization: Bearer " + token(hub, "schema", *SCOPES)
    command = [
        shutil.which("schemathesis", path=str(Path(sys.executable).parent)), "run",
        hub.web + "api/v1/openapi.json", "--url", hub.web + "api/v1", "-H", bearer,
        "--exclude-checks", WITHOUT, "--exclude-path", "/session", "--seed", "1",
        "--max-examples", "20", "--phases", "examples,coverage,fuzzing",
        "--suppress-health-check", "all",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Tested: 23" in done.stdout
    assert hub("audit", "--verify")["entries"] > 20

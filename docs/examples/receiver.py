"""Receives a hub's webhooks: python receiver.py SECRET_FILE, on port 8000 of this machine."""

import base64
import hashlib
import hmac
import http.server
import json
import sys
import time
from pathlib import Path

SECRET = base64.b64decode(Path(sys.argv[1]).read_text().strip().removeprefix("whsec_"))
seen = {}  # (hub, log, type) -> the last number that was taken; keep it where the items are kept


class Receiver(http.server.BaseHTTPRequestHandler):  # noqa: D101
    def do_POST(self):  # noqa: D102
        body = self.rfile.read(int(self.headers["Content-Length"]))
        id, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        made = hmac.digest(SECRET, f"{id}.{at}.".encode() + body, hashlib.sha256)
        signature = "v1," + base64.b64encode(made).decode()
        fresh = abs(time.time() - int(at)) < 300
        good = fresh and hmac.compare_digest(signature, self.headers["webhook-signature"])
        for item in json.loads(body)["data"] if good else []:
            log = json.loads(body)["hub"], json.loads(body)["log"], item["type"]
            if item["number"] > seen.get(log, 0):  # else it came before
                seen[log] = item["number"]
                print(
                    item["time"], item["device"], item.get("value", item.get("action")), flush=True
                )
        self.send_response(204 if good else 401)
        self.end_headers()


port = int(sys.argv[2]) if len(sys.argv) > 2 else 8000
http.server.HTTPServer(("127.0.0.1", port), Receiver).serve_forever()

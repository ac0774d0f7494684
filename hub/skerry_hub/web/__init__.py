"""The web interface: the REST API at /api/v1 and the page at /, over the commands' own services.

routes.py     every route: its scope, what it takes, what it answers
openapi.py    the same table as an OpenAPI document
schema.py     what is said, as types: they read requests and write answers
reads.py, acts.py    what the routes do
auth.py       tokens, the page's sessions, and how often one may be wrong
worker.py     the store, in a thread of its own: the hub's loop waits for no page
server.py     the listening, TLS, headers, errors
static/       the page: HTML, CSS, modules; no build, nothing from elsewhere
"""

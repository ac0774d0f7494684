-- Where devices were heard last, and what the operator sets for them.

CREATE TABLE address (
    device INTEGER PRIMARY KEY REFERENCES device (id),
    peer   TEXT NOT NULL
) STRICT;

CREATE TABLE config (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    device  INTEGER NOT NULL REFERENCES device (id),
    path    TEXT NOT NULL,
    format  INTEGER,
    payload BLOB,
    UNIQUE (device, path)
) STRICT;

-- A handshake writes one page: pseudonyms of pending and expected epochs are indexed in memory, and
-- a device's readings are a chain from its own row.

CREATE TABLE device_4 (
    id                  INTEGER PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE,
    label               TEXT NOT NULL,
    state               TEXT NOT NULL CHECK (state IN ('pending', 'active', 'revoked')),
    suite               INTEGER NOT NULL,
    era                 INTEGER NOT NULL,
    step                INTEGER NOT NULL,
    pid                 BLOB NOT NULL,
    chain               BLOB NOT NULL,
    pending_pid         BLOB,
    pending_key         BLOB,
    fingerprint         TEXT NOT NULL,
    session_fingerprint TEXT,
    session_era         INTEGER,
    session_step        INTEGER,
    enrolled_at         REAL NOT NULL,
    seen_at             REAL,
    last_reading        INTEGER,
    readings            INTEGER NOT NULL DEFAULT 0,
    chip                TEXT,
    board               TEXT NOT NULL DEFAULT '',
    tags                TEXT NOT NULL DEFAULT '',
    key_check           BLOB,
    CHECK ((pending_pid IS NULL) = (pending_key IS NULL))
) STRICT;

INSERT INTO device_4
    SELECT d.id, d.name, d.label, d.state, d.suite, d.era, d.step,
           coalesce((SELECT p.pid FROM pseudonym AS p
                     WHERE p.device = d.id AND p.era = d.era AND p.pid IS NOT d.pending_pid), x''),
           d.chain, d.pending_pid, d.pending_key, d.fingerprint, d.session_fingerprint,
           d.session_era, d.session_step, d.enrolled_at, d.seen_at,
           (SELECT max(r.id) FROM reading AS r WHERE r.device = d.id),
           (SELECT count(*) FROM reading AS r WHERE r.device = d.id),
           d.chip, d.board, d.tags, d.key_check
    FROM device AS d;

CREATE TABLE coming (
    pid    BLOB NOT NULL,
    device INTEGER NOT NULL REFERENCES device (id),
    era    INTEGER NOT NULL,
    PRIMARY KEY (pid, device)
) STRICT, WITHOUT ROWID;

CREATE INDEX coming_by_device ON coming (device, era);


CREATE TABLE moved (
    id      INTEGER PRIMARY KEY,
    mark    BLOB NOT NULL,
    devices BLOB NOT NULL
) STRICT;

INSERT INTO moved VALUES (1, randomblob(8), x'');

INSERT INTO coming
    SELECT p.pid, p.device, p.era FROM pseudonym AS p JOIN device AS d ON d.id = p.device
    WHERE p.era > d.era;

CREATE TABLE reading_4 (
    id       INTEGER PRIMARY KEY,
    device   INTEGER NOT NULL,
    previous INTEGER,
    at       REAL NOT NULL,
    path     TEXT NOT NULL,
    format   INTEGER,
    payload  BLOB NOT NULL
) STRICT;

INSERT INTO reading_4
    SELECT id, device, lag(id) OVER (PARTITION BY device ORDER BY id), at, path, format, payload
    FROM reading ORDER BY id;

DROP TABLE pseudonym;

DROP TABLE reading;

DROP TABLE device;

ALTER TABLE device_4 RENAME TO device;

ALTER TABLE reading_4 RENAME TO reading;

CREATE UNIQUE INDEX device_by_chip ON device (chip) WHERE state = 'active';

CREATE INDEX pending_by_chip ON device (chip) WHERE state = 'pending';

CREATE UNIQUE INDEX device_by_key ON device (key_check);

CREATE TABLE revocation (
    id     INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id)
) STRICT;

INSERT INTO revocation SELECT id, id FROM device WHERE state = 'revoked';

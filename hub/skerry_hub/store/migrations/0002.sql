-- Devices that are being flashed: the state 'pending', and what they run on. SQLite cannot change a
-- CHECK, so the table is made anew.

CREATE TABLE device_2 (
    id                  INTEGER PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE,
    label               TEXT NOT NULL,
    state               TEXT NOT NULL CHECK (state IN ('pending', 'active', 'revoked')),
    suite               INTEGER NOT NULL,
    era                 INTEGER NOT NULL,
    step                INTEGER NOT NULL,
    chain               BLOB NOT NULL,
    pending_pid         BLOB,
    pending_key         BLOB,
    fingerprint         TEXT NOT NULL,
    session_fingerprint TEXT,
    session_era         INTEGER,
    session_step        INTEGER,
    enrolled_at         REAL NOT NULL,
    seen_at             REAL,
    chip                TEXT,
    board               TEXT NOT NULL DEFAULT '',
    tags                TEXT NOT NULL DEFAULT '',
    key_check           BLOB,
    CHECK ((pending_pid IS NULL) = (pending_key IS NULL))
) STRICT;

INSERT INTO device_2 (id, name, label, state, suite, era, step, chain, pending_pid, pending_key,
                      fingerprint, session_fingerprint, session_era, session_step, enrolled_at,
                      seen_at)
    SELECT id, name, label, state, suite, era, step, chain, pending_pid, pending_key,
           fingerprint, session_fingerprint, session_era, session_step, enrolled_at, seen_at
    FROM device;

DROP TABLE device;

ALTER TABLE device_2 RENAME TO device;

CREATE UNIQUE INDEX device_by_chip ON device (chip) WHERE state = 'active';

CREATE INDEX pending_by_chip ON device (chip) WHERE state = 'pending';

CREATE UNIQUE INDEX device_by_key ON device (key_check);

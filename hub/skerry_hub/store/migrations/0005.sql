-- The audit log; devices in quarantine; and beside every sealed value the number of its row key.
-- Hashes of K0 are under a key of their own from now on: those of before are compared with nothing.

CREATE TABLE device_5 (
    id                  INTEGER PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE,
    label               TEXT NOT NULL,
    state               TEXT NOT NULL
                        CHECK (state IN ('pending', 'active', 'quarantined', 'revoked')),
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

INSERT INTO device_5
    SELECT id, name, label, state, suite, era, step, pid,
           CASE WHEN chain = x'' THEN chain ELSE CAST(x'00' || chain AS BLOB) END,
           pending_pid, CAST(x'00' || pending_key AS BLOB), fingerprint, session_fingerprint,
           session_era, session_step, enrolled_at, seen_at, last_reading, readings, chip, board,
           tags, NULL
    FROM device;

DROP TABLE device;

ALTER TABLE device_5 RENAME TO device;

CREATE UNIQUE INDEX device_by_chip ON device (chip) WHERE state = 'active';

CREATE INDEX pending_by_chip ON device (chip) WHERE state = 'pending';

CREATE UNIQUE INDEX device_by_key ON device (key_check);

UPDATE config SET payload = CAST(x'00' || payload AS BLOB) WHERE payload NOT NULL;

UPDATE meta SET value = CAST(x'00' || value AS BLOB) WHERE key = 'row_key';

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at      REAL NOT NULL,
    who     TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL,
    hash    BLOB NOT NULL
) STRICT;

CREATE INDEX audit_by_subject ON audit (subject);

CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
BEGIN
    SELECT raise(ABORT, 'the audit log is only ever added to');
END;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
BEGIN
    SELECT raise(ABORT, 'the audit log is only ever added to');
END;

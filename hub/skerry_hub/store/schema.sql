-- What the hub remembers. `chain` and `pending_key` are sealed (vault.py): no key is in clear here.
-- What is sealed begins with the number of the row key that it is sealed under, one byte.

PRAGMA user_version = 6;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,             -- 'hub', 'row_key', 'starts'; vault.py has all keys
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    id                  INTEGER PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE,       -- the id in the protocol
    label               TEXT NOT NULL,              -- for people
    state               TEXT NOT NULL
                        CHECK (state IN ('pending', 'active', 'quarantined', 'revoked')),
    suite               INTEGER NOT NULL,
    era                 INTEGER NOT NULL,           -- the expected epoch
    step                INTEGER NOT NULL,
    pid                 BLOB NOT NULL,              -- its pseudonym; empty once revoked
    chain               BLOB NOT NULL,              -- sealed; empty once revoked
    pending_pid         BLOB,                       -- the epoch answered and not yet confirmed
    pending_key         BLOB,                       -- sealed
    fingerprint         TEXT NOT NULL,              -- of the key it was provisioned with
    session_fingerprint TEXT,                       -- of its last confirmed session
    session_era         INTEGER,
    session_step        INTEGER,
    enrolled_at         REAL NOT NULL,              -- seconds since 1970, as all times
    seen_at             REAL,
    last_reading        INTEGER,
    readings            INTEGER NOT NULL DEFAULT 0, -- how many
    chip                TEXT,                       -- its board's unique id, if it was flashed
    board               TEXT NOT NULL DEFAULT '',   -- what board that is
    tags                TEXT NOT NULL DEFAULT '',   -- words for people, by spaces
    key_check           BLOB,                       -- keyed hash of K0: no two devices share one
    CHECK ((pending_pid IS NULL) = (pending_key IS NULL))
) STRICT;

CREATE UNIQUE INDEX device_by_chip ON device (chip) WHERE state = 'active';

CREATE INDEX pending_by_chip ON device (chip) WHERE state = 'pending';

CREATE UNIQUE INDEX device_by_key ON device (key_check);

-- Who was revoked or quarantined, in this order: a running hub looks for what came after the last one it saw.
CREATE TABLE revocation (
    id     INTEGER PRIMARY KEY,         -- at least its time, in microseconds since 1970
    device INTEGER NOT NULL REFERENCES device (id)
) STRICT;

-- The pseudonyms of the coming eras' first epochs: read and written only where a device recovers.
-- Those of pending and expected epochs, which every handshake changes, are indexed in memory.
CREATE TABLE coming (
    pid    BLOB NOT NULL,
    device INTEGER NOT NULL REFERENCES device (id),
    era    INTEGER NOT NULL,
    PRIMARY KEY (pid, device)
) STRICT, WITHOUT ROWID;

CREATE INDEX coming_by_device ON coming (device, era);

-- Which devices have new pseudonyms, a row a transaction: so that every process can keep up.
CREATE TABLE moved (
    id      INTEGER PRIMARY KEY,
    mark    BLOB NOT NULL,              -- 8 random bytes: another database has another one
    devices BLOB NOT NULL               -- their numbers, 8 bytes each
) STRICT;

INSERT INTO moved VALUES (1, randomblob(8), x'');

-- All readings in the order of their arrival, those of one device as a chain. An index by device
-- would write a page of its own for each of them; the device's row is often written anyway.
CREATE TABLE reading (
    id       INTEGER PRIMARY KEY,
    device   INTEGER NOT NULL,          -- who is in a session is there: nothing to check
    previous INTEGER,                   -- the device's reading before this one
    at       REAL NOT NULL,
    path     TEXT NOT NULL,
    format   INTEGER,                   -- CoAP Content-Format
    payload  BLOB NOT NULL
) STRICT;

-- Where a device was heard last: a hint for the hub, who it was comes from the session alone.
CREATE TABLE address (
    device INTEGER PRIMARY KEY REFERENCES device (id),
    peer   TEXT NOT NULL                            -- JSON: what the socket takes
) STRICT;

-- What the operator sets for a device. A value that is set again gets a higher id.
CREATE TABLE config (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    device  INTEGER NOT NULL REFERENCES device (id),
    path    TEXT NOT NULL,
    format  INTEGER,                                -- CoAP Content-Format
    payload BLOB,                                   -- sealed; NULL once it is unset
    UNIQUE (device, path)
) STRICT;

-- Who did what: an entry's hash covers it and the hash before (ledger.py).
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,        -- 1, 2, 3 ... without a gap
    at      REAL NOT NULL,
    who     TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,              -- a device's id, if it is about one
    detail  TEXT NOT NULL,              -- JSON
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

-- Who may use the web interface: of each token the hash alone (tokens.py).
CREATE TABLE token (
    name       TEXT PRIMARY KEY,
    hash       BLOB NOT NULL,           -- SHA-256 of the secret
    scopes     TEXT NOT NULL,           -- words by spaces
    created_at REAL NOT NULL,
    expires_at REAL,
    used_at    REAL                     -- to the minute
) STRICT, WITHOUT ROWID;

-- How many devices are in each state: nobody has to count them. Handshakes and readings change none.
CREATE TABLE population (
    state   TEXT PRIMARY KEY,
    devices INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO population VALUES ('pending', 0), ('active', 0), ('quarantined', 0), ('revoked', 0);

CREATE TRIGGER device_is_new AFTER INSERT ON device
BEGIN
    UPDATE population SET devices = devices + 1 WHERE state = new.state;
END;

CREATE TRIGGER device_is_gone AFTER DELETE ON device
BEGIN
    UPDATE population SET devices = devices - 1 WHERE state = old.state;
END;

CREATE TRIGGER device_is_changed AFTER UPDATE OF state ON device
BEGIN
    UPDATE population SET devices = devices - 1 WHERE state = old.state;
    UPDATE population SET devices = devices + 1 WHERE state = new.state;
END;

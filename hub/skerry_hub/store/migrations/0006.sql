-- Tokens of the web interface, and how many devices are in each state.

CREATE TABLE token (
    name       TEXT PRIMARY KEY,
    hash       BLOB NOT NULL,
    scopes     TEXT NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL,
    used_at    REAL
) STRICT, WITHOUT ROWID;

CREATE TABLE population (
    state   TEXT PRIMARY KEY,
    devices INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO population VALUES ('pending', 0), ('active', 0), ('quarantined', 0), ('revoked', 0);

UPDATE population
    SET devices = (SELECT count(*) FROM device AS d WHERE d.state = population.state);

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

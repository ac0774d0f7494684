PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE device (
    id                  INTEGER PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE,       -- the id in the protocol
    label               TEXT NOT NULL,              -- for people
    state               TEXT NOT NULL CHECK (state IN ('pending', 'active', 'revoked')),
    suite               INTEGER NOT NULL,
    era                 INTEGER NOT NULL,           -- the expected epoch
    step                INTEGER NOT NULL,
    chain               BLOB NOT NULL,              -- sealed; empty once revoked
    pending_pid         BLOB,                       -- the epoch answered and not yet confirmed
    pending_key         BLOB,                       -- sealed
    fingerprint         TEXT NOT NULL,              -- of the key it was provisioned with
    session_fingerprint TEXT,                       -- of its last confirmed session
    session_era         INTEGER,
    session_step        INTEGER,
    enrolled_at         REAL NOT NULL,              -- seconds since 1970, as all times
    seen_at             REAL,
    chip                TEXT,                       -- its board's unique id, if it was flashed
    board               TEXT NOT NULL DEFAULT '',   -- what board that is
    tags                TEXT NOT NULL DEFAULT '',   -- words for people, by spaces
    key_check           BLOB,                       -- keyed hash of K0: no two devices share one
    CHECK ((pending_pid IS NULL) = (pending_key IS NULL))
) STRICT;
INSERT INTO "device" VALUES(1,'lamp','kitchen lamp','active',0,0,0,X'DFD63260A67CA2BFA56E71E79641693A45C9C78D04313669320E57B75FE49797ABF31A623A5E572E518374DA5EBAFC022ABB9835976FC228338B669062EA13D11895CF55828166E7113707DB67F884BD1F73BF56AC088993',NULL,NULL,'3c11af84',NULL,NULL,NULL,1.79561280257691979408e+09,NULL,'e6614103e7452d2f','RPI_PICO','',X'19E14352026FCD677B3406E0A93D8AA2');
INSERT INTO "device" VALUES(2,'gone','','revoked',0,0,0,X'',NULL,NULL,'0ecef304',NULL,NULL,NULL,1.7956128026069190502e+09,NULL,NULL,'','',X'E9750E3042287257689F2A3E95FFE961');
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,             -- 'hub', 'row_key', 'starts'
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('hub',X'682D6F6C64');
INSERT INTO "meta" VALUES('row_key',X'12EEA346E876CEC7E213D88673064DF117ECB04D7D49F7D531791239F65F7361633EACFD28582895184AFD13DC3901F6');
INSERT INTO "meta" VALUES('starts',X'0000000000000001');
CREATE TABLE pseudonym (
    pid    BLOB NOT NULL,
    device INTEGER NOT NULL REFERENCES device (id),
    era    INTEGER NOT NULL,
    PRIMARY KEY (pid, device)
) STRICT, WITHOUT ROWID;
INSERT INTO "pseudonym" VALUES(X'17A5EF32B2CF',1,9);
INSERT INTO "pseudonym" VALUES(X'1CF3DA3616B4',1,12);
INSERT INTO "pseudonym" VALUES(X'1D2C088C2EC6',1,7);
INSERT INTO "pseudonym" VALUES(X'3E3AC4569FA1',1,4);
INSERT INTO "pseudonym" VALUES(X'42D8E40FE9C1',1,0);
INSERT INTO "pseudonym" VALUES(X'4BFB50B6E5CE',1,8);
INSERT INTO "pseudonym" VALUES(X'58B5A939A8F4',1,14);
INSERT INTO "pseudonym" VALUES(X'60472EEE8850',1,2);
INSERT INTO "pseudonym" VALUES(X'6A629E011FEC',1,10);
INSERT INTO "pseudonym" VALUES(X'6BBDBFFF6E8F',1,11);
INSERT INTO "pseudonym" VALUES(X'6E26C07C95A5',1,1);
INSERT INTO "pseudonym" VALUES(X'6E9B94615820',1,5);
INSERT INTO "pseudonym" VALUES(X'941088A902FE',1,3);
INSERT INTO "pseudonym" VALUES(X'D594A99AC6B7',1,15);
INSERT INTO "pseudonym" VALUES(X'E6EDEDD66F58',1,16);
INSERT INTO "pseudonym" VALUES(X'EBB2729FBC4B',1,13);
INSERT INTO "pseudonym" VALUES(X'F80194A156A6',1,6);
CREATE TABLE reading (
    id      INTEGER PRIMARY KEY,
    device  INTEGER NOT NULL REFERENCES device (id),
    at      REAL NOT NULL,
    path    TEXT NOT NULL,
    format  INTEGER,                                -- CoAP Content-Format
    payload BLOB NOT NULL
) STRICT;
INSERT INTO "reading" VALUES(1,1,1700000000.0,'readings',50,X'7B2263223A2032307D');
CREATE UNIQUE INDEX device_by_chip ON device (chip) WHERE state = 'active';
CREATE INDEX pending_by_chip ON device (chip) WHERE state = 'pending';
CREATE UNIQUE INDEX device_by_key ON device (key_check);
CREATE INDEX pseudonym_by_device ON pseudonym (device);
CREATE INDEX reading_by_device ON reading (device, id);
COMMIT;

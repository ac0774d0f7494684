PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE device (
    id                  INTEGER PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE,       -- the id in the protocol
    label               TEXT NOT NULL,              -- for people
    state               TEXT NOT NULL CHECK (state IN ('active', 'revoked')),
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
    CHECK ((pending_pid IS NULL) = (pending_key IS NULL))
) STRICT;
INSERT INTO "device" VALUES(1,'lamp','kitchen lamp','active',0,0,0,X'DD48EB0D4AFD557008D3A75B0734EB12636B0F03AF5E089CE947E767873469600137A0BC8FEDE8CB3E317C390AE5B5F8CCC542B51D83DB14C665AF7A94CF6D1AEEDEE501A9B7FEC749A6B2E1DAC8F1E710D4C6842A35E9DA',NULL,NULL,'657ab81c',NULL,NULL,NULL,1.79560908673523163788e+09,NULL);
INSERT INTO "device" VALUES(2,'door','','active',0,0,0,X'7F80A2F4DE8CE0EAE1190571FD7BD53793781D91F981FE06B7ABE6FD9A283A971CC561B37FFB311353E77ABED38D3FEEDB5ED5F1CF2567E7596FA111DF624AE0B322566CEC66D1121D1287F3DF58A677CA041A8A8D833408',NULL,NULL,'83ae6fe3',NULL,NULL,NULL,1.79560908674346041678e+09,NULL);
INSERT INTO "device" VALUES(3,'gone','stolen','revoked',0,0,0,X'',NULL,NULL,'ee55801f',NULL,NULL,NULL,1.79560908674725103377e+09,NULL);
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,             -- 'hub', 'row_key', 'starts'
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('hub',X'682D6F6C64');
INSERT INTO "meta" VALUES('row_key',X'6933908388E5661D2D6095C6B0A0BBF288D0900D8C33DC10389336546A8E041A8BFEDF77DFC513C76D30134D0ACCDBF6');
INSERT INTO "meta" VALUES('starts',X'0000000000000001');
CREATE TABLE pseudonym (
    pid    BLOB NOT NULL,
    device INTEGER NOT NULL REFERENCES device (id),
    era    INTEGER NOT NULL,
    PRIMARY KEY (pid, device)
) STRICT, WITHOUT ROWID;
INSERT INTO "pseudonym" VALUES(X'011FD34B922A',1,0);
INSERT INTO "pseudonym" VALUES(X'0C8F2C16796B',2,2);
INSERT INTO "pseudonym" VALUES(X'12448F4EBE57',2,16);
INSERT INTO "pseudonym" VALUES(X'1301A6A408E2',1,14);
INSERT INTO "pseudonym" VALUES(X'13B7CCA9051E',1,12);
INSERT INTO "pseudonym" VALUES(X'1BD3D167F4DE',1,9);
INSERT INTO "pseudonym" VALUES(X'291984D92C9A',1,6);
INSERT INTO "pseudonym" VALUES(X'3897B34D6645',1,5);
INSERT INTO "pseudonym" VALUES(X'4EC2070AC166',1,3);
INSERT INTO "pseudonym" VALUES(X'505FB7815B74',2,6);
INSERT INTO "pseudonym" VALUES(X'55B3884C3A74',1,8);
INSERT INTO "pseudonym" VALUES(X'5D5AB7E217A9',2,0);
INSERT INTO "pseudonym" VALUES(X'5FC77C116AA6',2,8);
INSERT INTO "pseudonym" VALUES(X'62780E65B8D0',2,13);
INSERT INTO "pseudonym" VALUES(X'62EBC1419514',2,10);
INSERT INTO "pseudonym" VALUES(X'64C6FD058FB4',2,11);
INSERT INTO "pseudonym" VALUES(X'6BA786CF8A3A',2,1);
INSERT INTO "pseudonym" VALUES(X'6C73CEB74154',2,12);
INSERT INTO "pseudonym" VALUES(X'6F2398A575DD',1,16);
INSERT INTO "pseudonym" VALUES(X'71993DFCBB45',2,7);
INSERT INTO "pseudonym" VALUES(X'83E7471CF806',1,10);
INSERT INTO "pseudonym" VALUES(X'9DE993DC6B0F',1,4);
INSERT INTO "pseudonym" VALUES(X'9FD84462AED3',2,15);
INSERT INTO "pseudonym" VALUES(X'A9ABD3DAEC22',2,14);
INSERT INTO "pseudonym" VALUES(X'AD0327889532',1,1);
INSERT INTO "pseudonym" VALUES(X'C6856E52EAA1',1,13);
INSERT INTO "pseudonym" VALUES(X'C6B9D5D52093',1,2);
INSERT INTO "pseudonym" VALUES(X'C89F50C14B08',2,5);
INSERT INTO "pseudonym" VALUES(X'D45A97D4D229',2,9);
INSERT INTO "pseudonym" VALUES(X'D46D04016373',1,7);
INSERT INTO "pseudonym" VALUES(X'D5305D3B9F22',2,3);
INSERT INTO "pseudonym" VALUES(X'DDDABB6EA30E',2,4);
INSERT INTO "pseudonym" VALUES(X'F293FB957F19',1,15);
INSERT INTO "pseudonym" VALUES(X'F612400BCF6A',1,11);
CREATE TABLE reading (
    id      INTEGER PRIMARY KEY,
    device  INTEGER NOT NULL REFERENCES device (id),
    at      REAL NOT NULL,
    path    TEXT NOT NULL,
    format  INTEGER,                                -- CoAP Content-Format
    payload BLOB NOT NULL
) STRICT;
INSERT INTO "reading" VALUES(1,1,1700000000.0,'readings',50,X'7B2263223A2032307D');
INSERT INTO "reading" VALUES(2,3,1700000001.0,'readings',50,X'7B2263223A2032317D');
CREATE INDEX pseudonym_by_device ON pseudonym (device);
CREATE INDEX reading_by_device ON reading (device, id);
COMMIT;

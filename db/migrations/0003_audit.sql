-- The audit trail: rows that nobody changes, each with a keyed hash over itself and the one before
-- (db/audit_chain.h), and the keyed head, which says where the chain begins and ends.

CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    service    TEXT NOT NULL,
    actor      TEXT NOT NULL,
    peer       TEXT NOT NULL,
    method     TEXT NOT NULL,
    path       TEXT NOT NULL,
    request_id TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    details    TEXT NOT NULL,
    hash       TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_time ON audit (at_ms);

CREATE TABLE audit_head (
    name         TEXT PRIMARY KEY,
    seq          INTEGER NOT NULL,
    hash         TEXT NOT NULL,
    -- The first row that is kept, and the hash before it: what comes before is archived.
    first_seq    INTEGER NOT NULL,
    first_hash   TEXT NOT NULL,
    -- The row by which a person has accepted all rows before it as they are; 0: none.
    accepted_seq INTEGER NOT NULL,
    -- Found broken at a start, and not accepted since: where, and how. 0 and '': no.
    broken_seq   INTEGER NOT NULL,
    broken       TEXT NOT NULL,
    -- Over all of the above.
    mac          TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit rows are never changed');
END;

-- What is archived goes once the head says that it does.
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    WHEN NOT EXISTS (SELECT 1 FROM audit_head WHERE OLD.seq < first_seq)
BEGIN
    SELECT RAISE(ABORT, 'audit rows are kept');
END;

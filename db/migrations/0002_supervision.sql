-- Supervision: what a restart of the supervisor must neither forgive nor forget.
-- Times are wall times as in 0001, but for those said to be monotonic: milliseconds of
-- CLOCK_MONOTONIC, which no change of the wall clock moves. They mean something only in the boot
-- that the row's boot_id names; their _wall_ms twin says when that was or will be, for people and
-- for after a reboot.

-- '' is "not held".
ALTER TABLE workers ADD COLUMN held_reason          TEXT    NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN held_ms              INTEGER NOT NULL DEFAULT 0;
-- Restarts ever made by policy, and those made in the incident that began at incident_ms.
ALTER TABLE workers ADD COLUMN restart_count        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN attempt              INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN incident_ms          INTEGER NOT NULL DEFAULT 0;
-- It has failed and has not been started since: its next start is a restart.
ALTER TABLE workers ADD COLUMN owes_restart         INTEGER NOT NULL DEFAULT 0
    CHECK (owes_restart IN (0, 1));
-- Monotonic; 0 when no restart is due.
ALTER TABLE workers ADD COLUMN next_restart_at_ms   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN next_restart_wall_ms INTEGER NOT NULL DEFAULT 0;
-- What it runs with instead of what was asked, after it ran out of memory.
ALTER TABLE workers ADD COLUMN is_degraded          INTEGER NOT NULL DEFAULT 0
    CHECK (is_degraded IN (0, 1));
ALTER TABLE workers ADD COLUMN degraded_context     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN degraded_slots       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN pin                  INTEGER NOT NULL DEFAULT 0
    CHECK (pin IN (0, 1));
-- No restart helps, whatever state it is in: a hold does not mend a configuration fault.
ALTER TABLE workers ADD COLUMN is_failed            INTEGER NOT NULL DEFAULT 0
    CHECK (is_failed IN (0, 1));
-- Class of the last failure.
ALTER TABLE workers ADD COLUMN fault                TEXT    NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN ready_ms             INTEGER NOT NULL DEFAULT 0;

CREATE TABLE breakers (
    -- 'worker:NAME' or 'gpu:ID'.
    key              TEXT PRIMARY KEY,
    state            TEXT NOT NULL,
    cause            TEXT NOT NULL,
    -- What it opened for in the first place; 'none' while it is closed.
    opened_by        TEXT NOT NULL,
    opened_ms        INTEGER NOT NULL,
    -- Monotonic.
    until_ms         INTEGER NOT NULL,
    until_wall_ms    INTEGER NOT NULL,
    -- How long it opens; a failed probe doubles it.
    open_time_ms     INTEGER NOT NULL,
    trip_count       INTEGER NOT NULL,
    -- Failures before these moments do not count any more; 0: all do.
    window_from_ms   INTEGER NOT NULL,
    flap_from_ms     INTEGER NOT NULL,
    probe_is_running INTEGER NOT NULL CHECK (probe_is_running IN (0, 1)),
    last_words       TEXT NOT NULL,
    -- A person's, who forced it open.
    reason           TEXT NOT NULL,
    boot_id          TEXT NOT NULL,
    updated_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE failures (
    seq        INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    -- Monotonic.
    at_mono_ms INTEGER NOT NULL,
    boot_id    TEXT NOT NULL,
    worker     TEXT NOT NULL,
    device     TEXT NOT NULL,
    class      TEXT NOT NULL,
    exit       TEXT NOT NULL,
    last_words TEXT NOT NULL,
    instance   TEXT NOT NULL,
    -- How long the load before it took, and the wait before that.
    load_ms    INTEGER NOT NULL,
    wait_ms    INTEGER NOT NULL,
    is_drill   INTEGER NOT NULL CHECK (is_drill IN (0, 1))
) STRICT;

CREATE TRIGGER failures_no_update BEFORE UPDATE ON failures
BEGIN
    SELECT RAISE(ABORT, 'failures are never changed');
END;

-- For those who ask about one worker, or since a time, and for what is kept only for a while.
CREATE INDEX failures_by_worker ON failures (worker, seq);
CREATE INDEX failures_by_time ON failures (at_ms);
CREATE INDEX events_by_worker ON events (worker, seq);
CREATE INDEX events_by_time ON events (at_ms);

-- What the frame stores. Wall times are milliseconds since the epoch and end in _ms; 0 is "never".
-- Text that is not known is '', so that no reader has to tell two kinds of nothing apart.

CREATE TABLE workers (
    name             TEXT PRIMARY KEY,
    desired          TEXT NOT NULL,
    state            TEXT NOT NULL,
    model            TEXT NOT NULL,
    model_path       TEXT NOT NULL,
    device           TEXT NOT NULL,
    context_tokens   INTEGER NOT NULL,
    threads          INTEGER NOT NULL,
    slots            INTEGER NOT NULL,
    allow_cpu        INTEGER NOT NULL CHECK (allow_cpu IN (0, 1)),
    autostart        INTEGER NOT NULL CHECK (autostart IN (0, 1)),
    -- A process is known again by these three together: pids come back, boots start over.
    instance         TEXT NOT NULL,
    pid              INTEGER NOT NULL,
    start_time_ticks INTEGER NOT NULL,
    boot_id          TEXT NOT NULL,
    last_exit        TEXT NOT NULL,
    last_stderr      TEXT NOT NULL,
    updated_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE models (
    name             TEXT PRIMARY KEY,
    path             TEXT NOT NULL,
    architecture     TEXT NOT NULL,
    parameters       INTEGER NOT NULL,
    quantisation     TEXT NOT NULL,
    size_bytes       INTEGER NOT NULL,
    -- Compared for equality only, as stat(2) gave it.
    file_modified_ns INTEGER NOT NULL,
    context_tokens   INTEGER NOT NULL,
    chat_template    TEXT NOT NULL,
    details          TEXT NOT NULL,
    added_ms         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    worker  TEXT NOT NULL,
    request TEXT NOT NULL,
    details TEXT NOT NULL
) STRICT;

CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never changed');
END;

CREATE TABLE requests (
    id                TEXT PRIMARY KEY,
    request_id        TEXT NOT NULL,
    worker            TEXT NOT NULL,
    model             TEXT NOT NULL,
    submitted_ms      INTEGER NOT NULL,
    started_ms        INTEGER NOT NULL,
    ended_ms          INTEGER NOT NULL,
    outcome           TEXT NOT NULL,
    stop_reason       TEXT NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_by_time ON requests (submitted_ms);
-- The few that are running; read at each start.
CREATE INDEX requests_open ON requests (id) WHERE ended_ms = 0;

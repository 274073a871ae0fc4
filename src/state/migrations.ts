// The schema of the state, as steps that are never changed, only added to. Step N brings `user_version` from N to N+1.
// Names stay, and an added column has a default, because an earlier version can work on the same file: while a package
// is upgraded, from another agent's home, or as `expire --watch`.

export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE bans (
    address  TEXT PRIMARY KEY,
    phase    TEXT NOT NULL CHECK (phase IN ('blocking', 'blocked', 'unblocking')),
    since_ms INTEGER NOT NULL,
    -- For a pending change, as JSON: the log line to write after it, and the end of the log when it was recorded.
    owed     TEXT
  ) STRICT;
  CREATE INDEX bans_unfinished ON bans (phase) WHERE phase <> 'blocked';

  CREATE TABLE holds (
    address         TEXT NOT NULL REFERENCES bans (address) ON DELETE CASCADE,
    origin          TEXT NOT NULL,
    added_ms        INTEGER NOT NULL,
    timeout_seconds INTEGER,
    expires_at_ms   INTEGER,
    alert_id        TEXT NOT NULL,
    rule_id         TEXT NOT NULL,
    reason          TEXT NOT NULL,
    PRIMARY KEY (address, origin)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX holds_due ON holds (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

  CREATE TABLE history (
    id       INTEGER PRIMARY KEY,
    at_ms    INTEGER NOT NULL,
    address  TEXT NOT NULL,
    verb     TEXT NOT NULL,
    origin   TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    rule_id  TEXT NOT NULL,
    reason   TEXT NOT NULL
  ) STRICT;
  CREATE INDEX history_by_address ON history (address, at_ms);
  CREATE INDEX history_by_time ON history (at_ms);

  -- The metadata: values that are expensive to determine again.
  CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- The number of events of each kind, for counters that must not shrink when history is pruned.
  CREATE TABLE tallies (
    event   TEXT PRIMARY KEY,
    count   INTEGER NOT NULL,
    last_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO tallies (event, count, last_ms)
    SELECT CASE reason WHEN 'expired' THEN 'expire' ELSE verb END, count(*), max(at_ms)
    FROM history GROUP BY 1;
  `,
  `
  -- For a check in every run: is a deadline later than its timeout allows?
  CREATE INDEX holds_beyond ON holds (expires_at_ms - timeout_seconds * 1000) WHERE expires_at_ms IS NOT NULL;
  `,
  `
  -- Foreign rules from before our block, as JSON: their number by chain. NULL if there are none or they are not known.
  ALTER TABLE bans ADD COLUMN foreign_rules TEXT;
  -- 1 if a person used --force to block a protected address.
  ALTER TABLE holds ADD COLUMN forced INTEGER NOT NULL DEFAULT 0;
  `,
  `
  -- When alerts began bans, for escalation. The time is the since_ms of the ban, so that a ban has one row, however
  -- often it is confirmed.
  CREATE TABLE offences (
    address TEXT NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (address, at_ms)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- The user who ran the command; empty for events that no person caused.
  ALTER TABLE history ADD COLUMN by_user TEXT NOT NULL DEFAULT '';
  `,
  `
  -- For a count at every alert: the bans that alerts began within the last minute. The condition leaves out lists, which
  -- can be long.
  CREATE INDEX history_of_alerts ON history (at_ms) WHERE verb = 'add' AND origin NOT IN ('manual', '');
  `,
];

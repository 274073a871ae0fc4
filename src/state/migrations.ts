// The schema of the state, as steps that are only ever added to: step N brings `user_version` from N to N + 1.
// Names stay, and a column that is added has a default: a version before may work on the same file, while a package is
// replaced, from another agent's home, or as `expire --watch`.

export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE bans (
    address  TEXT PRIMARY KEY,
    phase    TEXT NOT NULL CHECK (phase IN ('blocking', 'blocked', 'unblocking')),
    since_ms INTEGER NOT NULL,
    -- The line to write once a pending change is done, as JSON, and where the log ended when the change was recorded.
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

  -- What is known from elsewhere and costs something to find out again.
  CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- How often what happened, for counters that must not shrink when history is pruned.
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
  -- What every run asks: is a deadline further ahead than was asked for?
  CREATE INDEX holds_beyond ON holds (expires_at_ms - timeout_seconds * 1000) WHERE expires_at_ms IS NOT NULL;
  `,
  `
  -- Rules that were there before our block, as JSON: how many, by chain. NULL: none, or not known yet.
  ALTER TABLE bans ADD COLUMN foreign_rules TEXT;
  -- 1 where a person insisted on blocking a protected address.
  ALTER TABLE holds ADD COLUMN forced INTEGER NOT NULL DEFAULT 0;
  `,
  `
  -- When alerts made bans begin, for escalation: the ban's since_ms, so that one ban is one row however often it is confirmed.
  CREATE TABLE offences (
    address TEXT NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (address, at_ms)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- The user who gave the command; empty for what no person asked for.
  ALTER TABLE history ADD COLUMN by_user TEXT NOT NULL DEFAULT '';
  `,
  `
  -- What every alert asks: how many bans have alerts begun within a minute, in which a list may have been loaded or released?
  CREATE INDEX history_of_alerts ON history (at_ms) WHERE verb = 'add' AND origin NOT IN ('manual', '');
  `,
];

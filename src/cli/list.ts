// `list`: what is blocked, by whom, and until when.
import type { Argv } from 'yargs';
import type { Ban } from '../ban/ban.ts';
import { formatDuration } from './duration.ts';
import { requireRoot, type Person } from './person.ts';

/** The version of the JSON that `list --json` prints; `docs/json.md` describes it. */
const SCHEMA_VERSION = 1;

export function listCommand(yargs: Argv, person: Person): Argv {
  return yargs.command(
    'list',
    'Show what is blocked',
    (command) =>
      command
        .option('json', { type: 'boolean', default: false, describe: 'Print JSON for programs' })
        .example('$0 list --json', 'for programs'),
    ({ json }) => {
      requireRoot();
      const { store, now } = person.openHouse();
      const bans = store.list();
      if (json) person.print(JSON.stringify(toJson(bans)));
      else toTable(bans, now()).forEach(person.print);
    },
  );
}

function toJson(bans: readonly Ban[]): unknown {
  return {
    schema: SCHEMA_VERSION,
    bans: bans.map((ban) => ({
      address: ban.address.text,
      family: ban.address.family,
      phase: ban.phase,
      since: isoTime(ban.sinceMs),
      holds: ban.holds.map((hold) => ({
        origin: hold.origin,
        since: isoTime(hold.addedMs),
        expires: hold.expiresAtMs === null ? null : isoTime(hold.expiresAtMs),
        timeoutSeconds: hold.timeoutSeconds,
        alertId: hold.incident.alertId,
        ruleId: hold.incident.ruleId,
        reason: hold.reason,
      })),
    })),
  };
}

function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

const HEADINGS = ['ADDRESS', 'SINCE', 'EXPIRES IN', 'ORIGIN', 'RULE', 'ALERT', 'REASON'];

function toTable(bans: readonly Ban[], nowMs: number): string[] {
  if (bans.length === 0) return ['nothing is blocked'];
  const rows = bans.flatMap((ban) => rowsOf(ban, nowMs));
  const widths = HEADINGS.map((heading, column) => {
    return Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0));
  });
  return [HEADINGS, ...rows].map((row) => {
    return row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  });
}

/** One row for each hold; a ban that is only being released has none and still gets a row. */
function rowsOf({ address, phase, sinceMs, holds }: Ban, nowMs: number): string[][] {
  if (holds.length === 0) return [[address.text, localTime(sinceMs), '', phase, '', '', '']];
  return holds.map((hold) => [
    address.text,
    localTime(hold.addedMs),
    hold.expiresAtMs === null ? 'never' : formatDuration((hold.expiresAtMs - nowMs) / 1000),
    hold.origin,
    hold.incident.ruleId,
    hold.incident.alertId,
    phase === 'blocked' ? hold.reason : `${phase} ${hold.reason}`,
  ]);
}

/** `2026-11-24 04:05:06` in UTC, which means the same on every host of a fleet. */
function localTime(milliseconds: number): string {
  return isoTime(milliseconds).slice(0, 19).replace('T', ' ');
}

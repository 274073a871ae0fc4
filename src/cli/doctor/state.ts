// Checks that the state is intact and agrees with the kernel, and shows the latest events.
import { findUnknownSets } from '../../bans/migrate.ts';
import { findOtherNamespace } from '../../bans/namespace.ts';
import { findDrift, type Drift } from '../../bans/reconcile.ts';
import { describeError } from '../../model/errors.ts';
import { LOCK_DIRECTORY } from '../../bans/run.ts';
import { STATE_DIRECTORY, UNSAVED } from '../../context.ts';
import { writerLockHolder } from '../../state/lock.ts';
import { isStopped, findWhereabouts, inhabitantOf } from '../../system/procfs.ts';
import { readUnsaved } from '../../state/unsaved.ts';
import { describeUnknownSets, describePendingCause } from '../figures.ts';
import { count } from '../output/count.ts';
import { shortTime } from '../output/time.ts';
import { ok, problem, warning, type Finding, type Scene } from './check.ts';
import { modeText, statOrNull } from '../../system/paths.ts';

const FILE = `${STATE_DIRECTORY}/state.db`;

export function store({ context }: Scene): Finding {
  const [directory, file] = [STATE_DIRECTORY, FILE].map(statOrNull);
  return evaluateStore({
    volatile: context.store.volatile,
    unsaved: readUnsaved(UNSAVED).length,
    unsound: context.store.examine(),
    directoryMode: directory ? modeText(directory) : null,
    fileMode: file ? modeText(file) : null,
  });
}

export interface StoreFacts {
  /** True if the file can't be used. */
  readonly volatile: boolean;
  /** The number of changes that could not be written to the file. */
  readonly unsaved: number;
  readonly unsound: readonly string[];
  readonly directoryMode: string | null;
  readonly fileMode: string | null;
}

export function evaluateStore(facts: StoreFacts): Finding {
  const { volatile, unsaved, unsound, directoryMode, fileMode } = facts;
  if (volatile) {
    return problem(
      `${FILE} can't be used: ${count(unsaved, 'change')} kept in ${UNSAVED}, which holds a few thousand at most and is lost at a reboot`,
      `standard error says why; chown root ${STATE_DIRECTORY}; chmod 0700 ${STATE_DIRECTORY}; firewall-drop restore sets a damaged file aside`,
      'state modes',
    );
  }
  if (unsaved > 0) {
    return problem(
      `${FILE} could not be written: ${count(unsaved, 'change')} kept in ${UNSAVED} until it can be`,
      `free disk space (df ${STATE_DIRECTORY}), and run firewall-drop expire`,
    );
  }
  if (unsound.length > 0) {
    return problem(
      `${FILE} is damaged: ${unsound.join('; ')}`,
      'firewall-drop restore sets the file aside, and copies the bans that can be read into a new one',
    );
  }
  if (directoryMode !== '0700' || (fileMode !== '0600' && fileMode !== null)) {
    return warning(
      `${STATE_DIRECTORY} has mode ${directoryMode ?? 'none'} and its file ${fileMode ?? 'none'}: other users can read which addresses are blocked and why`,
      'firewall-drop doctor --fix makes them readable by root only',
      'state modes',
    );
  }
  return ok(`${FILE} is intact, ${directoryMode} and ${fileMode ?? 'new'}`);
}

export function lock(): Finding {
  return evaluateLock(writerLockHolder(LOCK_DIRECTORY), isStopped);
}

export function evaluateLock(holder: number | null, isHeldUp: (pid: number) => boolean): Finding {
  if (holder === null) return ok('no process holds the writer lock');
  if (!isHeldUp(holder)) return ok(`process ${holder} holds the writer lock and is running`);
  return problem(
    `process ${holder} is stopped and holds the writer lock: each alert waits one second for it`,
    `kill -CONT ${holder}, or kill -KILL ${holder}`,
  );
}

/** Has no finding unless the state belongs to another network namespace. */
export function namespace({ context: { store } }: Scene): Finding[] {
  const elsewhere = findOtherNamespace({ store, here: findWhereabouts(), inhabitantOf });
  return elsewhere === null ? [] : [problem(elsewhere, 'run doctor there')];
}

export function order(scene: Scene): Finding[] {
  const findings = compareRules(scene);
  // Only now, because the comparison can be the first to meet the damage. Every rule would seem to have no ban, and the
  // advice would be to release it.
  if (!scene.context.store.unread) return findings;
  return [
    problem("the rules can't be checked: the state can't be read", 'see the check "store" above'),
  ];
}

function compareRules({ context }: Scene): Finding[] {
  try {
    const findings = evaluateDrift(findDrift(context));
    if (findings.length > 0) return findings;
    return [ok(`${count(context.store.bans.count(), 'ban')}, all rules in place`)];
  } catch (error) {
    const what = `the rules can't be checked: ${describeError(error)}`;
    return [problem(what, 'see the check "kernel" above')];
  }
}

/** Returns no findings if state and kernel agree. */
export function evaluateDrift(drift: Drift): Finding[] {
  const advice = 'firewall-drop reconcile, or doctor --fix';
  const pending = drift.pending.length;
  const findings: Finding[] = [];
  if (pending > 0) {
    const what = `${count(pending, 'change')} pending: ${describePendingCause(drift)}`;
    findings.push(drift.atWork === null ? problem(what, advice, 'restore') : ok(what));
  }
  if (drift.missing.length > 0) {
    const named = drift.missing.slice(0, 3).map(({ address }) => address.text);
    if (drift.missing.length > named.length) named.push('…');
    const what = `missing in the kernel: rules of ${count(drift.missing.length, 'ban')} (${named.join(', ')})`;
    findings.push(problem(what, advice, 'restore'));
  } else if (pending === 0 && drift.steps.length > 0) {
    const what = 'our rules are not first in their chains, or are duplicated';
    findings.push(problem(what, advice, 'restore'));
  }
  if (drift.unknown.length > 0) {
    const what = `drop rules of our form without a ban, which never expire: ${drift.unknown.length}`;
    const way =
      'firewall-drop reconcile --dry-run lists them; to remove one: firewall-drop delete ADDRESS';
    findings.push(problem(what, way));
  }
  return findings;
}

/** Has no finding unless the kernel has sets of ours that are unknown to the state. */
export function unknownSets({ context }: Scene): Finding[] {
  const unknown = findUnknownSets(context);
  if (unknown === null) return [];
  const what = describeUnknownSets(unknown, context.firewall);
  return [problem(what, 'firewall-drop reconcile removes them')];
}

const LATEST = 10;

export function outcomes({ context }: Scene): Finding {
  const records = context.store.history.find({ limit: LATEST });
  if (records.length === 0) return ok('no events yet');
  const details = records.map(({ atMs, outcome, reason }) => {
    return `${shortTime(atMs)}  ${outcome.verb} ${outcome.address.text} ${reason}`.trimEnd();
  });
  const failed = records.filter(({ outcome }) => outcome.verb === 'failed').length;
  if (failed === 0) return { ...ok(`none of the last ${records.length} failed`), details };
  const fix =
    'for alerts, firewall-drop.log beside active-responses.log says why; commands printed it';
  return { ...warning(`${failed} of the last ${records.length} failed`, fix), details };
}

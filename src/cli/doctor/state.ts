// Checks that the state is intact and agrees with the kernel, and shows the latest events.
import { familiesInUse } from '../../bans/families.ts';
import { findUnknownSets } from '../../bans/migrate.ts';
import { findOtherNamespace } from '../../bans/namespace.ts';
import { findDrift } from '../../bans/reconcile.ts';
import { describeError } from '../../model/errors.ts';
import { LOCK_DIRECTORY } from '../../bans/run.ts';
import { STATE_DIRECTORY, UNSAVED } from '../../context.ts';
import { findWhereabouts, inhabitantOf } from '../../system/namespaces.ts';
import { writerLockHolder } from '../../state/lock.ts';
import { isStopped } from '../../system/procfs.ts';
import type { HistoryRecord } from '../../state/history.ts';
import { readUnsaved } from '../../state/unsaved.ts';
import { describeUnknownSets, describePendingCause } from '../figures.ts';
import { count } from '../output/count.ts';
import { shortTime } from '../output/time.ts';
import { defineCheck, ok, problem, warning, type Finding } from './check.ts';
import { modeText, statOrNull } from '../../system/paths.ts';

export const store = defineCheck({
  name: 'store',
  probe: ({ context }) => {
    const directory = statOrNull(STATE_DIRECTORY);
    const file = statOrNull(`${STATE_DIRECTORY}/state.db`);
    return {
      volatile: context.store.volatile,
      unsaved: readUnsaved(UNSAVED).length,
      unsound: context.store.examine(),
      directoryMode: directory === null ? null : modeText(directory),
      fileMode: file === null ? null : modeText(file),
    };
  },
  evaluate(facts) {
    const { volatile, unsaved, unsound, directoryMode, fileMode } = facts;
    const file = `${STATE_DIRECTORY}/state.db`;
    if (volatile) {
      return problem(
        `${file} can't be used: ${count(unsaved, 'change')} kept in ${UNSAVED}, which holds a few thousand at most and is lost at a reboot`,
        `standard error says why; chown root ${STATE_DIRECTORY}; chmod 0700 ${STATE_DIRECTORY}; firewall-drop restore sets a damaged file aside`,
        'state modes',
      );
    }
    if (unsaved > 0) {
      return problem(
        `${file} could not be written: ${count(unsaved, 'change')} kept in ${UNSAVED} until it can be`,
        `free disk space (df ${STATE_DIRECTORY}), and run firewall-drop expire`,
      );
    }
    if (unsound.length > 0) {
      return problem(
        `${file} is damaged: ${unsound.join('; ')}`,
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
    return ok(`${file} is intact, ${directoryMode} and ${fileMode ?? 'new'}`);
  },
});

export const lock = defineCheck({
  name: 'lock',
  probe: () => {
    const holder = writerLockHolder(LOCK_DIRECTORY);
    return { holder, isStopped: holder !== null && isStopped(holder) };
  },
  evaluate({ holder, isStopped: stopped }) {
    if (holder === null) return ok('no process holds the writer lock');
    if (!stopped) return ok(`process ${holder} holds the writer lock and is running`);
    return problem(
      `process ${holder} is stopped and holds the writer lock: each alert waits one second for it`,
      `kill -CONT ${holder}, or kill -KILL ${holder}`,
    );
  },
});

/** Has no finding unless the state belongs to another network namespace. */
export const namespace = defineCheck({
  name: 'namespace',
  probe: ({ context: { store: state } }): string | null => {
    return findOtherNamespace({ store: state, here: findWhereabouts(), inhabitantOf });
  },
  evaluate: (elsewhere) => (elsewhere === null ? [] : problem(elsewhere, 'run doctor there')),
});

export const order = defineCheck({
  name: 'rules',
  probe: ({ context }) => {
    const bans = context.store.bans.count();
    const { unread } = context.store;
    try {
      return { drift: findDrift(context, familiesInUse(context.store)), trouble: '', bans, unread };
    } catch (error) {
      return { drift: null, trouble: describeError(error), bans, unread };
    }
  },
  evaluate({ drift, trouble, bans, unread }) {
    const advice = 'firewall-drop reconcile, or doctor --fix';
    if (unread) {
      // Every rule would seem to have no ban, and the advice would be to release it.
      const what = "the rules can't be checked: the state can't be read";
      return [problem(what, 'see the check "store" above')];
    }
    if (drift === null) {
      return [problem(`the rules can't be checked: ${trouble}`, 'see the check "kernel" above')];
    }
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
    if (findings.length > 0) return findings;
    return [ok(`${count(bans, 'ban')}, all rules in place`)];
  },
});

/** Has no finding unless the kernel has sets of ours that are unknown to the state. */
export const unknownSets = defineCheck({
  name: 'sets',
  probe: ({ context }): string | null => {
    const unknown = findUnknownSets(context);
    return unknown && describeUnknownSets(unknown, context.firewall);
  },
  evaluate: (what) => (what === null ? [] : problem(what, 'firewall-drop reconcile removes them')),
});

const LATEST = 10;

export const outcomes = defineCheck({
  name: 'outcomes',
  probe: ({ context }): readonly HistoryRecord[] => {
    return context.store.history.find({ limit: LATEST });
  },
  evaluate(records) {
    if (records.length === 0) return ok('no events yet');
    const details = records.map(({ atMs, outcome, reason }) => {
      return `${shortTime(atMs)}  ${outcome.verb} ${outcome.address.text} ${reason}`.trimEnd();
    });
    const failed = records.filter(({ outcome }) => outcome.verb === 'failed').length;
    if (failed === 0) return { ...ok(`none of the last ${records.length} failed`), details };
    const fix =
      'for alerts, firewall-drop.log beside active-responses.log says why; commands printed it';
    return { ...warning(`${failed} of the last ${records.length} failed`, fix), details };
  },
});

// Looks up what only other programs can tell: gateways that are not in /proc, and the addresses of managers configured
// by name. Runs that nobody waits for start these programs; alerts use the stored results.
import { parseAddress, type Family } from '../model/address.ts';
import { orElse } from '../model/errors.ts';
import type { Metadata } from '../state/store.ts';
import type { Run } from '../system/exec.ts';
import { defaultGateways, LIST_ROUTES, readPrintedRoutes, type Gateway } from '../system/net.ts';
import { deadlineIn, type Deadline } from '../system/wait.ts';

export interface Inquiry {
  readonly store: { readonly metadata: Pick<Metadata, 'getJson' | 'set'> };
  readonly run: Run;
  readonly warn: (problem: string) => void;
  /** False for an alert, which uses the stored results only. */
  readonly mayWait: boolean;
}

const ONE_ANSWER_MS = 3000;
const GATEWAYS = 'gateways';

/**
 * Adds to the gateways in /proc, which lacks all but the first hop of a multipath route and all but IPv4's main table.
 */
export function findGateways(inquiry: Inquiry, families: readonly Family[]): Gateway[] {
  if (inquiry.mayWait) refreshGateways(inquiry);
  return [...families.flatMap(defaultGateways), ...knownGateways(inquiry)];
}

/** Keeps the stored gateways if ip(8) is missing or prints no JSON (before 4.16). */
function refreshGateways({ store, run }: Inquiry): void {
  try {
    const { status, stdout } = run(LIST_ROUTES, ONE_ANSWER_MS);
    if (status !== 0) return;
    const hops = readPrintedRoutes(stdout).map(({ address, interfaceName }) => {
      return [address.text, interfaceName];
    });
    store.metadata.set(GATEWAYS, JSON.stringify(hops));
  } catch {
    // ip(8) is not installed, or is another program of that name. /proc still has the usual routes.
  }
}

function knownGateways({ store }: Inquiry): Gateway[] {
  const hops = (store.metadata.getJson(GATEWAYS) ?? []) as readonly (readonly [string, string])[];
  return hops.flatMap(([text, interfaceName]) => {
    const address = parseAddress(text);
    return address === null ? [] : [{ address, interfaceName }];
  });
}

interface Answer {
  /** The addresses of the last successful lookup; a later failure does not remove them. */
  readonly addresses: readonly string[];
  readonly askAgainMs: number;
}

type Answers = ReadonlyMap<string, Answer>;

/** The key of one value for all names, so that names that are no longer configured disappear. */
const NAMES = 'addresses of names';
const MOST_NAMES = 32;
const MOST_ADDRESSES = 64;
const ALL_NAMES_MS = 10_000;
const REFRESH_AFTER_MS = 10 * 60_000;
/** Shorter than the minute between two runs of the timer. */
const RETRY_AFTER_MS = 30_000;

/** Returns the known addresses of host names, and warns about names without any. */
export function resolveNames(
  names: readonly string[],
  inquiry: Inquiry,
): ReadonlyMap<string, readonly string[]> {
  const wanted = names.slice(0, MOST_NAMES);
  if (names.length > wanted.length) {
    inquiry.warn(`only the first ${MOST_NAMES} names of managers are resolved and protected`);
  }
  const known = readAnswers(inquiry);
  const answers = inquiry.mayWait ? ask(wanted, known, inquiry) : known;
  const found = new Map(wanted.map((name) => [name, answers.get(name)?.addresses ?? []]));
  for (const [name, addresses] of found) {
    if (addresses.length > 0) continue;
    const way = 'check that the name resolves, and run firewall-drop expire';
    inquiry.warn(
      `no address of the manager ${JSON.stringify(name)} is known, so it is not protected: ${way}`,
    );
  }
  return found;
}

function readAnswers({ store }: Inquiry): Answers {
  const known = store.metadata.getJson(NAMES);
  return new Map(Array.isArray(known) ? (known as [string, Answer][]) : []);
}

/** Looks up the longest overdue names first, because the time limit for all of them can end the loop early. */
function ask(names: readonly string[], known: Answers, inquiry: Inquiry): Answers {
  const nowMs = Date.now();
  const deadline = deadlineIn(ALL_NAMES_MS);
  const answers = new Map(names.map((name) => [name, known.get(name) ?? NEVER_ASKED]));
  const due = [...answers].filter(([, { askAgainMs }]) => isDue(askAgainMs, nowMs));
  due.sort(([, one], [, other]) => one.askAgainMs - other.askAgainMs);
  for (const [name, { addresses }] of due) {
    if (deadline.remainingMs() === 0) break;
    const found = lookUp(name, deadline, inquiry);
    if (found === null && addresses.length > 0) {
      inquiry.warn(
        `the manager's name ${name} could not be resolved; its last known addresses stay protected`,
      );
    }
    answers.set(name, {
      addresses: found ?? addresses,
      askAgainMs: nowMs + (found === null ? RETRY_AFTER_MS : REFRESH_AFTER_MS),
    });
  }
  inquiry.store.metadata.set(NAMES, JSON.stringify([...answers]));
  return answers;
}

const NEVER_ASKED: Answer = { addresses: [], askAgainMs: 0 };

/** A time later than any that is set here was recorded before the clock was set back. */
function isDue(askAgainMs: number, nowMs: number): boolean {
  return askAgainMs <= nowMs || askAgainMs > nowMs + REFRESH_AFTER_MS;
}

/** Allows underscores, which occur in names of containers, but no leading dash, which would make the name an option. */
const HOST_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$/;

/** Returns the addresses that getent(1) finds for a name; null if it finds none or takes too long. */
function lookUp(name: string, deadline: Deadline, { run }: Inquiry): string[] | null {
  if (!HOST_NAME.test(name)) return null;
  const command = { program: 'getent', args: ['ahosts', name], input: '' };
  // Without getent on this host, no name can be resolved.
  return orElse(null, () => {
    const { status, stdout } = run(command, Math.min(ONE_ANSWER_MS, deadline.remainingMs()));
    const first = stdout.split('\n').map((line) => parseAddress(line.split(' ', 1)[0] ?? ''));
    const found = new Set(first.flatMap((address) => address?.text ?? []));
    return status !== 0 || found.size === 0 ? null : [...found].slice(0, MOST_ADDRESSES);
  });
}

// Everything that changes books or kernel, killed at each of its named steps in turn by the fault build.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createVictim, type Response, type Victim } from '../support/victim.ts';
import { countProvoked } from './provoked.ts';
import {
  BACKENDS,
  type BackendName,
  findDisagreements,
  flushKernel,
  readBooks,
  useBackend,
  verbsAbout,
} from './kernel.ts';
import { CLEAN_ENVIRONMENT } from '../support/namespaces.ts';

jest.setTimeout(300_000);

const FAULT_BINARY = join(__dirname, '../../bin/firewall-drop-fault');
const OTHER = '198.51.100.99';
const SUBJECTS = ['203.0.113.7', '2001:db8:ffff::7'] as const;
const MORE = ['203.0.113.8', '203.0.113.9'];

type Env = Readonly<Record<string, string>>;

interface Path {
  readonly name: string;
  prepare(victim: Victim, subject: string): void;
  /** What is killed. */
  act(victim: Victim, subject: string, env: Env): Response;
  /** What the log says once of each address if it happened. */
  readonly verb: 'add' | 'delete' | 'reapplied';
  readonly all: (subject: string) => readonly string[];
  /** Somebody has flushed the kernel before, so that books and kernel differ from the start. */
  readonly isAfterFlush?: true;
}

const one = (subject: string): readonly string[] => [subject];
const several = (subject: string): readonly string[] => [subject, ...MORE];
const nothing = (): void => undefined;
const addAll = (victim: Victim, subject: string): void => {
  victim.person(['add', '--timeout', '1h', ...several(subject)]);
};

const PATHS: readonly Path[] = [
  {
    name: 'add',
    prepare: nothing,
    act: (victim, subject, env) => victim.add(subject, { env }),
    verb: 'add',
    all: one,
  },
  {
    name: 'delete',
    prepare: (victim, subject) => void victim.add(subject),
    act: (victim, subject, env) => victim.delete(subject, { env }),
    verb: 'delete',
    all: one,
  },
  {
    name: 'an add that execd answers with abort, after a flush',
    prepare: (victim, subject) => {
      victim.add(subject);
      flushKernel(victim);
    },
    act: (victim, subject, env) => victim.add(subject, { env, answer: 'abort' }),
    verb: 'reapplied',
    all: one,
    isAfterFlush: true,
  },
  {
    name: 'flush',
    prepare: addAll,
    act: (victim, _subject, env) => victim.person(['flush', '--yes'], { env }),
    verb: 'delete',
    all: several,
  },
];

/** Who comes next, in rotation. */
const NEXT = ['same address', 'other address', 'expire', 'restore'] as const;
type Next = (typeof NEXT)[number];

function comeNext(next: Next, subject: string, victim: Victim): Response {
  switch (next) {
    case 'same address':
      return victim.delete(subject);
    case 'other address':
      return victim.add(OTHER);
    case 'expire':
    case 'restore':
      return victim.person([next]);
  }
}

/** A file for each backend calls this, so that two workers share the work. */
export function sweep(backend: BackendName): void {
  let victim: Victim;
  beforeAll(async () => {
    if (!existsSync(FAULT_BINARY)) throw new Error('run npm run build -- --fault first');
    victim = await createVictim({ binary: FAULT_BINARY });
  });
  afterAll(() => victim.dispose());

  test.each(PATHS)('of $name: the next run brings books, kernel and log together', (path) => {
    const seen: string[] = [];
    for (let step = 1; step < 60; step += 1) {
      const subject = SUBJECTS[(step + BACKENDS.indexOf(backend)) % 2] ?? SUBJECTS[0];
      const next = NEXT[step % NEXT.length] ?? 'expire';
      victim.reset();
      flushKernel(victim);
      useBackend(victim, backend);
      path.prepare(victim, subject);
      const before = new Map(path.all(subject).map((each) => [each, verbsAbout(victim, each)]));
      const { signal, status, stderr } = path.act(victim, subject, {
        ...CLEAN_ENVIRONMENT,
        FIREWALL_DROP_DIE_AT: String(step),
      });
      if (status === 0) break;
      const at = /dies at (.*)\n/.exec(stderr)?.[1] ?? `status ${status} ${signal}: ${stderr}`;
      seen.push(at);
      const due = new Map(
        path.all(subject).map((each) => [each, expectedNews(path, each, seen, victim)]),
      );

      const after = comeNext(next, subject, victim);
      // Nothing was begun: a flush by somebody else is put right only by whoever asks for the address, or for all.
      if (path.isAfterFlush === true && due.get(subject)?.length === 0) victim.person(['restore']);
      const about = { at, next };
      expect({ ...about, status: after.status }).toEqual({ ...about, status: 0 });
      expect({ ...about, wrong: findDisagreements(victim, backend) }).toEqual({
        ...about,
        wrong: [],
      });
      for (const [address, verbs] of before) {
        const news = verbsAbout(victim, address).slice(verbs.length);
        if (next === 'same address' && address === subject) {
          expect({ ...about, own: news.pop() }).toEqual({ ...about, own: 'delete' });
        }
        expect({ ...about, address, news }).toEqual({ ...about, address, news: due.get(address) });
      }
    }
    countProvoked(seen.length);
    expect(seen.length).toBeGreaterThan(3);
    expect(seen.every((each) => each.includes(': '))).toBe(true);
  });
}

/** The steps of an abort from which on a line is owed. */
const OWING = /^ensureBlocked: (?!hold written)/;

/** By what the books hold at the moment of death: one line for what was begun, none for what was not. */
function expectedNews(
  { verb }: Path,
  address: string,
  seen: readonly string[],
  victim: Victim,
): string[] {
  const phase = readBooks(victim).phases.get(address);
  switch (verb) {
    case 'add':
      return phase === undefined ? [] : ['add'];
    case 'delete':
      return phase === 'blocked' ? [] : ['delete'];
    // The books have it as blocked before and after: the steps that were passed tell which.
    case 'reapplied':
      return seen.some((step) => OWING.test(step)) ? ['reapplied'] : [];
  }
}

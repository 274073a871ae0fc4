// Killed at system calls by which a run changes something or starts somebody, one after another, by strace.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { effort } from '../support/effort.ts';
import { createHost, type Host } from '../support/host.ts';
import { CALLS, type CrashPoint } from './deaths.ts';
import { FAULT_BINARY, requireFaultBuild, runInside } from './inside.ts';

let host: Host;
beforeAll(async () => {
  requireFaultBuild();
  host = await createHost();
});
afterAll(() => host.dispose());

/** One in three of the times, another one in each run of the tests; all of them with more effort. */
const STRIDE = Math.ceil(3 / effort(1));

test.each(['an add', 'a delete'])(
  'the next run brings state, kernel and log together after a death at a system call of %s',
  (path) => {
    const calls = { names: CALLS, stride: STRIDE };
    const order = { binary: FAULT_BINARY, backend: 'iptables', path, calls };
    const points = runInside(host, 'crash.ts', order) as readonly CrashPoint[];
    expect(points.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
    const seen = new Set(points.map(({ at }) => at.split(' ')[0]));
    expect([...seen]).toEqual(expect.arrayContaining(['write', 'pwrite64']));
  },
);

// Killed at each system call by which a run changes something or starts somebody, one after another, by strace.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createHost, type Host } from '../support/host.ts';
import { CALLS, type CrashPoint } from './deaths.ts';
import { FAULT_BINARY, requireFaultBuild, runInside } from './inside.ts';

let host: Host;
beforeAll(async () => {
  requireFaultBuild();
  host = await createHost();
});
afterAll(() => host.dispose());

test.each(['an add', 'a delete'])(
  'killed at each system call of %s: the next run brings books, kernel and log together',
  (path) => {
    const order = { binary: FAULT_BINARY, backend: 'iptables', path, calls: CALLS };
    const points = runInside(host, 'crash.ts', order) as readonly CrashPoint[];
    expect(points.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
    const seen = new Set(points.map(({ at }) => at.split(' ')[0]));
    expect([...seen]).toEqual(expect.arrayContaining(['write', 'pwrite64', 'fsync', 'execve']));
  },
);

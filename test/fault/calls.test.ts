// Killed at system calls by which a run changes something or starts somebody, one after another, by strace.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { effort } from '../support/effort.ts';
import { CALLS, crash } from './crash.ts';
import { createStage, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await createStage();
});
afterAll(() => stage.victim.dispose());

/** One in six of the times, another one in each run of the tests; all of them with more effort. */
const STRIDE = Math.ceil(6 / effort(1));

test.each(['an add', 'a delete'])(
  'the next run brings state, kernel and log together after a death at a system call of %s',
  (path) => {
    const calls = { names: CALLS, stride: STRIDE };
    const points = crash(stage, { backend: 'iptables', path, calls });
    expect(points.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
    const seen = new Set(points.map(({ at }) => at.split(' ')[0]));
    expect([...seen]).toEqual(expect.arrayContaining(['write', 'pwrite64']));
  },
);

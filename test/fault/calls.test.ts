// Kills runs with strace at each system call that changes something or starts a program.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { effort } from '../support/effort.ts';
import { CALLS, crash } from './crash.ts';
import { createStage, type Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await createStage();
});
afterAll(() => stage.victim.dispose());

/** One in six occurrences of a call, at a random offset. All of them with more effort. */
const STRIDE = Math.ceil(6 / effort(1));

test.each(['an add', 'a delete'])(
  'the next run makes state, kernel and log agree after a death at a system call of %s',
  (path) => {
    const calls = { names: CALLS, stride: STRIDE };
    const points = crash(stage, { backend: 'iptables', path, calls });
    expect(points.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
    const seen = new Set(points.map(({ at }) => at.split(' ')[0]));
    expect([...seen]).toEqual(expect.arrayContaining(['write', 'pwrite64']));
  },
);

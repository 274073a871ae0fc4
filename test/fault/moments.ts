// Ends random commands at a random moment within their usual duration. After each, another run recovers.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { builtBinary } from '../support/binary.ts';
import { createStage, type Stage } from './stage.ts';
import { walk, type WalkOrder } from './walk.ts';

/** The time limit for the kills, long enough for a slow machine. */
const SECONDS = 20 * 60;

const ENOUGH_TO_JUDGE = 100;

/** Defines the test for one backend. Each backend has its own file, so that two workers share the work. */
export function killAtRandom(backend: WalkOrder['backend'], kills: number): void {
  let stage: Stage;
  beforeAll(async () => {
    stage = await createStage(builtBinary());
  });
  afterAll(() => stage.victim.dispose());

  test('the next run makes state, kernel and log agree after the death of any command', async () => {
    const seed = Number(process.env['FAULT_SEED'] ?? Date.now() % 2 ** 31);
    process.stderr.write(`${backend}: FAULT_SEED=${seed}\n`);
    const report = await walk(stage, { backend, seed, kills, seconds: SECONDS });
    expect({ seed, violation: report.violation }).toEqual({ seed, violation: null });
    expect(report.kills).toBeGreaterThanOrEqual(kills);
    // Otherwise the moments were badly chosen, and the test proves nothing. A few kills can all have the same outcome.
    if (kills >= ENOUGH_TO_JUDGE)
      expect(Object.keys(report.killsByOutcome)).toEqual(
        expect.arrayContaining(['nothing', 'all']),
      );
  });
}

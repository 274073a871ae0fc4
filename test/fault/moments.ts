// Random commands, ended at a random moment of the time that they usually take, each followed by a run that mends.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { builtBinary } from '../support/binary.ts';
import { createStage, type Stage } from './stage.ts';
import { walk, type WalkOrder } from './walk.ts';

/** The most that the kills may take, on a slow machine. */
const SECONDS = 20 * 60;

const ENOUGH_TO_JUDGE = 100;

/** A file for each calls this, so that two workers share the work. */
export function killAtRandom(backend: WalkOrder['backend'], kills: number): void {
  let stage: Stage;
  beforeAll(async () => {
    stage = await createStage(builtBinary());
  });
  afterAll(() => stage.victim.dispose());

  test('any command leaves what the next run brings together', async () => {
    const seed = Number(process.env['FAULT_SEED'] ?? Date.now() % 2 ** 31);
    process.stderr.write(`${backend}: FAULT_SEED=${seed}\n`);
    const report = await walk(stage, { backend, seed, kills, seconds: SECONDS });
    expect({ seed, violation: report.violation }).toEqual({ seed, violation: null });
    expect(report.kills).toBeGreaterThanOrEqual(kills);
    // Otherwise the moments were chosen badly and the test says nothing. So few may all come of one kind.
    if (kills >= ENOUGH_TO_JUDGE)
      expect(Object.keys(report.killsByOutcome)).toEqual(
        expect.arrayContaining(['nothing', 'all']),
      );
  });
}

// Random commands, ended at a random moment of the time that they usually take, each followed by a run that mends.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { builtBinary } from '../support/binary.ts';
import { createHost, type Host } from '../support/host.ts';
import { runInside } from './inside.ts';
import type { WalkOrder, WalkReport } from './walk.ts';

/** The most that the kills may take, on a slow machine. */
const SECONDS = 20 * 60;

const ENOUGH_TO_JUDGE = 100;

/** A file for each calls this, so that two workers share the work. */
export function killAtRandom(backend: WalkOrder['backend'], kills: number): void {
  let host: Host;
  beforeAll(async () => {
    host = await createHost();
  });
  afterAll(() => host.dispose());

  test('any command leaves what the next run brings together', () => {
    const seed = Number(process.env['FAULT_SEED'] ?? Date.now() % 2 ** 31);
    process.stderr.write(`${backend}: FAULT_SEED=${seed}\n`);
    const order: WalkOrder = { binary: builtBinary(), backend, seed, kills, seconds: SECONDS };
    const report = runInside(host, 'walk.ts', order) as WalkReport;
    expect({ seed, violation: report.violation }).toEqual({ seed, violation: null });
    expect(report.kills).toBeGreaterThanOrEqual(kills);
    // Otherwise the moments were chosen badly and the test says nothing. So few may all come of one kind.
    if (kills >= ENOUGH_TO_JUDGE)
      expect(Object.keys(report.killsByOutcome)).toEqual(
        expect.arrayContaining(['nothing', 'all']),
      );
  });
}

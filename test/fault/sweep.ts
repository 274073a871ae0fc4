// Everything that changes state or kernel, killed at each of its named steps in turn by the fault build.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createHost, type Host } from '../support/host.ts';
import type { CrashPoint } from './deaths.ts';
import { FAULT_BINARY, requireFaultBuild, runInside } from './inside.ts';
import type { BackendName } from './invariants.ts';
import { pathsFor } from './paths.ts';
import { STEPS } from './steps.ts';

/** A file for each backend calls this, so that two workers share the work. `unreached`: steps of other backends' paths. */
export function sweep(backend: BackendName, unreached: readonly string[] = []): void {
  let host: Host;
  const seen = new Set<string>();
  beforeAll(async () => {
    requireFaultBuild();
    host = await createHost();
  });
  afterAll(() => host.dispose());

  test.each(pathsFor(backend))(
    'the next run brings state, kernel and log together after the death of $name',
    ({ name }) => {
      const order = { binary: FAULT_BINARY, backend, path: name };
      const points = runInside(host, 'crash.ts', order) as readonly CrashPoint[];
      for (const { at } of points) seen.add(at);
      expect(points.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
      expect(points.length).toBeGreaterThan(0);
    },
  );

  test('each step was one at which a run was killed', () => {
    expect(STEPS.filter((step) => !seen.has(step))).toEqual(unreached);
  });
}

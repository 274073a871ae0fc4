// Everything that changes state or kernel, killed at each of its named steps in turn by the fault build.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { BackendName } from '../support/kernel.ts';
import { crash } from './crash.ts';
import { pathsFor } from './paths.ts';
import { createStage, type Stage } from './stage.ts';
import { STEPS } from './steps.ts';

/** A file for each backend calls this, so that two workers share the work. `unreached`: steps of other backends' paths. */
export function sweep(backend: BackendName, unreached: readonly string[] = []): void {
  let stage: Stage;
  const seen = new Set<string>();
  beforeAll(async () => {
    stage = await createStage();
  });
  afterAll(() => stage.victim.dispose());

  test.each(pathsFor(backend))(
    'the next run brings state, kernel and log together after the death of $name',
    ({ name }) => {
      const points = crash(stage, { backend, path: name });
      for (const { at } of points) seen.add(at);
      expect(points.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
      expect(points.length).toBeGreaterThan(0);
    },
  );

  test('each step was one at which a run was killed', () => {
    expect(STEPS.filter((step) => !seen.has(step))).toEqual(unreached);
  });
}

// Kills every path that changes state or kernel at each of its named steps in turn, with the fault build.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { BackendName } from '../support/kernel.ts';
import { crash } from './crash.ts';
import { pathsFor } from './paths.ts';
import { createStage, type Stage } from './stage.ts';
import { STEPS } from './steps.ts';

/**
 * Defines the tests for one backend. Each backend has its own file, so that two workers share the work. With `stride`,
 * paths are killed at every `stride`-th step.
 */
export function sweep(backend: BackendName, stride = 1): void {
  let stage: Stage;
  const seen = new Set<string>();
  beforeAll(async () => {
    stage = await createStage();
  });
  afterAll(() => stage.victim.dispose());

  test.each(pathsFor(backend))(
    'the next run makes state, kernel and log agree after the death of $name',
    ({ name }) => {
      const points = crash(stage, { backend, path: name, stride });
      for (const { at } of points) seen.add(at);
      expect(points.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
      if (stride === 1) expect(points.length).toBeGreaterThan(0);
    },
  );

  test('the paths above cover each step, or many of them with a stride', () => {
    const missed = STEPS.filter((step) => !seen.has(step));
    if (stride === 1) expect(missed).toEqual([]);
    else expect(seen.size).toBeGreaterThan(STEPS.length / 3);
  });
}

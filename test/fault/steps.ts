/** The names of all steps at which the fault build can kill itself, read from the sources. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCES = join(__dirname, '../../src');

export const STEPS: readonly string[] = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && name !== 'system/fault.ts')
  .map((name) => readFileSync(join(SOURCES, name), 'utf8'))
  .flatMap((source) =>
    Array.from(source.matchAll(/\bstep\(\s*'([^']+)'/g), ([, name = '']) => name),
  );

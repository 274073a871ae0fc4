// Checks that the tests and variables named in docs/reliability.md and docs/security.md exist.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const ROOT = join(__dirname, '../..');
const PAGE = readFileSync(join(ROOT, 'docs/reliability.md'), 'utf8');
const SECURITY = readFileSync(join(ROOT, 'docs/security.md'), 'utf8');

test('every test file named in docs/reliability.md exists', () => {
  const named = PAGE.matchAll(/`((?:unit|integration|fault)\/[^`]+\.ts)`/g);
  const files = Array.from(named, ([, file = '']) => file);
  expect(files.length).toBeGreaterThan(40);
  expect(files.filter((file) => !existsSync(join(ROOT, 'test', file)))).toEqual([]);
});

test('every test named in docs/security.md exists', () => {
  const named = SECURITY.matchAll(/`((?:unit|integration|fuzz)\/[\w/.-]+)`/g);
  const files = Array.from(named, ([, file = '']) => file.replace(/\.ts$/, ''));
  expect(files.length).toBeGreaterThan(25);
  const exists = (file: string): boolean => {
    return ['.test.ts', '.ts'].some((end) => existsSync(join(ROOT, 'test', file + end)));
  };
  expect(files.filter((file) => !exists(file))).toEqual([]);
});

test('docs/security.md names exactly the environment variables that the sources read', () => {
  const files = globSync('src/**/*.ts', { cwd: ROOT }).filter(
    (file) => !file.endsWith('/fault.ts'),
  );
  const names = files.flatMap((file) => {
    const text = readFileSync(join(ROOT, file), 'utf8');
    return Array.from(text.matchAll(/env(?:ironment)?\['([A-Z_]+)'\]/g), ([, name = '']) => name);
  });
  const [, read = ''] = /We read (.*?);/.exec(SECURITY) ?? [];
  expect(new Set(Array.from(read.matchAll(/`(\w+)`/g), ([, name]) => name))).toEqual(
    new Set(names),
  );
});

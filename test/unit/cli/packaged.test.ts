// Detects the package manager that installed the program.
import { expect, test } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { owningPackageManager } from '../../../src/cli/packaged.ts';
import { ownDirectory } from '../support/directory.ts';

const directory = ownDirectory();

test.each([
  ['deb\n', 'deb'],
  ['rpm\n', 'rpm'],
  ['tar\n', null],
])('a package file with %j means %j', (content, expected) => {
  const file = `${directory}/package`;
  writeFileSync(file, content);
  expect(owningPackageManager(file)).toBe(expected);
});

test('a program without a package file has no package manager', () => {
  expect(owningPackageManager(`${directory}/missing`)).toBeNull();
});

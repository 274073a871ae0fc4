// A program that a package owns is the package manager's to install and to remove.
import { expect, test } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { owningPackageManager } from '../../../src/cli/packaged.ts';
import { ownDirectory } from '../support/directory.ts';

const directory = ownDirectory();

test.each([
  ['deb\n', 'deb'],
  ['rpm\n', 'rpm'],
  ['tar\n', null],
])('a package file that says %j means %j', (content, expected) => {
  const file = `${directory}/package`;
  writeFileSync(file, content);
  expect(owningPackageManager(file)).toBe(expected);
});

test('nobody owns a program without a package file', () => {
  expect(owningPackageManager(`${directory}/missing`)).toBeNull();
});

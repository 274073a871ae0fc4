// A program that a package owns is the package manager's to install and to remove.
import { expect, test } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { owningPackageManager, packagedLines, when } from '../../../src/cli/packaged.ts';
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

test.each([
  [true, 1],
  [false, 0],
])('a line is there where its condition holds: %s', (holds, count) => {
  const text = packagedLines('snippet-agent.xml', when('timed', holds, 'endless')).join('\n');
  expect(text.split('repeated_offenders>30')).toHaveLength(count + 1);
  expect(text).not.toContain('{{');
});

test('a line that names a value without one is a mistake, and not left out', () => {
  expect(() => packagedLines('snippet-agent.xml', {})).toThrow('timed, which has no value');
});

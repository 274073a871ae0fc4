// Detects the package manager that installed the program.
import { expect, test } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { owningPackageManager, packagedLines, when } from '../../../src/cli/packaged.ts';
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

test.each([
  [true, 1],
  [false, 0],
])('a line is included only if its condition holds: %s', (holds, count) => {
  const text = packagedLines('snippet-agent.xml', when('timed', holds, 'endless')).join('\n');
  expect(text.split('repeated_offenders>30')).toHaveLength(count + 1);
  expect(text).not.toContain('{{');
});

test('a placeholder without a value is an error', () => {
  expect(() => packagedLines('snippet-agent.xml', {})).toThrow('timed without a value');
});

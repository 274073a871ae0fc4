// Sums jest's result files in a directory: "123 passed, 0 failed". A skipped test counts as failed.
import fs from 'node:fs';
import path from 'node:path';

const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: count-tests.mjs DIRECTORY');

const results = fs
  .readdirSync(directory)
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(fs.readFileSync(path.join(directory, name), 'utf8')));

const tests = results
  .flatMap(({ testResults }) => testResults)
  .flatMap((file) => file.assertionResults);
const passed = tests.filter(({ status }) => status === 'passed');
const skipped = tests.filter(({ status }) => status !== 'passed' && status !== 'failed');
// A file that could not be loaded has no tests, so it counts as one failed test.
const broken = results.reduce((sum, result) => sum + result.numRuntimeErrorTestSuites, 0);
const failed = tests.length - passed.length + broken;

for (const { status, fullName } of skipped) console.log(`${status}: ${fullName}`);
console.log(`${passed.length} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed.length > 0 ? 0 : 1;

// The table of faults: `--write` makes docs/reliability.md; with a file of counts, prints what a run has provoked.
import fs from 'node:fs';
import path from 'node:path';
import { INVARIANTS, ROWS } from '../test/fault/rows.ts';

const DOCUMENT = path.resolve(import.meta.dirname, '../docs/reliability.md');

const PREAMBLE = `# Reliability

What is provoked on purpose, what must come of it, and which tests do so. Made of \`test/fault/rows.ts\` by \`npm run reliability\`; \`npm run test:fault\` prints the same with how often each was provoked in that run.

Longer than CI can: \`npm run soak -- --minutes 60\` runs random commands on all backends, alone and several at once, ends them at random moments, kills each path at each of its system calls, and looks at books, kernel and log after each. At the first thing that is wrong it ends with status 1 and prints how to have it again; \`--json\` gives the numbers. On a busy machine of two cores, \`--minutes 10 --seed 20261125\` took 11.1 minutes: 3,276 runs, of which 1,257 were ended at a random moment (655 by SIGKILL, 602 by TERM, INT or HUP; 256 of them after the point of no return), and 411 deaths at system calls; nothing was wrong.

A crash at every named step needs a build of its own (\`npm run build -- --fault\`), in which the process kills itself where the environment says. \`test/fault/build.test.ts\` shows that the released binary has nothing of it.
`;

function tableOf(rows) {
  const lines = rows.map(({ provoke, outcome, held }) => {
    return `| ${provoke} | ${outcome} | ${listOf(held)} |`;
  });
  return ['| provoked | outcome | tests |', '| --- | --- | --- |', ...lines].join('\n');
}

function listOf(held) {
  if (held.length === 0) return '**none yet**';
  return [...new Set(held.map(({ file }) => `\`${file}\``))].join(', ');
}

export function render() {
  const sections = Map.groupBy(ROWS, ({ section }) => section);
  const tables = Array.from(sections, ([name, rows]) => `## ${name}\n\n${tableOf(rows)}\n`);
  const invariants = INVARIANTS.map(({ name, held }, index) => {
    const tests = held.map(({ file, title }) => `“${title}” (\`${file}\`)`).join('; ');
    return `${index + 1}. **${name}.** ${tests}`;
  });
  const held = `## What always holds, and what holds it\n\n${invariants.join('\n')}\n`;
  return [PREAMBLE, ...tables, held].join('\n');
}

function readCounts(file) {
  if (!fs.existsSync(file)) return [];
  const lines = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line));
}

/** How often a run has provoked a row; the tests that count are those under test/fault. */
function timesOf({ held }, counts) {
  if (held.length === 0) return 'not tested';
  const ours = counts.filter(({ test }) => held.some(({ title }) => test.includes(title)));
  if (ours.length > 0) return String(ours.reduce((sum, { times }) => sum + times, 0));
  const isOurs = held.some(({ file }) => file.startsWith('fault/'));
  return isOurs ? 'not in this run' : 'by test:integration';
}

/** One row of the table of faults a line: how often, what, and what must come of it. */
function printCounts(file) {
  const counts = readCounts(file);
  const table = ROWS.map((row) => [row.section, timesOf(row, counts), row.provoke, row.outcome]);
  const header = ['section', 'provoked', 'how', 'outcome'];
  const widths = [0, 1].map((column) => {
    return Math.max(...[header, ...table].map((cells) => cells[column].length));
  });
  for (const cells of [header, ...table]) {
    const [section, times, how, outcome] = cells;
    console.log(`${section.padEnd(widths[0])}  ${times.padEnd(widths[1])}  ${how} → ${outcome}`);
  }
}

const [order, file] = process.argv.slice(2);
if (order === '--write') fs.writeFileSync(DOCUMENT, render());
else if (order === '--counts' && file !== undefined) printCounts(file);
else throw new Error('usage: reliability.mjs --write | --counts FILE');

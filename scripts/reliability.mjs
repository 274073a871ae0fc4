// The table of faults: `--write` makes docs/reliability.md; with a file of counts, prints what a run has provoked.
import fs from 'node:fs';
import path from 'node:path';
import { INVARIANTS, ROWS } from '../test/fault/rows.ts';

const DOCUMENT = path.resolve(import.meta.dirname, '../docs/reliability.md');

const PREAMBLE = `# Reliability

What is provoked on purpose, what must come of it, and which tests do so. Made of \`test/fault/rows.ts\` by \`npm run reliability\`; \`npm run test:fault\` prints the same with how often each was provoked in that run.

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

/** Counts are of the fault tests: the others are reached by `npm run test:integration`. */
function printCounts(file) {
  const counts = fs.existsSync(file)
    ? fs
        .readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    : [];
  for (const { section, provoke, outcome, held } of ROWS) {
    const ours = held.some(({ file: name }) => name === 'fault/sweep.ts');
    const times = ours ? counts.reduce((sum, one) => sum + one.times, 0) : null;
    const often = held.length === 0 ? 'not tested' : (times ?? listOf(held).replaceAll('`', ''));
    console.log(`${section}: ${provoke} → ${outcome}: ${often}`);
  }
}

const [order, file] = process.argv.slice(2);
if (order === '--write') fs.writeFileSync(DOCUMENT, render());
else if (order === '--counts' && file !== undefined) printCounts(file);
else throw new Error('usage: reliability.mjs --write | --counts FILE');

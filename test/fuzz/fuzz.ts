/**
 * `npm run fuzz [-- --inputs N --seed S --minutes M --target NAME --keep]`: fuzzes until the first finding or a limit.
 */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { corpusFile, corpusLine, readCorpus } from './corpus.ts';
import { Guide } from './coverage.ts';
import { Session, type Failure } from './session.ts';
import { TARGETS, type Target } from './targets.ts';

// The sources load their parsers with require(), which an ES module does not have.
Object.assign(globalThis, { require: createRequire(import.meta.url) });

const CORPUS = join(import.meta.dirname, 'corpus');
const FINDINGS = join(import.meta.dirname, '../../dist/findings');
/**
 * The numbers of inputs with and without coverage. Coverage slows the parsers tenfold, and V8 must optimize again after
 * it.
 */
const GUIDED = 256;
const UNGUIDED = 50_000;

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    minutes: { type: 'string', default: 'Infinity' },
    target: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});

function chosenTargets(): Readonly<Record<string, Target>> {
  if (values.target === undefined) return TARGETS;
  const target = TARGETS[values.target];
  if (target === undefined) throw new Error(`targets: ${Object.keys(TARGETS).join(', ')}`);
  return { [values.target]: target };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function report({ target, input, error }: Failure): void {
  mkdirSync(FINDINGS, { recursive: true });
  const file = join(FINDINGS, `${target}-${values.seed}`);
  writeFileSync(file, input);
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  say(`FINDING in ${target}, seed ${values.seed}: ${what}\nThe input is in ${file}`);
}

/** The longest time that a target can take, in milliseconds. */
const LONGEST_MS = 50;

function fuzz(): boolean {
  const session = new Session(chosenTargets(), (name) => readCorpus(CORPUS, name), {
    seed: Number(values.seed),
    longestMs: LONGEST_MS,
  });
  const guide = new Guide();
  const beganMs = performance.now();
  const endMs = beganMs + Number(values.minutes) * 60_000;
  const printProgress = (): void => {
    const seconds = (performance.now() - beganMs) / 1000;
    say(
      [
        `seed ${values.seed}`,
        `${session.count} inputs`,
        `${Math.round(session.count / seconds)} per second`,
        `slowest ${session.slowestMs.toFixed(1)} ms (${session.slowestTarget})`,
        `${guide.blocks} blocks covered`,
        `${session.found.length} inputs with new coverage`,
      ].join(', '),
    );
  };
  session.teach(guide);
  let failure = session.runCorpus();
  let toldMs = beganMs;
  while (failure === null && session.count < Number(values.inputs) && performance.now() < endMs) {
    failure = session.explore(GUIDED, guide) ?? session.run(UNGUIDED);
    if (performance.now() - toldMs > 30_000) {
      toldMs = performance.now();
      printProgress();
    }
  }
  printProgress();
  if (values.keep) {
    for (const { target, input } of session.found) {
      appendFileSync(corpusFile(CORPUS, target), corpusLine(input));
    }
  }
  if (failure !== null) report(failure);
  return failure === null;
}

if (!fuzz()) process.exitCode = 1;

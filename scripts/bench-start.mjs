// How long one whole add and one whole delete take, beside what can't be avoided, in the same run.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { openPipe, sayAdd, sayDelete } from './lib/bench/execd.mjs';
import * as machine from './lib/bench/machine.mjs';

const { CHECKOUT, HOME, PROGRAM, WORK } = machine;
const USAGE = 'usage: npm run bench:start [-- --runs N --json]';
const ADDRESS = '198.51.100.7';
const BYSTANDER = '198.51.100.8';
const WARM_UPS = 3;
const TARGET = 1.3;

function fail(message) {
  console.error(`bench-start: ${message}`);
  process.exit(1);
}

function readOptions() {
  try {
    const options = {
      runs: { type: 'string', default: '60' },
      json: { type: 'boolean', default: false },
      inside: { type: 'boolean', default: false },
    };
    const { runs, ...rest } = parseArgs({ options }).values;
    if (!/^[1-9]\d*$/.test(runs)) throw new Error(`--runs is not a number: ${runs}`);
    return { runs: Number(runs), ...rest };
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

function layOutHost() {
  machine.hideMachine();
  machine.installAgent();
  fs.writeFileSync(`${WORK}/empty.cjs`, '');
}

async function ended(child, what) {
  const [status, signal] = await once(child, 'exit');
  if (status !== 0) throw new Error(`${what} ended with ${signal ?? `status ${status}`}`);
}

/** Starts a program with a pipe as stdin and lets `talk` write to it; returns milliseconds until its exit. */
async function time([program, ...rest], { cwd = '/', hear = false, talk = () => undefined } = {}) {
  const input = openPipe('in');
  const output = hear ? openPipe('out') : undefined;
  const began = process.hrtime.bigint();
  const stdio = [input.read, output?.write ?? 'ignore', 'ignore'];
  const child = spawn(program, rest, { cwd, stdio });
  fs.closeSync(input.read);
  if (output) fs.closeSync(output.write);
  talk(input.write, output?.read);
  fs.closeSync(input.write);
  await ended(child, program);
  const took = Number(process.hrtime.bigint() - began) / 1e6;
  if (output) fs.closeSync(output.read);
  return took;
}

function rulesFor(address) {
  const rules = execFileSync('iptables', ['-S'], { encoding: 'utf8' }).split('\n');
  return rules.filter((rule) => rule.includes(`${address}/32`)).length;
}

function expectBlocked(blocked) {
  if (rulesFor(ADDRESS) > 0 === blocked) return;
  throw new Error(`${ADDRESS} should be ${blocked ? 'blocked' : 'free'}, and is not`);
}

async function add() {
  const took = await time([PROGRAM], { cwd: HOME, hear: true, talk: sayAdd(ADDRESS) });
  expectBlocked(true);
  return took;
}

async function release() {
  const took = await time([PROGRAM], { cwd: HOME, talk: sayDelete(ADDRESS) });
  expectBlocked(false);
  return took;
}

function plainInsert(chain) {
  return time(['iptables', '-I', chain, '-s', BYSTANDER, '-j', 'DROP']);
}

async function twoInserts() {
  const took = (await plainInsert('INPUT')) + (await plainInsert('FORWARD'));
  execFileSync('iptables', ['-F']);
  return took;
}

async function restore() {
  const rules = `*filter\n-I INPUT -s ${BYSTANDER} -j DROP\nCOMMIT\n`;
  const talk = (write) => fs.writeSync(write, rules);
  const took = await time(['iptables-restore', '-w', '--noflush'], { talk });
  execFileSync('iptables', ['-F']);
  return took;
}

/** In the order of each round: the release needs the add before it. */
function subjects() {
  const stripped = `${CHECKOUT}/dist/node-${process.arch}`;
  const shipped = `${CHECKOUT}/node_modules/node-linux-${process.arch}/bin/node`;
  const empty = `${WORK}/empty.cjs`;
  const base = fs.existsSync(stripped)
    ? [['bare Node, stripped', () => time([stripped, empty])]]
    : [];
  return [
    ['add', add],
    ['delete', release],
    ...base,
    ['bare Node, as shipped', () => time([shipped, empty])],
    ['two plain iptables -I', twoInserts],
    ['one iptables-restore', restore],
  ];
}

async function measure(runs) {
  const times = new Map(subjects().map(([name]) => [name, []]));
  for (let round = -WARM_UPS; round < runs; round += 1) {
    for (const [name, run] of subjects()) {
      const took = await run();
      if (round >= 0) times.get(name).push(took);
    }
  }
  return Object.fromEntries([...times].map(([name, list]) => [name, machine.summary(list)]));
}

function ratios(results) {
  const bare = results['bare Node, stripped'] ?? results['bare Node, as shipped'];
  const floor = bare.median + results['one iptables-restore'].median;
  return {
    'add / (bare Node + one iptables-restore)': results.add.median / floor,
    'add / two plain iptables -I': results.add.median / results['two plain iptables -I'].median,
  };
}

function print(results, ratio) {
  const cells = ['min', 'median', 'max', 'runs'].map((title) => title.padStart(9)).join('');
  console.log(`${'milliseconds'.padEnd(24)}${cells}`);
  for (const [name, { min, median, max, runs }] of Object.entries(results)) {
    const numbers = [min.toFixed(1), median.toFixed(1), max.toFixed(1), String(runs)];
    console.log(`${name.padEnd(24)}${numbers.map((cell) => cell.padStart(9)).join('')}`);
  }
  console.log('\nratio of medians');
  for (const [name, value] of Object.entries(ratio)) console.log(`${value.toFixed(2)}  ${name}`);
  const verdict = Object.values(ratio)[0] <= TARGET ? 'met' : 'missed';
  console.log(`The first should be at most ${TARGET}: ${verdict}.`);
  console.log('The books are on tmpfs here: what a disk takes to make them durable comes on top.');
}

async function run({ runs, json }) {
  layOutHost();
  const results = await measure(runs);
  const ratio = ratios(results);
  if (!json) return print(results, ratio);
  const machine = { node: process.version, arch: process.arch, unit: 'ms' };
  console.log(JSON.stringify({ ...machine, results, ratios: ratio, target: TARGET }, null, 2));
}

function enter() {
  try {
    machine.enterNamespaces(import.meta.filename);
  } catch (error) {
    fail(error.message);
  }
}

const options = readOptions();
if (options.inside) await run(options).catch((error) => fail(error.message));
else enter();

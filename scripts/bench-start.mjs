// Measures how long one add, one delete and the commands that only read take, together with their lower bounds and, if
// one is given, another firewall-drop, in the same rounds.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { openPipe, sayAdd, sayDelete } from './lib/bench/execd.mjs';
import * as machine from './lib/bench/machine.mjs';

const { HOME, PEER, PROGRAM, WORK } = machine;
const USAGE = `usage: npm run bench:start [-- OPTION...]
  --runs 60     rounds; each runs every subject once
  --peer PATH   another program for the same messages, such as Wazuh's own firewall-drop
  --json        results as JSON`;
const ADDRESS = '198.51.100.7';
const BYSTANDER = '198.51.100.8';
const WARM_UPS = 3;
const SHOWN = ['list', 'status', 'history', '--help'];

function fail(message) {
  console.error(`bench-start: ${message}`);
  process.exit(1);
}

function readOptions() {
  try {
    const options = {
      runs: { type: 'string', default: '60' },
      json: { type: 'boolean', default: false },
      peer: { type: 'string' },
      inside: { type: 'boolean', default: false },
    };
    const { runs, ...rest } = parseArgs({ options }).values;
    if (!/^[1-9]\d*$/.test(runs)) throw new Error(`--runs is not a number: ${runs}`);
    if (rest.peer !== undefined) fs.accessSync(rest.peer, fs.constants.X_OK);
    return { runs: Number(runs), ...rest };
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

function layOutHost(peer) {
  const content = peer === undefined ? null : fs.readFileSync(peer);
  machine.hideMachine();
  machine.installAgent();
  if (content !== null) machine.installPeer(content);
  fs.writeFileSync(`${WORK}/empty.cjs`, '');
}

async function ended(child, what) {
  const [status, signal] = await once(child, 'exit');
  if (status !== 0) throw new Error(`${what} exited with ${signal ?? `status ${status}`}`);
}

/** Runs a program with a pipe as stdin that `talk` writes to. Returns the milliseconds until its exit. */
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

async function add(program) {
  const took = await time([program], { cwd: HOME, hear: true, talk: sayAdd(ADDRESS) });
  expectBlocked(true);
  return took;
}

async function release(program) {
  const took = await time([program], { cwd: HOME, talk: sayDelete(ADDRESS) });
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

function restore(action) {
  const rules = `*filter\n${action} INPUT -s ${BYSTANDER} -j DROP\nCOMMIT\n`;
  const talk = (write) => fs.writeSync(write, rules);
  return time(['iptables-restore', '-w', '--noflush'], { talk });
}

/** Returns the subjects in the order of a round: each delete follows its add. */
function subjects({ peer }) {
  const empty = `${WORK}/empty.cjs`;
  const others = [
    ['peer: add', () => add(PEER)],
    ['peer: delete', () => release(PEER)],
  ];
  return [
    ['add', () => add(PROGRAM)],
    ['delete', () => release(PROGRAM)],
    ...(peer === undefined ? [] : others),
    ...SHOWN.map((word) => [word, () => time([`${HOME}/${PROGRAM}`, word])]),
    ['bare Node, as packed', () => time([machine.NODE.packed, empty])],
    ['bare Node, as shipped', () => time([machine.NODE.shipped, empty])],
    ['two plain iptables -I', twoInserts],
    ['one iptables-restore -I', () => restore('-I')],
    ['one iptables-restore -D', () => restore('-D')],
  ];
}

async function measure({ runs, ...options }) {
  const all = subjects(options);
  const times = new Map(all.map(([name]) => [name, []]));
  for (let round = -WARM_UPS; round < runs; round += 1) {
    for (const [name, run] of all) {
      const took = await run();
      if (round >= 0) times.get(name).push(took);
    }
  }
  return Object.fromEntries([...times].map(([name, list]) => [name, machine.summary(list)]));
}

/** Returns the ratios with their targets, which are upper bounds; null if there is no target. */
function ratios(results) {
  const of = (name) => results[name]?.median ?? NaN;
  const bare = of('bare Node, as shipped');
  const list = [
    [
      'add / (bare Node + one iptables-restore)',
      of('add') / (bare + of('one iptables-restore -I')),
      1.1,
    ],
    [
      'delete / (bare Node + one iptables-restore)',
      of('delete') / (bare + of('one iptables-restore -D')),
      1.1,
    ],
    ...SHOWN.map((word) => [`${word} / bare Node`, of(word) / bare, 1.6]),
    ['add / two plain iptables -I', of('add') / of('two plain iptables -I'), null],
    ['add / add of the peer', of('add') / of('peer: add'), null],
    ['delete / delete of the peer', of('delete') / of('peer: delete'), null],
  ];
  return list
    .filter(([, ratio]) => Number.isFinite(ratio))
    .map(([name, ratio, target]) => ({
      name,
      ratio,
      target,
      met: target === null || ratio <= target,
    }));
}

function print(results, list) {
  const cells = ['min', 'median', 'max', 'runs'].map((title) => title.padStart(9)).join('');
  console.log(`${'milliseconds'.padEnd(24)}${cells}`);
  for (const [name, { min, median, max, runs }] of Object.entries(results)) {
    const numbers = [min.toFixed(1), median.toFixed(1), max.toFixed(1), String(runs)];
    console.log(`${name.padEnd(24)}${numbers.map((cell) => cell.padStart(9)).join('')}`);
  }
  console.log('\nratio of medians');
  for (const { name, ratio, target, met } of list) {
    const verdict = target === null ? '' : `at most ${target}: ${met ? 'met' : 'missed'}`;
    console.log(`${ratio.toFixed(2)}  ${name.padEnd(45)} ${verdict}`.trimEnd());
  }
  console.log('The state is on tmpfs. A disk adds the time to make it durable.');
}

async function run({ json, ...options }) {
  layOutHost(options.peer);
  const results = await measure(options);
  const list = ratios(results);
  if (!json) return print(results, list);
  const about = { node: process.version, arch: process.arch, unit: 'ms' };
  console.log(JSON.stringify({ ...about, results, ratios: list }, null, 2));
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

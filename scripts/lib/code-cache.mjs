// Runs the bundled program against a kernel in memory and writes what V8 compiled meanwhile: NAME.cache beside NAME.cjs.
// usage: node FLAGS --initial-heap-size=256 --no-flush-bytecode code-cache.mjs DIRECTORY NAME... (FLAGS as in the executable)
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import sqlite from 'node:sqlite';
import v8 from 'node:v8';
import { Script } from 'node:vm';
import { ALIGNMENT } from './align.mjs';
import { FakeKernel } from '../../test/unit/support/kernel.ts';

const [folder, ...names] = process.argv.slice(2);
const directory = path.resolve(folder);
const builtin = createRequire(import.meta.url);
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'firewall-drop-build-'));
const HOME = '/var/ossec';
const PROGRAM = `${HOME}/active-response/bin/firewall-drop`;
const STDIN = '/proc/self/fd/0';
const OWN = ['/etc/firewall-drop', '/run/firewall-drop', '/var/lib/firewall-drop', HOME, STDIN];
const FIREWALL = /^\/usr\/sbin\/(?:ip6?tables(?:-restore)?|ipset)$/;

/** Where the program's files are during the build: neither its directories nor root are needed. */
function elsewhere(name) {
  if (typeof name !== 'string') return name;
  if (FIREWALL.test(name)) return process.execPath;
  return OWN.some((own) => name === own || name.startsWith(`${own}/`)) ? root + name : name;
}

const redirected = Object.fromEntries(
  Object.entries(fs).map(([name, member]) => [
    name,
    name.endsWith('Sync') ? (first, ...rest) => member(elsewhere(first), ...rest) : member,
  ]),
);

const databases = new Set();
class DatabaseSync extends sqlite.DatabaseSync {
  constructor(name, ...rest) {
    super(elsewhere(name), ...rest);
    databases.add(this);
  }
}

const substitutes = {
  'node:fs': { ...redirected, fs: redirected },
  'node:sqlite': { ...sqlite, DatabaseSync },
};
const require = (name) => substitutes[name] ?? builtin(name);

const kernel = new FakeKernel();
const spawn = ({ args: [program, ...args], stdio: [stdin] }) => {
  const input = stdin.input?.toString() ?? '';
  const { status, stdout, stderr } = kernel.run({ program: path.basename(program), args, input });
  return { pid: 1, status, signal: null, output: [null, Buffer.from(stdout), Buffer.from(stderr)] };
};

const { binding } = process;
process.binding = (name) => (name === 'spawn_sync' ? { spawn } : binding.call(process, name));
process.geteuid = () => 0;
process.uptime = () => 0;
// The same times in every build: what is compiled depends on what is run.
let nowMs = Date.UTC(2024, 0, 1);
Date.now = () => (nowMs += 1);
process.hrtime.bigint = () => BigInt(nowMs) * 1_000_000n;
Object.defineProperty(process, 'execPath', { value: root + PROGRAM });

function compile(name) {
  const filename = `${name}.cjs`;
  return new Script(fs.readFileSync(path.join(directory, filename), 'latin1'), { filename });
}

const scripts = new Map(names.map((name) => [name, compile(name)]));
const assets = {
  rejectedCaches: [],
  load(name) {
    const module = { exports: {} };
    const run = scripts.get(name).runInThisContext();
    run.call(module.exports, module, module.exports, require, assets);
    return module.exports;
  },
};

/** One run of the program from its first line to its exit. */
async function run({ args = [], input = '' }) {
  fs.writeFileSync(root + STDIN, input);
  process.argv = [process.execPath, process.argv0, ...args];
  const status = await new Promise((resolve) => {
    process.exit = resolve;
    assets.load('firewall-drop');
  });
  // As at the end of a process; the lock of the next run is among them.
  for (const database of databases) if (database.isOpen) database.close();
  databases.clear();
  if (status !== 0) throw new Error(`firewall-drop ${args.join(' ')} ended with ${status}`);
}

function message(command, srcip) {
  const alert = { id: '1628597593.1234567', rule: { id: '5710' }, data: { srcip } };
  const parameters = { extra_args: [], alert, program: 'active-response/bin/firewall-drop' };
  const line = (word) =>
    `${JSON.stringify({ version: 1, origin: { name: 'node01', module: 'wazuh-execd' }, command: word, parameters })}\n`;
  return line(command) + (command === 'add' ? line('continue') : '');
}

function layOut() {
  for (const part of ['active-response/bin', 'etc/shared', 'logs']) {
    fs.mkdirSync(`${root}${HOME}/${part}`, { recursive: true });
  }
  fs.mkdirSync(`${root}/proc/self/fd`, { recursive: true });
  fs.writeFileSync(root + PROGRAM, '');
  fs.writeFileSync(`${root}${HOME}/etc/shared/ar.conf`, 'firewall-drop600 - firewall-drop - 600\n');
  const client = '<client><server><address>192.0.2.1</address></server></client>';
  fs.writeFileSync(`${root}${HOME}/etc/ossec.conf`, `<ossec_config>${client}</ossec_config>\n`);
}

const ADDRESSES = ['203.0.113.7', '203.0.113.8', '2001:db8::7', '203.0.113.7'];
const RUNS = [
  ...ADDRESSES.map((address) => ({ input: message('add', address) })),
  ...ADDRESSES.map((address) => ({ input: message('delete', address) })),
  { args: ['version'] },
  { args: ['--help'] },
  { args: ['add', '203.0.113.9', '--timeout', '10m', '--reason', 'build'] },
  { args: ['list'] },
  { args: ['list', '--json'] },
  { args: ['status'] },
  { args: ['status', '--json'] },
  { args: ['history'] },
  { args: ['reconcile', '--dry-run'] },
  { args: ['metrics'] },
  { args: ['delete', '203.0.113.9'] },
  { args: ['expire'] },
];

try {
  layOut();
  process.chdir(root + HOME);
  for (const work of RUNS) await run(work);
  // The heap was that large so that no memory is used twice: compiled code would keep some of its old bytes.
  // V8 takes a cache where all flags are as they were when it was made.
  v8.setFlagsFromString('--initial-heap-size=0');
  v8.setFlagsFromString('--flush-bytecode');
  for (const [name, script] of scripts) {
    const room = Buffer.alloc(ALIGNMENT);
    fs.writeFileSync(
      path.join(directory, `${name}.cache`),
      Buffer.concat([script.createCachedData(), room]),
    );
  }
} finally {
  fs.rmSync(root, { recursive: true, force: true });
}

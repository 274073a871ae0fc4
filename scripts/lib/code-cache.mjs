// Runs the bundled program against a kernel in memory and writes what V8 compiled to NAME.cache beside NAME.cjs. Usage:
// node FLAGS --initial-heap-size=256 --no-flush-bytecode code-cache.mjs DIRECTORY NAME... (FLAGS as in the executable)
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
const FIREWALL = /^\/usr\/sbin\/(?:ip6?tables(?:-restore|-save)?|ipset|nft)$/;
const RUNTIME = process.execPath;

/**
 * Returns the path of a file of the program during the build. All files are redirected, so that the build needs neither
 * root nor a firewall, and the compiled code does not depend on the host and its activity.
 */
function elsewhere(name) {
  if (typeof name !== 'string' || name.startsWith(root)) return name;
  if (FIREWALL.test(name)) return RUNTIME;
  const isOpen = /^\/proc\/self\/fd\/[1-9]/.test(name);
  return name.startsWith('/') && !isOpen ? root + name : name;
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
    super(name.startsWith('file:') ? `file:${elsewhere(name.slice(5))}` : elsewhere(name), ...rest);
    databases.add(this);
  }
}

const links = { eth0: [{ address: '192.0.2.7', cidr: '192.0.2.7/24', family: 'IPv4' }] };
const substitutes = {
  'node:os': { ...os, networkInterfaces: () => links },
  'node:fs': { ...redirected, fs: redirected },
  'node:sqlite': { ...sqlite, DatabaseSync },
};
const require = (name) => substitutes[name] ?? builtin(name);

/** The listing of nft if our table has its set: enough for runs that change one address. */
const NFTABLES = JSON.stringify({
  nftables: [
    { table: { family: 'inet', name: 'firewall_drop' } },
    {
      set: {
        family: 'inet',
        name: 'blocked4_32',
        table: 'firewall_drop',
        type: 'ipv4_addr',
        size: 131072,
        flags: ['timeout'],
        stmt: [{ counter: null }],
      },
    },
    {
      chain: {
        family: 'inet',
        table: 'firewall_drop',
        name: 'prerouting',
        type: 'filter',
        hook: 'prerouting',
        prio: -450,
        policy: 'accept',
      },
    },
    {
      rule: {
        family: 'inet',
        table: 'firewall_drop',
        chain: 'prerouting',
        expr: [
          {
            match: {
              op: '==',
              left: { payload: { protocol: 'ip', field: 'saddr' } },
              right: '@blocked4_32',
            },
          },
          { drop: null },
        ],
      },
    },
  ],
});

const kernel = new FakeKernel();
/** True once nftables is the backend. An earlier table would mean that the state was lost. */
let hasTable = false;
function runProgram(command) {
  if (command.program !== 'nft') return kernel.run(command);
  return {
    status: 0,
    stdout: hasTable && command.args.includes('-j') ? NFTABLES : '{"nftables":[]}',
    stderr: '',
  };
}

const spawn = ({ args: [program, ...args], stdio: [stdin] }) => {
  const input = stdin.input?.toString() ?? '';
  const { status, stdout, stderr } = runProgram({ program: path.basename(program), args, input });
  return { pid: 1, status, signal: null, output: [null, Buffer.from(stdout), Buffer.from(stderr)] };
};

const { binding } = process;
process.binding = (name) => (name === 'spawn_sync' ? { spawn } : binding.call(process, name));
process.geteuid = () => 0;
process.uptime = () => 0;
process.env = {};
// The same times in every build, because the compiled code depends on what runs.
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

/** Runs the program from its first line to its exit. */
async function run({ args = [], input = '', backend }) {
  if (backend !== undefined) {
    write('/etc/firewall-drop/config.toml', `firewall.backend = "${backend}"\n`);
    hasTable = backend === 'nftables';
  }
  fs.writeFileSync(root + STDIN, input);
  process.argv = [process.execPath, process.argv0, ...args];
  const status = await new Promise((resolve) => {
    process.exit = resolve;
    assets.load('firewall-drop');
  });
  // The end of a process would close them. One of them is the writer lock, which the next run needs.
  for (const database of databases) if (database.isOpen) database.close();
  databases.clear();
  if (status !== 0) throw new Error(`firewall-drop ${args.join(' ')} exited with ${status}`);
}

function message(command, srcip) {
  const alert = { id: '1628597593.1234567', rule: { id: '5710' }, data: { srcip } };
  const parameters = { extra_args: [], alert, program: 'active-response/bin/firewall-drop' };
  const line = (word) =>
    `${JSON.stringify({ version: 1, origin: { name: 'node01', module: 'wazuh-execd' }, command: word, parameters })}\n`;
  return line(command) + (command === 'add' ? line('continue') : '');
}

function write(name, content) {
  fs.mkdirSync(path.dirname(root + name), { recursive: true });
  fs.writeFileSync(root + name, content);
}

function layOut() {
  for (const part of ['active-response/bin', 'etc/shared', 'logs']) {
    fs.mkdirSync(`${root}${HOME}/${part}`, { recursive: true });
  }
  write('/proc/uptime', '100.00 100.00\n');
  write('/proc/self/exe', '');
  write(STDIN, '');
  write(PROGRAM, '');
  write(`${HOME}/etc/shared/ar.conf`, 'firewall-drop600 - firewall-drop - 600\n');
  const client = '<client><server><address>192.0.2.1</address></server></client>';
  write(`${HOME}/etc/ossec.conf`, `<ossec_config>${client}</ossec_config>\n`);
  write('/etc/resolv.conf', 'nameserver 192.0.2.53\n');
  write('/etc/localtime', zoneFile('CET', 3600, 'CET-1CEST,M3.5.0,M10.5.0/3'));
  write('/proc/sys/kernel/random/boot_id', '00000000-0000-4000-8000-000000000000\n');
  for (const kind of ['net', 'pid']) {
    write(`/proc/self/ns/.${kind}`, '');
    fs.symlinkSync(`${kind}:[4026531840]`, `${root}/proc/self/ns/${kind}`);
  }
  write(
    '/proc/net/fib_trie',
    'Local:\n  |-- 192.0.2.7\n     /32 host LOCAL\n  |-- 192.0.2.255\n     /32 link BROADCAST\n',
  );
  write(
    '/proc/net/route',
    `Iface\tDestination\tGateway\tFlags\neth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n`,
  );
  write('/proc/net/if_inet6', '20010db8000000000000000000000005 02 40 00 80     eth0\n');
  write('/proc/net/ipv6_route', '');
}

/** Returns a zone file with one local time type and a rule for all other times (RFC 9636). */
function zoneFile(abbreviation, offsetSeconds, rule) {
  const header = Buffer.alloc(44);
  header.write('TZif2');
  header.writeUInt32BE(1, 36);
  header.writeUInt32BE(abbreviation.length + 1, 40);
  const type = Buffer.alloc(6);
  type.writeInt32BE(offsetSeconds);
  const data = Buffer.concat([header, type, Buffer.from(`${abbreviation}\0`)]);
  return Buffer.concat([data, data, Buffer.from(`\n${rule}\n`)]);
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
  ...['ipset', 'nftables'].flatMap((backend) => [
    { backend, input: message('add', '203.0.113.7') },
    { input: message('add', '203.0.113.7') },
    { input: message('delete', '203.0.113.7') },
  ]),
];

try {
  layOut();
  process.chdir(root + HOME);
  for (const work of RUNS) await run(work);
  // The large heap keeps V8 from reusing memory, of which compiled code would retain old bytes.
  // V8 accepts a cache only if all flags are the same as when it was made.
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

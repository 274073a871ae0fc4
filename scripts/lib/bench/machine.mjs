// Makes namespaces for benchmarks and hosts inside them, so that benchmarks cannot reach the machine's firewall, agent
// and state.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '../../..');
/** The path of the checkout inside the namespaces, because its real directory can be hidden there. */
export const CHECKOUT = '/mnt';
/**
 * The directory of the measured executables, a tmpfs, where all copies behave alike. On a disk, start-up time and
 * memory vary with the placement of the pages in the page cache.
 */
const EXECUTABLES = '/media';
/** The pinned Node as npm ships it, and as the build packs it. */
export const NODE = { shipped: `${EXECUTABLES}/node`, packed: `${EXECUTABLES}/node-packed` };
export const HOME = '/var/ossec';
export const PROGRAM = 'active-response/bin/firewall-drop';
export const PEER = 'active-response/bin/peer';
/** The working directory. It is private, because /var is. */
export const WORK = '/var/tmp/bench';

/** Runs the script again with --inside, as root of new network and mount namespaces, and takes over its exit status. */
export function enterNamespaces(script) {
  if (!fs.existsSync(path.join(ROOT, 'bin/firewall-drop'))) {
    throw new Error('there is no binary. Run first: npm run build');
  }
  const ownUser = process.getuid() === 0 ? [] : ['--user', '--map-root-user'];
  const unshare = ['--net', '--mount', '--propagation', 'private', ...ownUser];
  const self = [process.execPath, script, '--inside', ...process.argv.slice(2)];
  const run = spawnSync('unshare', [...unshare, ...self], { stdio: 'inherit' });
  if (run.error) {
    throw new Error(`unshare can't be started (${run.error.message}). Run: scripts/setup test`);
  }
  process.exitCode = run.status ?? 1;
}

/** Hides the machine's /var and /run, and prepares what every benchmark needs. */
export function hideMachine() {
  execFileSync('mount', ['--bind', ROOT, CHECKOUT]);
  process.chdir(CHECKOUT);
  for (const place of ['/var', '/run']) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', place]);
  if (fs.existsSync('/etc/firewall-drop')) {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/etc/firewall-drop']);
  }
  takeZoneWithSummerTime();
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  for (const directory of ['/run/lock', '/var/lib', WORK]) {
    fs.mkdirSync(directory, { recursive: true });
  }
  for (const name of ['in', 'out']) execFileSync('mkfifo', [`${WORK}/${name}`]);
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', EXECUTABLES]);
  const copies = {
    'bin/firewall-drop': `${EXECUTABLES}/firewall-drop`,
    [`node_modules/node-linux-${process.arch}/bin/node`]: NODE.shipped,
    [`dist/node-${process.arch}`]: NODE.packed,
  };
  for (const [from, to] of Object.entries(copies)) fs.copyFileSync(`${CHECKOUT}/${from}`, to);
}

/**
 * Every alert reads the time zone of the host. A zone with daylight saving time, as most hosts have, takes longer than
 * UTC.
 */
function takeZoneWithSummerTime() {
  const [own, zone] = ['/etc/localtime', '/usr/share/zoneinfo/Europe/Berlin'];
  if (!fs.existsSync(own) || !fs.existsSync(zone)) return;
  execFileSync('mount', ['--bind', zone, fs.realpathSync(own)]);
}

/** Makes an agent's home with our program, below the directory `root`. */
export function installAgent(root = '') {
  const home = `${root}${HOME}`;
  for (const directory of ['logs', 'etc/shared', path.dirname(PROGRAM)]) {
    fs.mkdirSync(`${home}/${directory}`, { recursive: true });
  }
  fs.symlinkSync(`${EXECUTABLES}/firewall-drop`, `${home}/${PROGRAM}`);
  fs.writeFileSync(`${home}/etc/shared/ar.conf`, 'firewall-drop600 - firewall-drop - 600\n');
  fs.writeFileSync(
    `${home}/etc/ossec.conf`,
    '<ossec_config><client><server><address>192.0.2.10</address></server></client></ossec_config>\n',
  );
}

/** Installs another program for the same messages. It is passed as content, because hideMachine can hide its file. */
export function installPeer(content, root = '') {
  fs.writeFileSync(`${root}${HOME}/${PEER}`, content, { mode: 0o750 });
}

/** Starts a host with its own network, /var, /run and /etc. It ends with this process. */
export async function startHost() {
  const support = `${CHECKOUT}/test/support`;
  const inside = [process.execPath, '--no-warnings', `${support}/inside.ts`];
  const furnish = ['bash', `${support}/host.sh`, ...inside];
  const unshare = ['--net', '--mount', '--propagation', 'private'];
  const holder = spawn('unshare', [...unshare, ...furnish], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [first] = await Promise.race([once(holder.stdout, 'data'), once(holder, 'close')]);
  if (String(first) !== 'ready\n') throw new Error('a host could not be made');
  const enter = ['nsenter', '--target', String(holder.pid), '--net', '--mount'];
  return {
    pid: holder.pid,
    /** Returns the path by which this process reaches a file of the host. */
    path: (file) => `/proc/${holder.pid}/root${file}`,
    /** Returns the command line that runs `words` on the host, in the directory `cwd`. */
    inside: (words, cwd = '/') => [...enter, `--wd=${`/proc/${holder.pid}/root${cwd}`}`, ...words],
    stop: async () => {
      holder.stdin.end();
      if (holder.exitCode === null) await once(holder, 'exit');
    },
  };
}

/** Summarises the runs of a subject. */
export function summary(list) {
  const sorted = list.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
  return { min: sorted[0], median, max: sorted.at(-1), runs: sorted.length };
}

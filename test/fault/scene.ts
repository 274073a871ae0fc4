/** A host seen from inside: the executable run in it, and what books, kernel and log say, read past it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { answerTo, ossecArguments, wazuh4Message } from '../support/alerts.ts';
import { CLEAN_ENVIRONMENT } from '../support/namespaces.ts';

const HOME = '/var/ossec';
const LOG = `${HOME}/logs/active-responses.log`;
const STATE = '/var/lib/firewall-drop';
const CONFIG = '/etc/firewall-drop';
const FILES = [STATE, CONFIG, '/etc/iptables', LOG, `${HOME}/logs/firewall-drop.log`];
const STDIN = '/run/stdin';
const COPY = '/run/books';
const TIMEOUT_MS = 60_000;

/** One run of the executable: arguments, and all that it will hear. */
export interface Order {
  readonly args: readonly string[];
  readonly input: string;
}

export const asPerson = (...args: readonly string[]): Order => ({ args, input: '' });

interface Offence {
  readonly srcip: string;
  readonly alertId: string;
}

export function wazuhAdd(offence: Offence, answer: 'continue' | 'abort' = 'continue'): Order {
  const message = wazuh4Message(offence);
  return { args: [], input: message + answerTo(message, answer) };
}

export function wazuhDelete(offence: Offence): Order {
  return { args: [], input: wazuh4Message({ ...offence, command: 'delete' }) };
}

export function ossec(command: 'add' | 'delete', offence: Offence): Order {
  return asPerson(...ossecArguments({ ...offence, command }));
}

export interface Launch {
  /** What runs it, with its arguments. */
  readonly launcher?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** A line of the log, or an entry of the history. */
export interface Told {
  readonly verb: string;
  readonly address: string;
  readonly alertId: string;
}

export interface Books {
  readonly integrity: string;
  readonly bans: ReadonlyMap<string, BookedBan>;
  readonly history: readonly Told[];
  readonly facts: ReadonlyMap<string, string>;
}

interface BookedBan {
  readonly phase: string;
  readonly origins: readonly string[];
  /** The verb of the line that is still to be written; null: none is. */
  readonly owed: string | null;
}

/** How often each address stands in what each backend makes. */
export interface Kernel {
  readonly iptables: ReadonlyMap<string, number>;
  readonly ipset: ReadonlyMap<string, number>;
  readonly nftables: ReadonlyMap<string, number>;
  /** By family, chain by chain: how many rules ask a set of ours. */
  readonly setRules: Readonly<Record<'4' | '6', readonly string[]>>;
  readonly hasSets: boolean;
  readonly hasTable: boolean;
}

/** What every change needs. Debian finds iptables by links, and all of it is one program that we need as well. */
const CHANGERS = {
  iptables: ['/etc/alternatives/iptables-restore', '/etc/alternatives/ip6tables-restore'],
  ipset: ['/usr/sbin/ipset'],
  nftables: ['/usr/sbin/nft'],
} as const;
const BROKEN_PROGRAM = '/run/broken';
const BROKEN = String.raw`#!/bin/bash
input=$([[ -p /dev/stdin || -S /dev/stdin ]] && cat)
[[ $input =~ (^|$'\n')(-[AID]|add|destroy|delete) ]] && exit 1
exec -a "$0" "/run/real-$(basename "$0")" "$@" <<<"$input"
`;

export class Scene {
  readonly #repairs: [string, ...string[]][] = [];

  /** Lays out an agent's home with `binary` in it, unless it is there. */
  constructor(binary: string) {
    const bin = `${HOME}/active-response/bin`;
    for (const directory of [bin, `${HOME}/logs`, `${HOME}/etc/shared`]) {
      mkdirSync(directory, { recursive: true });
    }
    this.must('ln', '-sfn', binary, `${bin}/firewall-drop`);
  }

  run(order: Order, launch: Launch = {}): Ended {
    const stdin = openInput(order);
    const [program = '', ...rest] = commandOf(order, launch);
    const { status, signal, stderr, error } = spawnSync(program, rest, {
      cwd: HOME,
      env: { ...CLEAN_ENVIRONMENT, ...launch.env },
      // A pipe as execd's: an alert whose keys nobody can hear blocks nothing.
      stdio: [stdin, 'pipe', 'pipe'],
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      timeout: TIMEOUT_MS,
    });
    closeSync(stdin);
    if (error !== undefined) throw error;
    return { status, signal, stderr };
  }

  /** Without waiting, as the leader of a process group. */
  start(order: Order): ChildProcess {
    const stdin = openInput(order);
    const [program = '', ...rest] = commandOf(order, {});
    const child = spawn(program, rest, {
      cwd: HOME,
      env: { ...CLEAN_ENVIRONMENT },
      stdio: [stdin, 'pipe', 'pipe'],
      detached: true,
    });
    child.stdout?.resume();
    closeSync(stdin);
    return child;
  }

  /** What has to succeed. */
  do(order: Order): void {
    const { status, signal, stderr } = this.run(order);
    if (status !== 0) throw new Error(`${order.args.join(' ')}: ${status} ${signal}: ${stderr}`);
  }

  must(program: string, ...args: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync(program, args, {
      env: { ...CLEAN_ENVIRONMENT },
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${status}: ${stderr}`);
    return stdout;
  }

  configure(toml: string): void {
    mkdirSync(CONFIG, { recursive: true });
    writeFileSync(`${CONFIG}/config.toml`, toml, { mode: 0o644 });
  }

  /** Rules, sets and tables are gone; books and logs stay. */
  flushKernel(): void {
    const script = 'iptables -w -F; ip6tables -w -F; ipset destroy; nft flush ruleset';
    this.must('bash', '-c', script);
  }

  /** Whatever changes the kernel by way of it fails; what only looks works. */
  breakFirewall(backend: keyof typeof CHANGERS): void {
    writeFileSync(BROKEN_PROGRAM, BROKEN, { mode: 0o755 });
    for (const path of CHANGERS[backend]) {
      const real = realpathSync(path);
      this.must('cp', real, `/run/real-${basename(path)}`);
      if (path.startsWith('/etc/')) {
        const link = readlinkSync(path);
        this.must('ln', '-sfn', BROKEN_PROGRAM, path);
        this.#repairs.push(['ln', '-sfn', link, path]);
      } else {
        this.must('mount', '--bind', BROKEN_PROGRAM, path);
        this.#repairs.push(['umount', path]);
      }
    }
  }

  mendFirewall(): void {
    for (const [program, ...args] of this.#repairs.splice(0)) this.must(program, ...args);
  }

  /** As a host on which nothing has happened yet. */
  reset(): void {
    this.mendFirewall();
    this.flushKernel();
    for (const path of FILES) rmSync(path, { recursive: true, force: true });
  }

  /** What the kernel holds, the state, the configuration and the logs, to be loaded again under this name. */
  save(name: string): void {
    this.must('bash', '-c', SAVE, 'save', savedAs(name), ...FILES);
  }

  /** After a reset. False where nothing was saved under this name. */
  load(name: string): boolean {
    if (!existsSync(savedAs(name))) return false;
    this.must('bash', '-c', LOAD, 'load', savedAs(name));
    return true;
  }

  /** The time of these is over. */
  makeDue(addresses: readonly string[]): void {
    if (addresses.length === 0) return;
    using database = new DatabaseSync(join(STATE, 'state.db'));
    const sql = 'UPDATE holds SET expires_at_ms = ? WHERE address = ? AND expires_at_ms > 0';
    for (const address of addresses) database.prepare(sql).run(Date.now() - 1, address);
  }

  /** As if the host had been started since an add, a save of the rules, and a delete: they are in the kernel again. */
  bringBackSaved(release: () => void): void {
    const hour = 3_600_000;
    const bootMs = Date.now() - Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000;
    mkdirSync('/etc/iptables', { recursive: true });
    const each = (script: string): string => {
      return this.must(
        'bash',
        '-c',
        `${script}; ${script.replace('iptables', 'ip6tables').replace('v4', 'v6')}`,
      );
    };
    each('iptables-save > /etc/iptables/rules.v4');
    release();
    each('iptables-restore < /etc/iptables/rules.v4');
    for (const name of ['rules.v4', 'rules.v6']) {
      utimesSync(`/etc/iptables/${name}`, (bootMs - 2 * hour) / 1000, (bootMs - 2 * hour) / 1000);
    }
    using database = new DatabaseSync(join(STATE, 'state.db'));
    const date = database.prepare('UPDATE history SET at_ms = ? WHERE verb = ?');
    date.run(bootMs - 3 * hour, 'add');
    date.run(bootMs - hour, 'delete');
    database.exec(
      "UPDATE facts SET value = 'an earlier one' WHERE name LIKE 'boot of the last look%'",
    );
  }

  log(): Told[] {
    const lines = existsSync(LOG) ? readFileSync(LOG, 'utf8').split('\n') : [];
    return lines.flatMap((line) => {
      const words = line.split(' ');
      const at = words.indexOf('-');
      const [verb = '', , address = '', alertId = ''] = words.slice(at - 1);
      return at < 1 ? [] : [{ verb, address, alertId }];
    });
  }

  /** The file itself, not what our `list` makes of it; a copy, because whoever opens it mends it. */
  books(): Books {
    rmSync(COPY, { recursive: true, force: true });
    mkdirSync(COPY, { mode: 0o700 });
    for (const name of ['state.db', 'state.db-wal']) {
      if (existsSync(join(STATE, name))) copyFileSync(join(STATE, name), join(COPY, name));
    }
    using database = new DatabaseSync(join(COPY, 'state.db'));
    return readBooks(database);
  }

  kernel(): Kernel {
    const text = this.must('bash', '-c', LISTING);
    const [four = '', six = '', sets = '', table = ''] = text.split('----\n');
    return {
      iptables: countOf(`${four}${six}`, /^-A \S+ -s (\S+)\/(?:32|128) -j DROP$/gm),
      ipset: countOf(sets, /^add firewall-drop-[46] (\S+)/gm),
      nftables: countOf(table, /((?:203\.0\.113|198\.51\.100)\.\d+|2001:db8:[0-9a-f:]+)/g),
      setRules: { '4': setRulesOf(four), '6': setRulesOf(six) },
      hasSets: sets.includes('create firewall-drop-'),
      hasTable: table.includes('table'),
    };
  }
}

const savedAs = (name: string): string => `/run/saved-${name.replaceAll(':', '-')}`;
const SAVE = `set -e; mkdir -p "$1/files/var" "$1/files/etc"; cd "$1"; shift
  for path in "$@"; do if [[ -e $path ]]; then (here=$PWD; cd / && cp -a --parents "\${path#/}" "$here/files"); fi; done
  iptables-save >four; ip6tables-save >six; ipset save >sets
  nft list table inet firewall_drop >table 2>/dev/null || : >table`;
const LOAD = `set -e; cd "$1"; cp -a files/var/. /var/; cp -a files/etc/. /etc/
  ipset restore <sets; iptables-restore <four; ip6tables-restore <six; nft -f table`;

/** Each has a file of its own, which is gone with whoever reads it. */
function openInput({ input }: Order): number {
  writeFileSync(STDIN, input);
  const stdin = openSync(STDIN, 'r');
  rmSync(STDIN);
  return stdin;
}

function commandOf({ args }: Order, { launcher = [] }: Launch): string[] {
  // As execd: a relative path, from the home.
  return [...launcher, 'active-response/bin/firewall-drop', ...args];
}

const LISTING = [
  'iptables -w -S',
  'ip6tables -w -S',
  'ipset save',
  'nft list table inet firewall_drop 2>/dev/null; true',
].join('; echo ----; ');

function countOf(text: string, pattern: RegExp): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [, address = ''] of text.matchAll(pattern)) {
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  return counts;
}

/** The chain of each rule that drops what a set of ours holds. */
function setRulesOf(rules: string): string[] {
  const pattern = /^-A (\S+) -m set --match-set firewall-drop-[46] src -j DROP$/gm;
  return Array.from(rules.matchAll(pattern), ([, chain = '']) => chain).sort();
}

function readBooks(database: DatabaseSync): Books {
  const all = (sql: string): Record<string, unknown>[] => database.prepare(sql).all();
  const integrity = String(all('PRAGMA integrity_check')[0]?.['integrity_check']);
  // A run that was killed before it could make the tables has told nobody anything.
  const [{ tables } = { tables: 0 }] = all('SELECT count(*) AS tables FROM sqlite_schema');
  if (tables === 0) return { integrity, bans: new Map(), history: [], facts: new Map() };
  const holds = Map.groupBy(all('SELECT address, origin FROM holds ORDER BY origin'), (row) => {
    return String(row['address']);
  });
  const bans = all('SELECT address, phase, owed FROM bans').map((row) => {
    const address = String(row['address']);
    const origins = (holds.get(address) ?? []).map(({ origin }) => String(origin));
    return [address, { phase: String(row['phase']), origins, owed: verbOf(row['owed']) }] as const;
  });
  const history = all('SELECT verb, address, alert_id FROM history ORDER BY id').map((row) => {
    const { verb, address, alert_id: alertId } = row;
    return { verb: String(verb), address: String(address), alertId: String(alertId) };
  });
  const facts = all('SELECT name, value FROM facts').map(({ name, value }) => {
    return [String(name), String(value)] as const;
  });
  return { integrity, bans: new Map(bans), history, facts: new Map(facts) };
}

function verbOf(owed: unknown): string | null {
  return typeof owed === 'string' ? (JSON.parse(owed) as { verb: string }).verb : null;
}

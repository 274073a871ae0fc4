/** A temporary host: its own mount and network namespace, with private /etc, /run and /var. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { ConnectTarget, FileOptions, Order, Reply, RunResult } from './inside-protocol.ts';
import { asCommand, CLEAN_ENVIRONMENT, type HeldHost, holdHost, pidOf } from './namespaces.ts';
import { PATIENCE_MS } from './wait.ts';

export type { RunResult } from './inside-protocol.ts';

export type Family = 4 | 6;
export type IptablesVariant = 'nft' | 'legacy';

export interface StartOptions {
  /** The name that the program finds in argv[0]. */
  readonly argv0?: string;
  /** The working directory, a path of the host. */
  readonly cwd?: string;
  /** The whole environment, instead of CLEAN_ENVIRONMENT. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface RunOptions extends StartOptions {
  readonly input?: string | Buffer;
  readonly timeoutMs?: number;
}

export interface SpawnOptions extends StartOptions {
  readonly stdio?: StdioOptions;
  /** True to make the program the leader of a process group. */
  readonly detached?: boolean;
}

export interface AgentOptions {
  readonly binary: string;
  readonly home?: string;
  readonly names?: readonly string[];
  /** `file` bind-mounts the binary, which needs no copy, and gives it the path in the home for the kernel. */
  readonly as?: 'symlink' | 'file';
  readonly uid?: number;
  readonly gid?: number;
}

export interface Agent {
  readonly home: string;
  readonly log: string;
  program(name?: string): string;
  logLines(): string[];
}

/** The owner of the agent's files: any uid except root's. */
const AGENT_UID = 1001;

export async function createHost(name = 'host'): Promise<TestHost> {
  return new TestHost(name, await holdHost());
}

export class TestHost {
  readonly name: string;
  /** The process id of the process that keeps the namespaces alive. */
  readonly pid: number;
  readonly #held: HeldHost;
  readonly #children = new Set<ChildProcess>();
  #isDisposed = false;

  constructor(name: string, held: HeldHost) {
    this.name = name;
    this.#held = held;
    this.pid = pidOf(held.holder);
  }

  /** Runs a program until it ends, with any exit status. Its stdin is a real pipe, as for the child of a daemon. */
  run(argv: readonly string[], options: RunOptions = {}): RunResult {
    const { argv0, cwd = '/', env = CLEAN_ENVIRONMENT, input, timeoutMs = PATIENCE_MS } = options;
    const { result } = this.#ask({
      ...{ do: 'run', argv, cwd, env, timeoutMs },
      ...(argv0 !== undefined && { argv0 }),
      ...(input !== undefined && { input: toBase64(input) }),
    });
    if (result === undefined) throw new Error(`${this.name}: ${argv.join(' ')}: no result`);
    return result;
  }

  /** Runs a program and returns its output. Throws if it fails. */
  must(argv: readonly string[], options: RunOptions = {}): string {
    const { status, signal, stdout, stderr } = this.run(argv, options);
    if (status === 0) return stdout;
    throw new Error(
      `${this.name}: ${argv.join(' ')}: ${signal ?? `status ${String(status)}`}: ${stderr || stdout}`,
    );
  }

  /**
   * Starts a program without waiting. The child's pid is that of the program. Node's pipes are socket pairs: see
   * pipe.ts.
   */
  spawn(argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [program, ...rest] = this.#command(argv, options);
    const child = spawn(program, rest, {
      env: { ...(options.env ?? CLEAN_ENVIRONMENT) },
      stdio: options.stdio ?? 'pipe',
      detached: options.detached ?? false,
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Returns the result of a TCP connection to each target, as in `Reply`. */
  connect(targets: readonly ConnectTarget[], timeoutMs: number): readonly string[] {
    return this.#ask({ do: 'connect', targets, timeoutMs }).connections ?? [];
  }

  writeFile(path: string, text: string | Buffer, options: FileOptions = {}): void {
    this.#ask({ do: 'write', path, base64: toBase64(text), ...options });
  }

  readFile(path: string): string {
    return this.#ask({ do: 'read', path }).text ?? '';
  }

  exists(path: string): boolean {
    return this.#ask({ do: 'exists', path }).exists === true;
  }

  mkdir(paths: string | readonly string[], options: FileOptions = {}): void {
    this.#ask({ do: 'mkdir', paths: [paths].flat(), mode: '0755', uid: 0, gid: 0, ...options });
  }

  /** Makes a symbolic link, replacing an existing file. */
  symlink(target: string, path: string): void {
    this.#ask({ do: 'link', target, path });
  }

  remove(...paths: readonly string[]): void {
    this.#ask({ do: 'remove', paths });
  }

  /** Mounts one file over another, for example a broken program over a good one. */
  bind(source: string, path: string): void {
    if (!this.exists(path)) this.writeFile(path, '');
    this.must(['mount', '--bind', source, path]);
  }

  /** Makes an agent's home as a Wazuh agent's package does. */
  installAgent(options: AgentOptions): Agent {
    const { binary, home = '/var/ossec', names = ['firewall-drop'], as = 'symlink' } = options;
    const owner = this.hasSeveralUsers() ? AGENT_UID : 0;
    const { uid = owner, gid = uid } = options;
    const bin = `${home}/active-response/bin`;
    this.mkdir([home, dirname(bin), bin], { mode: '0750', gid });
    const writable = ['logs', 'etc', 'etc/shared'].map((directory) => `${home}/${directory}`);
    this.mkdir(writable, { mode: '0770', uid, gid });
    for (const name of names) {
      if (as === 'file') this.bind(binary, `${bin}/${name}`);
      else this.symlink(binary, `${bin}/${name}`);
    }
    const log = `${home}/logs/active-responses.log`;
    return {
      home,
      log,
      program: (name = names[0] ?? basename(binary)) => `${bin}/${name}`,
      logLines: () => (this.exists(log) ? nonEmptyLines(this.readFile(log)) : []),
    };
  }

  /**
   * Reports whether files can have other owners than root. False only for an ordinary user without an entry in
   * /etc/subuid.
   */
  hasSeveralUsers(): boolean {
    const mapped = nonEmptyLines(readFileSync(`/proc/${this.pid}/uid_map`, 'utf8'));
    return mapped.length > 1 || !/\s1$/.test(mapped[0] ?? '');
  }

  /** Returns the filter table as `iptables -S` lists it, with the given variant or with plain `iptables`. */
  rules(family: Family, { variant }: { readonly variant?: IptablesVariant } = {}): string[] {
    const program = family === 4 ? 'iptables' : 'ip6tables';
    return nonEmptyLines(this.must([variant ? `${program}-${variant}` : program, '-w', '-S']));
  }

  rulesFor(address: string, options: { readonly variant?: IptablesVariant } = {}): string[] {
    const spellings = [address, `${address}/32`, `${address}/128`];
    return this.rules(address.includes(':') ? 6 : 4, options).filter((line) =>
      line.split(' ').some((word) => spellings.includes(word)),
    );
  }

  /** Sets the variant of plain `iptables`, `ip6tables-restore`, … in this host, through Debian's alternatives. */
  useIptables(variant: IptablesVariant | 'none'): void {
    for (const program of ['iptables', 'ip6tables']) {
      for (const suffix of ['', '-save', '-restore']) {
        const link = `/etc/alternatives/${program}${suffix}`;
        if (variant === 'none') this.remove(link);
        else this.symlink(`/usr/sbin/${program}-${variant}${suffix}`, link);
      }
    }
  }

  /** Adds an address to send from, given with its prefix length. */
  addAddress(address: string): void {
    this.must(['ip', 'address', 'add', address, 'dev', 'lo']);
  }

  route(destination: string, via: string): void {
    this.must(['ip', 'route', 'add', destination, 'via', via]);
  }

  /** Ends every process in the host. This also happens when the test's own process ends. */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    const { holder } = this.#held;
    // The holder kills the processes that it finds inside, but not those that are still entering.
    for (const child of this.#children) child.kill('SIGKILL');
    const hasEnded = holder.exitCode !== null || holder.signalCode !== null;
    const ended = hasEnded ? undefined : once(holder, 'exit');
    holder.ref();
    this.#held.release();
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #ask(order: Order): Reply {
    const reply = JSON.parse(this.#held.ask(JSON.stringify(order))) as Reply;
    if (reply.error === undefined) return reply;
    const what = order.do === 'run' ? order.argv.join(' ') : JSON.stringify(order).slice(0, 200);
    throw new Error(`${this.name}: ${what}: ${reply.error}`);
  }

  #command(argv: readonly string[], { argv0, cwd = '/' }: StartOptions): [string, ...string[]] {
    // All texts are passed as arguments, so that none becomes code. Without --norc, bash takes a socket on stdin for a
    // remote login and reads the user's .bashrc.
    const launcher =
      argv0 === undefined
        ? ['env', '-C', cwd]
        : ['bash', '--norc', '-c', 'cd -- "$0" && exec -a "$1" -- "${@:2}"', cwd, argv0];
    return asCommand([...this.#held.entrance, ...launcher, ...argv]);
  }
}

function toBase64(content: string | Buffer): string {
  return Buffer.from(content).toString('base64');
}

function nonEmptyLines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

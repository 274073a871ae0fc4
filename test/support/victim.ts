/** A host with an agent, in which the built executable runs as started by execd, by ossec-execd or by a person. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, lstatSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import {
  answerTo,
  type OssecFields,
  ossecArguments,
  type Wazuh4Fields,
  wazuh4Message,
  type Wazuh5Fields,
  wazuh5Message,
} from './alerts.ts';
import { builtBinary } from './binary.ts';
import {
  type Agent,
  type AgentOptions,
  createHost,
  type TestHost,
  type IptablesVariant,
  type RunResult,
  type StartOptions,
} from './host.ts';
import { FLUSH_RULES, flushKernel } from './kernel.ts';
import { CLEAN_ENVIRONMENT } from './namespaces.ts';
import { createPipe } from './pipe.ts';
import { endTimeOf, type ListedBan, readBans, STATE_DIRECTORY } from './state.ts';

export { type ListedBan, STATE_DIRECTORY } from './state.ts';

/** The relative path from the home, as execd uses it. */
const PROGRAM = 'active-response/bin/firewall-drop';
export const CONFIG_FILE = '/etc/firewall-drop/config.toml';

export interface Response extends RunResult {
  /** The lines that the run added to active-responses.log. */
  readonly lines: readonly string[];
  readonly durationMs: number;
}

export interface RespondOptions extends StartOptions {
  /** The path of the program, instead of execd's relative path. `argv0` can still differ from it. */
  readonly program?: string;
  readonly timeoutMs?: number;
}

/** The fields of a message, and execd's answer to the key query: one of its two words, any other text, or none. */
export interface Asked extends Omit<Wazuh4Fields, 'command'>, RespondOptions {
  readonly answer?: 'continue' | 'abort' | { readonly raw: string } | 'none';
}

/** One run of the executable: its arguments, and its whole standard input. */
export interface Run {
  readonly args: readonly string[];
  readonly input: string;
}

export interface Launch {
  /** A program that starts the executable, with its arguments. */
  readonly launcher?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  say(line: string): void;
  /** Ends its stdin. */
  hangUp(): void;
  readonly ended: Promise<RunResult>;
}

interface Trouble {
  readonly level: number;
  readonly msg: string;
}

export interface VictimOptions extends Partial<AgentOptions> {
  readonly name?: string;
  readonly variant?: IptablesVariant;
}

export async function createVictim(options: VictimOptions = {}): Promise<Victim> {
  const { name = 'victim', variant, ...agent } = options;
  const host = await createHost(name);
  if (variant !== undefined) host.useIptables(variant);
  return new Victim(host, host.installAgent({ binary: builtBinary(), ...agent }));
}

export class Victim {
  readonly host: TestHost;
  readonly agent: Agent;

  constructor(host: TestHost, agent: Agent) {
    this.host = host;
    this.agent = agent;
  }

  /** Runs the executable as wazuh-execd does: with a relative argv[0] in the home, and the whole input on stdin. */
  respond(input: string, options: RespondOptions = {}): Response {
    return this.#watch(() => {
      return this.host.run([options.program ?? PROGRAM], {
        cwd: this.agent.home,
        ...options,
        input,
      });
    });
  }

  add(srcip: string, asked: Asked = {}): Response {
    const message = wazuh4Message({ srcip, ...asked, command: 'add' });
    return this.respond(message + answerLine(message, asked.answer ?? 'continue'), asked);
  }

  delete(srcip: string, asked: Asked = {}): Response {
    return this.respond(wazuh4Message({ srcip, ...asked, command: 'delete' }), asked);
  }

  enable(srcip: string, fields: Wazuh5Fields & Pick<Asked, 'answer'> = {}): Response {
    const message = wazuh5Message({ ...fields, srcip, command: 'enable' });
    return this.respond(message + answerLine(message, fields.answer ?? 'continue'));
  }

  disable(srcip: string, fields: Wazuh5Fields = {}): Response {
    return this.respond(wazuh5Message({ ...fields, srcip, command: 'disable' }));
  }

  /** Runs the executable as ossec-execd does: with an absolute argv[0], arguments, and nothing on stdin. */
  ossec(fields: OssecFields = {}): Response {
    return this.ossecRaw(ossecArguments(fields));
  }

  ossecRaw(args: readonly string[]): Response {
    return this.#watch(() => this.host.run([this.agent.program(), ...args]));
  }

  /** Runs the executable as a person at a shell does. */
  person(args: readonly string[], options: StartOptions = {}): Response {
    return this.#watch(() => this.host.run([this.agent.program(), ...args], options));
  }

  /** Runs the executable with `env` in addition to the usual environment. */
  run({ args, input }: Run, { launcher = [], env }: Launch = {}): RunResult {
    return this.host.run([...launcher, PROGRAM, ...args], {
      cwd: this.agent.home,
      env: { ...CLEAN_ENVIRONMENT, ...env },
      input,
    });
  }

  /** Runs the executable. Throws if it fails. */
  do(run: Run): void {
    const { status, signal, stderr } = this.run(run);
    if (status !== 0) throw new Error(`${run.args.join(' ')}: ${status} ${signal}: ${stderr}`);
  }

  /** Starts the executable with a real pipe as stdin, which stays open. */
  start(
    args: readonly string[] = [],
    { launcher = [], detached = false }: { launcher?: readonly string[]; detached?: boolean } = {},
  ): Running {
    const { readFd, writeFd } = createPipe();
    const child = this.host.spawn([...launcher, PROGRAM, ...args], {
      cwd: this.agent.home,
      stdio: [readFd, 'pipe', 'pipe'],
      detached,
    });
    closeSync(readFd);
    let open = true;
    const hangUp = (): void => {
      if (open) closeSync(writeFd);
      open = false;
    };
    return {
      child,
      pid: child.pid ?? 0,
      say: (line) => writeSync(writeFd, line),
      hangUp,
      ended: resultOf(child).finally(hangUp),
    };
  }

  /** Like `add`, without waiting. */
  startAdd(srcip: string, asked: Asked = {}): Promise<RunResult> {
    const message = wazuh4Message({ srcip, ...asked, command: 'add' });
    return this.#startWith(message + answerLine(message, asked.answer ?? 'continue'));
  }

  startDelete(srcip: string, asked: Asked = {}): Promise<RunResult> {
    return this.#startWith(wazuh4Message({ srcip, ...asked, command: 'delete' }));
  }

  startEnable(srcip: string, fields: Wazuh5Fields = {}): Promise<RunResult> {
    const message = wazuh5Message({ ...fields, srcip, command: 'enable' });
    return this.#startWith(message + answerLine(message, 'continue'));
  }

  /**
   * Returns the bans in the state. Starting the executable would cost more; person-views checks `list --json` against
   * this.
   */
  bans(): readonly ListedBan[] {
    return readBans(this.host.pid);
  }

  banOn(address: string): ListedBan | undefined {
    return this.bans().find((ban) => ban.address === address);
  }

  /** Makes every hold on these addresses expire. */
  endTime(...addresses: readonly string[]): void {
    endTimeOf(this.host.pid, addresses);
  }

  rules(address: string): string[] {
    return this.host.rulesFor(address);
  }

  /** Returns every rule of both families, as iptables-save lists them. */
  allRules(): string[] {
    const saved = this.host.must(['bash', '-c', 'iptables-save && ip6tables-save']);
    return linesOf(saved).filter((line) => line.startsWith('-A'));
  }

  /** Returns the lines of active-responses.log. */
  log(): string[] {
    return linesOf(this.#read(this.agent.log));
  }

  /** Returns the messages in firewall-drop.log. */
  troubles(): string[] {
    const lines = linesOf(this.#read(`${this.agent.home}/logs/firewall-drop.log`));
    return lines.map((line) => (JSON.parse(line) as Trouble).msg);
  }

  configure(toml: string): void {
    this.host.mkdir(dirname(CONFIG_FILE));
    this.host.writeFile(CONFIG_FILE, toml, { mode: '0644' });
  }

  /** Writes ar.conf with one line for each number of seconds. */
  setTimeouts(...seconds: readonly number[]): void {
    const lines = seconds.map((each) => `firewall-drop${each} - firewall-drop - ${each}\n`);
    this.host.writeFile(`${this.agent.home}/etc/shared/ar.conf`, lines.join(''));
  }

  setOssecConf(inner: string): void {
    const text = `<ossec_config>\n${inner}\n</ossec_config>\n`;
    this.host.writeFile(`${this.agent.home}/etc/ossec.conf`, text);
  }

  flushRules(): void {
    this.host.must(['bash', '-c', FLUSH_RULES]);
  }

  /** Resets the host: an empty kernel, no state, no logs, no configuration. */
  reset(): void {
    const { home } = this.agent;
    flushKernel(this.host);
    this.host.remove(
      STATE_DIRECTORY,
      '/run/firewall-drop/unsaved',
      dirname(CONFIG_FILE),
      `${home}/etc/shared/ar.conf`,
      `${home}/etc/ossec.conf`,
      `${home}/logs/active-responses.log`,
      `${home}/logs/firewall-drop.log`,
    );
  }

  dispose(): Promise<void> {
    return this.host.dispose();
  }

  #startWith(input: string): Promise<RunResult> {
    const running = this.start();
    running.say(input);
    running.hangUp();
    return running.ended;
  }

  #watch(work: () => RunResult): Response {
    const before = this.log().length;
    const beganMs = performance.now();
    const result = work();
    const durationMs = performance.now() - beganMs;
    return { ...result, durationMs, lines: this.log().slice(before) };
  }

  /**
   * Reads a file without entering the namespaces if possible, which is faster. Returns an empty text if it is not a
   * regular file.
   */
  #read(path: string): string {
    const direct = `/proc/${this.host.pid}/root${path}`;
    try {
      // Reading a FIFO would block, and a link would lead out of the host.
      return lstatSync(direct).isFile() ? readFileSync(direct, 'utf8') : '';
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      return this.host.run(['cat', '--', path]).stdout;
    }
  }
}

function answerLine(message: string, answer: NonNullable<Asked['answer']>): string {
  if (answer === 'none') return '';
  return typeof answer === 'string' ? answerTo(message, answer) : answer.raw;
}

async function resultOf(child: ChildProcess): Promise<RunResult> {
  if (child.stdout === null || child.stderr === null) throw new Error('no pipes to read from');
  const [stdout, stderr] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    // `exit` can come before the pipes are empty.
    once(child, 'close'),
  ]);
  return { status: child.exitCode, signal: child.signalCode, stdout, stderr };
}

function linesOf(content: string): string[] {
  return content.split('\n').filter((line) => line !== '');
}

/** Returns a pattern for a line of active-responses.log in the format of firewall-drop.sh. */
export function ossecLine(
  verb: string,
  address: string,
  {
    home = '/var/ossec',
    name = 'firewall-drop.sh',
    alertId = String.raw`\d+\.\d+`,
    ruleId = String.raw`\d+`,
    zone = 'UTC',
  } = {},
): RegExp {
  const date = String.raw`(?:Sun|Mon|Tue|Wed|Thu|Fri|Sat) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d ${zone} \d{4}`;
  const literal = (each: string): string => each.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const path = literal(`${home}/active-response/bin/${name}`);
  return new RegExp(`^${date} ${path} ${verb} - ${literal(address)} ${alertId} ${ruleId}$`);
}

/** Removes the ends of bans from the output of `add`. */
export function withoutEnds(text: string): string {
  return text.replace(/ until .*$/gm, '');
}

// The agent's side of execd's messages. Each message gets a complete response on the host of a `Workshop`.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../../src/config/parse.ts';
import { formatProblem } from '../../../src/config/toml.ts';
import type { Config } from '../../../src/config/schema.ts';
import { expireDue } from '../../../src/bans/expire.ts';
import { AppError } from '../../../src/model/errors.ts';
import { parseGroupPolicy, type GroupPolicy } from '../../../src/config/group-policy.ts';
import { NO_GROUP_POLICY } from '../../../src/config/read.ts';
import { entriesFrom, findProtection, universalEntries } from '../../../src/policy/protected.ts';
import { UTC } from '../../../src/system/zone.ts';
import { NO_SETTINGS } from '../../../src/wazuh/agent-config.ts';
import {
  respondToArguments,
  respondToMessage,
  type AlertContext,
} from '../../../src/wazuh/respond.ts';
import { ResponseLogFile } from '../../../src/wazuh/response-log.ts';
import type { BackendName } from '../../../src/firewall/select.ts';
import { Workshop } from './workshop.ts';

export interface Alert {
  readonly command?: 'add' | 'delete';
  readonly answer?: 'continue' | 'abort';
  readonly arguments?: readonly string[];
  readonly ruleId?: string;
  /** Other fields of the alert. */
  readonly extra?: object;
}

export const PROTECTED = ['198.51.100.1', '2001:db8:0:1::1'];
const ALERT_ID = '1620563486.6306696';

export class Responder {
  readonly host = new Workshop();
  readonly home = mkdtempSync(join(tmpdir(), 'home-'));
  config: Config = parseConfig('', 'config.toml').config;
  group: GroupPolicy = NO_GROUP_POLICY;
  timeouts: readonly number[] = [600];
  backend: BackendName = 'iptables';
  /** The output for execd. */
  written = '';

  constructor() {
    mkdirSync(join(this.home, 'logs'));
  }

  close(): void {
    rmSync(this.home, { recursive: true });
    this.host.close();
  }

  configure(toml: string): void {
    const { config, problems } = parseConfig(toml, 'config.toml');
    if (problems.length > 0) throw new Error(problems[0]?.message);
    this.config = config;
  }

  configureGroup(toml: string): readonly string[] {
    const { value, problems } = parseGroupPolicy(toml, 'firewall-drop.toml');
    this.group = value;
    return problems.map(formatProblem);
  }

  /** Responds to a message. Returns the exit status. */
  say(message: object, answer: 'continue' | 'abort' = 'continue'): number {
    const lines = [JSON.stringify(message), JSON.stringify({ command: answer })];
    const reader = {
      readLine: () => {
        const line = lines.shift();
        return line === undefined ? null : Buffer.from(line);
      },
      rest: () => Buffer.alloc(0),
    };
    const write = (text: string): void => {
      this.written += text;
    };
    return this.#statusOf(() => {
      respondToMessage(this.context(), { reader, write });
    });
  }

  alert(srcip: string, alert: Alert = {}): number {
    const { command = 'add', ruleId = '5710', extra = {} } = alert;
    const rule = { id: ruleId, level: 5, groups: ['sshd'], description: 'why' };
    const parameters = {
      extra_args: alert.arguments ?? [],
      alert: { id: ALERT_ID, rule, agent: { name: 'web01' }, data: { srcip }, ...extra },
    };
    return this.say({ version: 1, command, parameters }, alert.answer);
  }

  ossec(action: 'add' | 'delete', srcip: string): number {
    return this.#statusOf(() => {
      respondToArguments(this.context(), [action, '-', srcip, ALERT_ID, '5710']);
    });
  }

  /** Advances the time and expires bans. */
  wait(seconds: number): void {
    this.host.nowMs += seconds * 1000;
    expireDue(this.context());
  }

  /** Returns the holds on an address or network as `origin:seconds left`, sorted by origin. */
  holds(text: string): string[] {
    const ban = this.host
      .openStore()
      .bans.list()
      .find(({ address }) => address.text === text);
    const holds = (ban?.holds ?? []).map(({ origin, expiresAtMs }) => {
      const left = expiresAtMs === null ? 'never' : (expiresAtMs - this.host.nowMs) / 1000;
      return `${origin}:${left}`;
    });
    return holds.sort();
  }

  banned(): string[] {
    return this.host
      .openStore()
      .bans.list()
      .map(({ address }) => address.text);
  }

  /** Returns the verb and the address of each line of the response log. */
  lines(): string[] {
    try {
      const text = readFileSync(join(this.home, 'logs/active-responses.log'), 'utf8').trimEnd();
      return text.split('\n').map((line) => {
        return /\.sh (\S+ - \S+) /.exec(line)?.[1]?.replace(' - ', ' ') ?? line;
      });
    } catch {
      return [];
    }
  }

  context(): AlertContext {
    const { host, home, config } = this;
    const { addressFields, wazuh5Fields } = config.alert;
    const names = { name: 'firewall-drop', programName: 'firewall-drop.sh' };
    const context = host.newRun(this.backend);
    return {
      ...context,
      countsOffences: config.escalation.timeouts.length > 0,
      responseLog: new ResponseLogFile({
        format: () => ({ kind: 'ossec', home, ...names, zone: UTC, addressFields, wazuh5Fields }),
        home,
        now: () => host.nowMs,
        onTrouble: (error) => host.warnings.push(error.message),
      }),
      place: { home, name: 'firewall-drop' },
      config,
      deadline: { remainingMs: () => 20_000 },
      timeouts: () => this.timeouts,
      settings: () => NO_SETTINGS,
      groupPolicy: () => this.group,
      protectionOf: (address) =>
        findProtection(address, [
          ...universalEntries(),
          ...entriesFrom([...PROTECTED, ...this.group.allow], 'protected here'),
        ]),
      lock: () => null,
      recover: () => undefined,
      expire: () => {
        expireDue(context);
        context.store.metadata.flush();
      },
    };
  }

  #statusOf(work: () => void): number {
    try {
      work();
      return 0;
    } catch (error) {
      if (error instanceof AppError) return error.exitStatus;
      throw error;
    }
  }
}

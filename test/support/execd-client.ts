/** Drives the execd stand-in from a test. */
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type JsonObject, ossecArguments, wazuh4Object, wazuh5Object } from './alerts.ts';
import type { AddReport, DeleteReport, Mode, Order, Report } from './execd-protocol.ts';
import type { TestHost } from './host.ts';
import { TEST_PROGRAM_ENVIRONMENT } from './namespaces.ts';
import { eventually } from './wait.ts';

export interface ExecdOptions {
  readonly mode?: Mode;
  readonly home?: string;
  /** Of the executable in active-response/bin. */
  readonly name?: string;
  /** How often timeouts are looked at: each second, by OSSEC every 90. */
  readonly checkEveryMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

interface AlertOptions {
  /** 0, the default: never released. May be a fraction. */
  readonly timeoutSeconds?: number;
  readonly name?: string;
  readonly alertId?: string;
  readonly ruleId?: string;
  readonly extraArguments?: readonly string[];
}

export interface Execd {
  readonly pid: number;
  /** All that it has reported so far: a live array that grows. */
  readonly reports: readonly Report[];
  /** An address; or a whole alert (`wazuh4`: of `parameters`, `wazuh5`: the message). */
  alert(offender: string | JsonObject, options?: AlertOptions): Promise<AddReport>;
  /** Wazuh 4 has had alerts on these, and their bans are there. */
  know(addresses: readonly string[], timeoutSeconds: number): Promise<void>;
  /** The keys on its timeout list. */
  pending(): Promise<readonly string[]>;
  /** Lets the time of all that is pending be over, so that the next look at the timeouts releases it. */
  expire(): void;
  /** Waits until the last that happened to an address is its release. */
  released(address: string): Promise<DeleteReport>;
  /** As an agent's stop does, and returns the releases that it made of it. */
  stop(): Promise<readonly DeleteReport[]>;
  /** kill -9: it forgets all that was pending. */
  kill(): Promise<void>;
}

export async function startExecd(host: TestHost, options: ExecdOptions = {}): Promise<Execd> {
  const { mode = 'wazuh4', home = '/var/ossec', name = 'firewall-drop' } = options;
  const { checkEveryMs = mode === 'ossec' ? 90_000 : 1000, env } = options;
  const flags = ['--mode', mode, '--home', home, '--check-every-ms', String(checkEveryMs)];
  const child = host.spawn([process.execPath, join(import.meta.dirname, 'execd.ts'), ...flags], {
    cwd: home,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...TEST_PROGRAM_ENVIRONMENT, ...env },
  });
  const { stdin, stdout, pid } = child;
  if (!stdin || !stdout || pid === undefined) throw new Error('execd did not start');
  const reports: Report[] = [];
  createInterface({ input: stdout }).on('line', (line) => reports.push(JSON.parse(line) as Report));

  let orders = 0;
  const order = (it: Order): void => void stdin.write(`${JSON.stringify(it)}\n`);
  const reported = <R extends Report>(
    what: string,
    find: (report: Report) => report is R,
  ): Promise<R> => eventually(what, () => reports.find(find));
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    // Not `exit`: the last reports may still be in the pipe.
    const closed = once(child, 'close');
    child.kill(signal);
    await closed;
  };

  const pending = async (): Promise<readonly string[]> => {
    const id = ++orders;
    order({ do: 'list', id });
    const ours = (it: Report): it is Extract<Report, { report: 'list' }> =>
      it.report === 'list' && it.id === id;
    return (await reported("execd's timeout list", ours)).keys;
  };

  await eventually('execd to be ready', () => reports.some(({ report }) => report === 'ready'));
  return {
    pid,
    reports,
    alert: (offender, details = {}) => {
      const id = ++orders;
      const { timeoutSeconds = 0 } = details;
      const executable = details.name ?? name;
      const message = messageAbout(mode, offender, { timeoutSeconds, executable, ...details });
      order({ do: 'alert', id, name: executable, timeoutSeconds, message });
      const ours = (it: Report): it is AddReport => it.report === 'add' && it.id === id;
      return reported(`execd's report on alert ${id}`, ours);
    },
    know: async (addresses, timeoutSeconds) => {
      for (const address of addresses) {
        const message = wazuh4Object({ srcip: address });
        order({ do: 'know', address, name, timeoutSeconds, message });
      }
      await pending();
    },
    pending,
    expire: () => {
      order({ do: 'expire' });
    },
    released: (address) => {
      const concerns = (it: Report): it is AddReport | DeleteReport =>
        (it.report === 'add' || it.report === 'delete') && it.key.endsWith(`-${address}`);
      const lastIsRelease = (): DeleteReport | undefined => {
        const last = reports.filter(concerns).at(-1);
        return last?.report === 'delete' ? last : undefined;
      };
      return eventually(`execd's release of ${address}`, lastIsRelease);
    },
    stop: async () => {
      const seen = reports.length;
      await end('SIGTERM');
      return reports.slice(seen).filter((it) => it.report === 'delete');
    },
    kill: () => end('SIGKILL'),
  };
}

function messageAbout(
  mode: Mode,
  offender: string | JsonObject,
  details: AlertOptions & { readonly timeoutSeconds: number; readonly executable: string },
): JsonObject | readonly string[] {
  const ids = {
    ...(details.alertId !== undefined && { alertId: details.alertId }),
    ...(details.ruleId !== undefined && { ruleId: details.ruleId }),
  };
  const { extraArguments = [] } = details;
  if (typeof offender !== 'string') {
    if (mode === 'ossec') throw new Error('OSSEC hands over an address, not an alert');
    return mode === 'wazuh4' ? wazuh4Object({ alert: offender, extraArguments }) : offender;
  }
  const { timeoutSeconds, executable } = details;
  const type = timeoutSeconds > 0 ? 'stateful' : 'stateless';
  switch (mode) {
    case 'wazuh4':
      return wazuh4Object({ srcip: offender, ...ids, extraArguments });
    case 'wazuh5':
      return wazuh5Object({ srcip: offender, executable, type, timeoutSeconds, extraArguments });
    case 'ossec':
      return ossecArguments({ srcip: offender, ...ids }).slice(1);
  }
}

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
  /** The name of the executable in active-response/bin. */
  readonly name?: string;
  /** The interval of timeout checks: one second by default, 90 with OSSEC. */
  readonly checkEveryMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

interface AlertOptions {
  /** 0, the default, means that the address is never released. Can be a fraction. */
  readonly timeoutSeconds?: number;
  readonly name?: string;
  readonly alertId?: string;
  readonly ruleId?: string;
  readonly extraArguments?: readonly string[];
}

export interface Execd {
  readonly pid: number;
  /** All reports so far: a live array that grows. */
  readonly reports: readonly Report[];
  /**
   * Raises an alert. `offender` is an address, or a whole alert (`wazuh4`: as in `parameters`; `wazuh5`: the message).
   */
  alert(offender: string | JsonObject, options?: AlertOptions): Promise<AddReport>;
  /** Puts addresses on the timeout list of Wazuh 4 as if it had had alerts for them. Their bans must exist. */
  know(addresses: readonly string[], timeoutSeconds: number): Promise<void>;
  /** Returns the keys on the timeout list. */
  pending(): Promise<readonly string[]>;
  /** Makes all entries of the timeout list expire at the next timeout check. */
  expire(): void;
  /** Waits until the last event of an address is its release. */
  released(address: string): Promise<DeleteReport>;
  /** Ends execd as an agent's stop does. Returns the releases that this causes. */
  stop(): Promise<readonly DeleteReport[]>;
  /** Ends execd with kill -9, so that it forgets its timeout list. */
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
    // At `exit`, the last reports can still be in the pipe.
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
    if (mode === 'ossec') throw new Error('OSSEC passes an address instead of an alert');
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

/** A host on which runs are killed, with the runs and with broken firewall programs. */
import { basename } from 'node:path';
import { answerTo, ossecArguments, wazuh4Message } from '../support/alerts.ts';
import { faultBinary } from '../support/binary.ts';
import type { TestHost } from '../support/host.ts';
import type { BackendName } from '../support/kernel.ts';
import { SAVED_RULES } from '../support/snapshot.ts';
import { changeState, type Entry } from '../support/state.ts';
import { createVictim, type Run, type Victim } from '../support/victim.ts';

interface Offence {
  readonly srcip: string;
  readonly alertId: string;
}

export const asPerson = (...args: readonly string[]): Run => ({ args, input: '' });

export function wazuhAdd(offence: Offence, answer: 'continue' | 'abort' = 'continue'): Run {
  const message = wazuh4Message(offence);
  return { args: [], input: message + answerTo(message, answer) };
}

export function wazuhDelete(offence: Offence): Run {
  return { args: [], input: wazuh4Message({ ...offence, command: 'delete' }) };
}

export function ossec(command: 'add' | 'delete', offence: Offence): Run {
  return asPerson(...ossecArguments({ ...offence, command }));
}

/** Returns the entries of the response log, oldest first. */
export function readLog(victim: Victim): Entry[] {
  return victim.log().flatMap((line) => {
    const words = line.split(' ');
    const at = words.indexOf('-');
    const [verb = '', , address = '', alertId = ''] = words.slice(at - 1);
    return at < 1 ? [] : [{ verb, address, alertId }];
  });
}

/**
 * The programs that every change needs. For iptables, these are Debian's links, because the program behind them is also
 * needed by the tests.
 */
const CHANGERS: Readonly<Record<BackendName, readonly string[]>> = {
  iptables: ['/etc/alternatives/iptables-restore', '/etc/alternatives/ip6tables-restore'],
  ipset: ['/usr/sbin/ipset'],
  nftables: ['/usr/sbin/nft'],
};
const BROKEN_PROGRAM = '/run/broken';
const BROKEN = String.raw`#!/bin/bash
input=$([[ -p /dev/stdin || -S /dev/stdin ]] && cat)
[[ "$*"$'\n'$input =~ (^|$'\n')(-[AID]|add|destroy|delete) ]] && exit 1
exec -a "$0" "/run/real-$(basename "$0")" "$@" <<<"$input"
`;

export class Stage {
  readonly victim: Victim;
  readonly #repairs: (readonly string[])[] = [];

  constructor(victim: Victim) {
    this.victim = victim;
  }

  /** Makes every change of the kernel through this backend fail. Commands that only read work. */
  breakFirewall(backend: BackendName): void {
    const { host } = this.victim;
    host.writeFile(BROKEN_PROGRAM, BROKEN, { mode: '0755' });
    for (const path of CHANGERS[backend]) {
      host.must(['cp', '--', path, `/run/real-${basename(path)}`]);
      this.#repairs.push(layOver(host, path));
    }
  }

  repairFirewall(): void {
    for (const command of this.#repairs.splice(0)) this.victim.host.must(command);
  }

  /** Resets the host to its initial state. */
  reset(): void {
    this.repairFirewall();
    this.victim.reset();
    this.victim.host.remove(SAVED_RULES);
  }

  /** Simulates an add, a save of the rules, a delete, and a boot that loads the saved rules again. */
  bringBackSaved(release: () => void): void {
    const { host } = this.victim;
    const hourMs = 3_600_000;
    const uptimeMs = Number(host.readFile('/proc/uptime').split(' ')[0]) * 1000;
    const bootMs = Date.now() - uptimeMs;
    const four = `${SAVED_RULES}/rules.v4`;
    const six = `${SAVED_RULES}/rules.v6`;
    host.mkdir(SAVED_RULES);
    host.must(['bash', '-c', `iptables-save >${four}; ip6tables-save >${six}`]);
    release();
    host.must(['bash', '-c', `iptables-restore <${four}; ip6tables-restore <${six}`]);
    host.must(['touch', '-d', `@${(bootMs - 2 * hourMs) / 1000}`, four, six]);
    changeState(host.pid, (database) => {
      const date = database.prepare('UPDATE history SET at_ms = ? WHERE verb = ?');
      date.run(bootMs - 3 * hourMs, 'add');
      date.run(bootMs - hourMs, 'delete');
      database.exec(
        "UPDATE facts SET value = 'an earlier one' WHERE name LIKE 'boot of the last look%'",
      );
    });
  }
}

/** Makes a host with the binary that can kill itself at each step. */
export async function createStage(binary = faultBinary()): Promise<Stage> {
  return new Stage(await createVictim({ binary }));
}

/** Installs the broken program, and returns the command that restores the original one. */
function layOver(host: TestHost, path: string): string[] {
  if (!path.startsWith('/etc/')) {
    host.must(['mount', '--bind', BROKEN_PROGRAM, path]);
    return ['umount', path];
  }
  const link = host.must(['readlink', path]).trim();
  host.symlink(BROKEN_PROGRAM, path);
  return ['ln', '-sfn', link, path];
}

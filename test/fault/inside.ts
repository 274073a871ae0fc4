/** Starts a program of these tests inside a host, where it needs to enter nothing for each of its many steps. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../support/host.ts';

const ROOT = join(__dirname, '../..');

export const FAULT_BINARY = join(ROOT, 'bin/firewall-drop-fault');

/** Less than after which the watchdog of test/support/environment.mjs kills the process. */
const TIMEOUT_MS = 23 * 60_000;

/** What the program prints last, which is a line of JSON. */
export function runInside(host: Host, program: string, order: object): unknown {
  const argv = [process.execPath, '--no-warnings', join(__dirname, program), JSON.stringify(order)];
  const lines = host.must(argv, { timeoutMs: TIMEOUT_MS }).trimEnd().split('\n');
  return JSON.parse(lines.at(-1) ?? '');
}

export function requireFaultBuild(): void {
  if (!existsSync(FAULT_BINARY)) throw new Error('run npm run build -- --fault first');
}

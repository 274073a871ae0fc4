/** Starts a program of these tests inside a host, where it needs to enter nothing for each of its many steps. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../support/host.ts';

const ROOT = join(__dirname, '../..');

export const FAULT_BINARY = join(ROOT, 'bin/firewall-drop-fault');

/** What the program prints, which is JSON. */
export function runInside(host: Host, program: string, order: object): unknown {
  const node = join(ROOT, 'node_modules/.bin/node');
  const argv = [node, '--no-warnings', join(__dirname, program), JSON.stringify(order)];
  return JSON.parse(host.must(argv, { timeoutMs: 280_000 }));
}

export function requireFaultBuild(): void {
  if (!existsSync(FAULT_BINARY)) throw new Error('run npm run build -- --fault first');
}

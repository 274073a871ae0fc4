// Detects running services by their files under /run.
import { lstatSync } from 'node:fs';

/** A directory that exists if systemd runs on this host (sd_booted(3)). */
export const SYSTEMD_RUNS = '/run/systemd/system';

/**
 * Reports whether firewalld is active. systemd (since version 237) keeps a dangling symbolic link for each active unit;
 * without systemd, the daemon writes a file with its process id.
 */
export function isFirewalldActive(): boolean {
  const signs = ['/run/systemd/units/invocation:firewalld.service', '/run/firewalld.pid'];
  return signs.some((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

// Which services run on this host, by files that they leave under /run.
import { lstatSync } from 'node:fs';

/** Is there where systemd runs on this host, sd_booted(3). */
export const SYSTEMD_RUNS = '/run/systemd/system';

/**
 * systemd keeps a link, to nothing, for each unit that is active (since version 237, org.freedesktop.systemd1 knows more
 * and has to be asked); without systemd a daemon leaves its process id.
 */
export function isFirewalldActive(): boolean {
  const signs = ['/run/systemd/units/invocation:firewalld.service', '/run/firewalld.pid'];
  return signs.some((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

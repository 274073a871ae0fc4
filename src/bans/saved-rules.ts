// Reads the files of saved rules that distributions load at boot.
import type { SavedFile } from './orphans.ts';
import type { Config } from '../config/schema.ts';
import { describeError } from '../model/errors.ts';
import { optionalChainsOf } from '../firewall/select.ts';
import { heldBy, readRules } from '../firewall/iptables/rules.ts';
import { readRegularFile } from '../system/files.ts';
import { isWritableByOthers, lstatOrNull } from '../system/paths.ts';

export const SAVED_RULES: readonly string[] = [
  '/etc/iptables/rules.v4',
  '/etc/iptables/rules.v6',
  '/etc/sysconfig/iptables',
  '/etc/sysconfig/ip6tables',
];

const LARGEST_SAVED = 64 * 1024 * 1024;

/**
 * Reads saved rules, from files that only root can write, since others prove nothing. Reports files that can't be read
 * and skips them.
 */
export function readSavedFiles({ firewall }: Config, warn: (problem: string) => void): SavedFile[] {
  return SAVED_RULES.flatMap((path) => {
    const stats = lstatOrNull(path);
    if (stats?.isFile() !== true || stats.uid !== 0 || isWritableByOthers(stats)) return [];
    try {
      const { rules } = readRules(readRegularFile(path, LARGEST_SAVED).toString('utf8'));
      const held = heldBy(rules, [...firewall.chains, ...optionalChainsOf(firewall)]);
      return [{ path, savedMs: stats.mtimeMs, held }];
    } catch (error) {
      warn(`${path} can't be read: ${describeError(error)}`);
      return [];
    }
  });
}

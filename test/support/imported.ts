/** Makes bans as if alerts had made them, with one run. */
import type { Victim } from './victim.ts';

/** Imports bans. execd has no record of them; see `know` in execd-client.ts. */
export function importBans(
  { host, agent }: Victim,
  addresses: readonly string[],
  timeoutSeconds: number,
): void {
  const input = addresses.map((address) => exported(address, timeoutSeconds)).join('');
  host.must([agent.program(), 'import', '-'], { input });
}

/** Returns a line of `firewall-drop export` for a ban that an alert made. */
function exported(address: string, timeoutSeconds: number): string {
  const nowMs = Date.now();
  const [since, expires] = [nowMs, nowMs + timeoutSeconds * 1000].map((ms) => new Date(ms));
  const ids = { alertId: '1600000000.1', ruleId: '5710' };
  const hold = { origin: 'wazuh', since, expires, ...ids, reason: '', forced: false };
  return `${JSON.stringify({ address, holds: [hold] })}\n`;
}

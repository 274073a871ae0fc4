/** Bans as so many alerts would have made them, by one run. */
import type { Victim } from './victim.ts';

/** Execd does not know of them: see `know` of execd-client.ts. */
export function importBans(
  { host, agent }: Victim,
  addresses: readonly string[],
  timeoutSeconds: number,
): void {
  const input = addresses.map((address) => exported(address, timeoutSeconds)).join('');
  host.must([agent.program(), 'import', '-'], { input });
}

/** A line of `firewall-drop export` for a ban that an alert began. */
function exported(address: string, timeoutSeconds: number): string {
  const nowMs = Date.now();
  const [since, expires] = [nowMs, nowMs + timeoutSeconds * 1000].map((ms) => new Date(ms));
  const ids = { alertId: '1600000000.1', ruleId: '5710' };
  const hold = { origin: 'wazuh', since, expires, ...ids, reason: '', forced: false };
  return `${JSON.stringify({ address, holds: [hold] })}\n`;
}

// Keeps our own log from growing for ever, by the host's logrotate: the agent rotates only its own.
import { existsSync } from 'node:fs';
import { ownerText } from '../../system/accounts.ts';
import { statOrNull, textOrNull } from '../../system/paths.ts';
import { textFor, type Installed } from './packaged.ts';
import { stepToWrite, type Step } from './steps.ts';

const DIRECTORY = '/etc/logrotate.d';
export const ROTATION_FILE = `${DIRECTORY}/firewall-drop`;
/** As the packaged file has it, which is written for Wazuh 4.3 and later. */
const PACKAGED_OWNER = 'wazuh wazuh';

/** None where logrotate is not, or the owner of the logs has no name: logrotate takes no numbers, and would fail as a whole. */
export function stepsToRotate(installed: Installed): Step[] {
  const logs = statOrNull(`${installed.home}/logs`);
  if (logs === null) return [];
  const owner = ownerText(logs.uid, logs.gid).replace(':', ' ');
  if (!existsSync(DIRECTORY) || /^\d+ | \d+$/.test(owner)) return [];
  const text = textFor('firewall-drop.logrotate', installed).replaceAll(PACKAGED_OWNER, owner);
  const state = `${ROTATION_FILE} has our log rotated as ${owner.replace(' ', ':')}`;
  // What an administrator made of it stays.
  const holds = (): boolean => textOrNull(ROTATION_FILE)?.includes(installed.home) === true;
  return [stepToWrite(ROTATION_FILE, text, state, holds)];
}

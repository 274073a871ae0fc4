// Keeps our own log from growing for ever, by the host's logrotate: the agent rotates only its own.
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { ownerText } from '../../system/accounts.ts';
import { textFor, type Installed } from './packaged.ts';
import { stepToRemove, type Step } from './steps.ts';

const DIRECTORY = '/etc/logrotate.d';
const FILE = `${DIRECTORY}/firewall-drop`;
/** As the packaged file has it, which is written for Wazuh 4.3 and later. */
const PACKAGED_OWNER = 'wazuh wazuh';

/** None where logrotate is not, or the owner of the logs has no name: logrotate takes no numbers, and would fail as a whole. */
export function stepsToRotate(installed: Installed): Step[] {
  const logs = statSync(`${installed.home}/logs`, { throwIfNoEntry: false });
  if (logs === undefined) return [];
  const owner = ownerText(logs.uid, logs.gid).replace(':', ' ');
  if (!existsSync(DIRECTORY) || /^\d+ | \d+$/.test(owner)) return [];
  const text = textFor('firewall-drop.logrotate', installed).replaceAll(PACKAGED_OWNER, owner);
  return [
    {
      state: `${FILE} has our log rotated as ${owner.replace(' ', ':')}`,
      // What an administrator made of it stays.
      holds: () => existsSync(FILE) && readFileSync(FILE, 'utf8').includes(installed.home),
      reach: () => {
        writeFileSync(FILE, text);
        // logrotate passes over a file that others may write.
        chmodSync(FILE, 0o644);
      },
    },
  ];
}

export function stepToStopRotation(): Step {
  return stepToRemove(FILE);
}

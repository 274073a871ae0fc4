// What the program needs beside itself: its configuration, the directory of its state, and the logs in the agent's home, of
// which the host's logrotate rotates ours: the agent rotates only its own.
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { CONFIG_FILE } from '../../config/read.ts';
import { STATE_DIRECTORY } from '../../context.ts';
import { ownerText } from '../../system/accounts.ts';
import { openLogForAppend } from '../../system/files.ts';
import { modeText, statOrNull, textOrNull } from '../../system/paths.ts';
import { packagedText, textFor, type Installed } from '../packaged.ts';
import { stepToWrite, type Step } from './steps.ts';

export function stepsToFurnish(home: string): Step[] {
  const log = `${home}/logs/active-responses.log`;
  return [
    {
      state: `${CONFIG_FILE} is there, with every key explained`,
      holds: () => fs.existsSync(CONFIG_FILE),
      reach: () => {
        fs.mkdirSync(dirname(CONFIG_FILE), { recursive: true, mode: 0o755 });
        fs.chmodSync(dirname(CONFIG_FILE), 0o755);
        fs.writeFileSync(CONFIG_FILE, packagedText('config.toml'), { flag: 'wx' });
        fs.chmodSync(CONFIG_FILE, 0o644);
      },
    },
    {
      state: `${STATE_DIRECTORY} is there, for root alone`,
      holds: () => modeText(statOrNull(STATE_DIRECTORY) ?? { mode: 0 }) === '0700',
      reach: () => {
        fs.mkdirSync(STATE_DIRECTORY, { recursive: true, mode: 0o700 });
        fs.chmodSync(STATE_DIRECTORY, 0o700);
      },
    },
    {
      state: `${log} is there, for the agent to read`,
      holds: () => fs.existsSync(log),
      reach: () => fs.closeSync(openLogForAppend(log)),
    },
  ];
}

/** Of what is left the log stays: it is the agent's. `purge` removes state and history too, and a config that was edited. */
export function stepsToClear(purge: boolean): Step[] {
  const isUntouched = (): boolean =>
    fs.readFileSync(CONFIG_FILE, 'utf8') === packagedText('config.toml');
  return [
    {
      state: `${CONFIG_FILE} is gone`,
      holds: () => !fs.existsSync(CONFIG_FILE) || !(purge || isUntouched()),
      reach: () => {
        fs.rmSync(CONFIG_FILE);
        const directory = dirname(CONFIG_FILE);
        if (fs.readdirSync(directory).length === 0) fs.rmdirSync(directory);
      },
    },
    {
      state: `${STATE_DIRECTORY}, with all history, is gone`,
      holds: () => !purge || !fs.existsSync(STATE_DIRECTORY),
      reach: () => fs.rmSync(STATE_DIRECTORY, { recursive: true }),
    },
  ];
}

const ROTATIONS = '/etc/logrotate.d';
export const ROTATION_FILE = `${ROTATIONS}/firewall-drop`;
/** As the packaged file has it, which is written for Wazuh 4.3 and later. */
const PACKAGED_OWNER = 'wazuh wazuh';

/** None where logrotate is not, or the owner of the logs has no name: logrotate takes no numbers, and would fail as a whole. */
export function stepsToRotate(installed: Installed): Step[] {
  const logs = statOrNull(`${installed.home}/logs`);
  if (logs === null) return [];
  const owner = ownerText(logs.uid, logs.gid).replace(':', ' ');
  if (!fs.existsSync(ROTATIONS) || /^\d+ | \d+$/.test(owner)) return [];
  const text = textFor('firewall-drop.logrotate', installed).replaceAll(PACKAGED_OWNER, owner);
  const state = `${ROTATION_FILE} has our log rotated as ${owner.replace(' ', ':')}`;
  // What an administrator made of it stays.
  const holds = (): boolean => textOrNull(ROTATION_FILE)?.includes(installed.home) === true;
  return [stepToWrite(ROTATION_FILE, text, state, holds)];
}

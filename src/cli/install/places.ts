// The installation steps for what the program needs: its configuration, its state directory, its log, and the log's
// rotation.
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { CONFIG_FILE } from '../../config/read.ts';
import { STATE_DIRECTORY } from '../../context.ts';
import { ownerText } from '../../system/accounts.ts';
import { openLogForAppend } from '../../system/files.ts';
import { modeText, statOrNull, textOrNull } from '../../system/paths.ts';
import { packagedText, textFor, type Installed } from '../packaged.ts';
import { stepToWrite, type Step } from './steps.ts';

export function stepsToPrepare(home: string): Step[] {
  const log = `${home}/logs/active-responses.log`;
  return [
    {
      state: `${CONFIG_FILE} exists, with every key explained`,
      holds: () => fs.existsSync(CONFIG_FILE),
      reach: () => {
        fs.mkdirSync(dirname(CONFIG_FILE), { recursive: true, mode: 0o755 });
        fs.chmodSync(dirname(CONFIG_FILE), 0o755);
        fs.writeFileSync(CONFIG_FILE, packagedText('config.toml'), { flag: 'wx' });
        fs.chmodSync(CONFIG_FILE, 0o644);
      },
    },
    {
      state: `${STATE_DIRECTORY} exists, for root only`,
      holds: () => modeText(statOrNull(STATE_DIRECTORY) ?? { mode: 0 }) === '0700',
      reach: () => {
        fs.mkdirSync(STATE_DIRECTORY, { recursive: true, mode: 0o700 });
        fs.chmodSync(STATE_DIRECTORY, 0o700);
      },
    },
    {
      state: `${log} exists, readable by the agent`,
      holds: () => fs.existsSync(log),
      reach: () => fs.closeSync(openLogForAppend(log)),
    },
  ];
}

/**
 * Returns the steps that remove the configuration and the state. Without `purge`, the state and an edited configuration
 * stay.
 */
export function stepsToClear(purge: boolean): Step[] {
  const isUntouched = (): boolean =>
    fs.readFileSync(CONFIG_FILE, 'utf8') === packagedText('config.toml');
  return [
    {
      state: `${CONFIG_FILE} is removed`,
      holds: () => !fs.existsSync(CONFIG_FILE) || !(purge || isUntouched()),
      reach: () => {
        fs.rmSync(CONFIG_FILE);
        const directory = dirname(CONFIG_FILE);
        if (fs.readdirSync(directory).length === 0) fs.rmdirSync(directory);
      },
    },
    {
      state: `${STATE_DIRECTORY} is removed, with all history`,
      holds: () => !purge || !fs.existsSync(STATE_DIRECTORY),
      reach: () => fs.rmSync(STATE_DIRECTORY, { recursive: true }),
    },
  ];
}

const ROTATIONS = '/etc/logrotate.d';
export const ROTATION_FILE = `${ROTATIONS}/firewall-drop`;
/** The user and group in the packaged file, which is for Wazuh 4.3 and later. */
const PACKAGED_OWNER = 'wazuh wazuh';

/**
 * Returns the step that makes logrotate rotate firewall-drop.log, since the agent rotates only its own logs. Returns
 * none if logrotate is not installed, or if the owner of the logs has no name: logrotate rejects numeric ids and would
 * fail for all files.
 */
export function stepsToRotate(installed: Installed): Step[] {
  const logs = statOrNull(`${installed.home}/logs`);
  if (logs === null) return [];
  const owner = ownerText(logs.uid, logs.gid).replace(':', ' ');
  if (!fs.existsSync(ROTATIONS) || /^\d+ | \d+$/.test(owner)) return [];
  const text = textFor('firewall-drop.logrotate', installed).replaceAll(PACKAGED_OWNER, owner);
  const state = `${ROTATION_FILE} rotates our log as ${owner.replace(' ', ':')}`;
  // Keep a file that an administrator has edited.
  const holds = (): boolean => textOrNull(ROTATION_FILE)?.includes(installed.home) === true;
  return [stepToWrite(ROTATION_FILE, text, state, holds)];
}

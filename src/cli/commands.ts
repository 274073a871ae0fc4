// Lists all commands in the order of the help.
import type { CommandSpec } from './command.ts';
import { completion, man, version } from './commands/about.ts';
import { add } from './commands/add.ts';
import { backend } from './commands/backend.ts';
import { configCheck, configSnippet } from './commands/manager-config.ts';
import { configShow, configValidate } from './commands/config.ts';
import { deleteAddresses, flush } from './commands/delete.ts';
import { doctor } from './commands/doctor.ts';
import { explain } from './commands/explain.ts';
import { extend } from './commands/extend.ts';
import { forgive } from './commands/forgive.ts';
import { history } from './commands/history.ts';
import { install, uninstall } from './commands/install.ts';
import { isBlocked } from './commands/is-blocked.ts';
import { list } from './commands/list.ts';
import { expire, reconcile, restoreCommand } from './commands/maintenance.ts';
import { metrics } from './commands/metrics.ts';
import { exportBans, importBans } from './commands/transfer.ts';
import { protectCheck, protectList } from './commands/protect.ts';
import { status } from './commands/status.ts';
import { testAlert } from './commands/test-alert.ts';

export interface CommandGroup {
  readonly title: string;
  readonly commands: readonly CommandSpec[];
}

export const COMMAND_GROUPS: readonly CommandGroup[] = [
  { title: 'Block and release', commands: [add, deleteAddresses, extend, flush, forgive] },
  { title: 'Inspect', commands: [list, status, isBlocked, history, explain] },
  { title: 'Maintain', commands: [expire, restoreCommand, reconcile, backend, doctor] },
  {
    title: 'Configure',
    commands: [
      protectCheck,
      protectList,
      configShow,
      configValidate,
      configSnippet,
      configCheck,
      testAlert,
    ],
  },
  {
    title: 'Install, migrate and monitor',
    commands: [install, uninstall, exportBans, importBans, metrics],
  },
  { title: 'About this program', commands: [version, man, completion] },
];

export const COMMANDS: readonly CommandSpec[] = COMMAND_GROUPS.flatMap(({ commands }) => commands);

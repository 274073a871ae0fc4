// All commands, in the order of the help.
import type { CommandSpec } from './command.ts';
import { describingCommands } from './commands/about.ts';
import { add } from './commands/add.ts';
import { backend } from './commands/backend.ts';
import { deleteAddresses, flush } from './commands/delete.ts';
import { doctor } from './commands/doctor.ts';
import { configCheck, configSnippet } from './commands/config.ts';
import { explain } from './commands/explain.ts';
import { forgive } from './commands/forgive.ts';
import { history } from './commands/history.ts';
import { install, uninstall } from './commands/install.ts';
import { list } from './commands/list.ts';
import { expire, reconcile, restoreCommand } from './commands/maintenance.ts';
import { metrics } from './commands/metrics.ts';
import { protectCheck, protectList } from './commands/protect.ts';
import { status } from './commands/status.ts';
import { testAlert } from './commands/test-alert.ts';

const WORKING_COMMANDS: readonly CommandSpec[] = [
  add,
  deleteAddresses,
  flush,
  forgive,
  list,
  status,
  history,
  expire,
  restoreCommand,
  reconcile,
  backend,
  protectCheck,
  protectList,
  explain,
  doctor,
  configSnippet,
  configCheck,
  testAlert,
  metrics,
  install,
  uninstall,
];

export const COMMANDS: readonly CommandSpec[] = [
  ...WORKING_COMMANDS,
  ...describingCommands(WORKING_COMMANDS),
];

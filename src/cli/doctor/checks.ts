// All checks, in the order in which they are printed: what execd starts, what it writes to, what it works with.
import { agent, agentFiles, arConf, configuration, responseLog } from './agent.ts';
import { boot, clock, timer } from './schedule.ts';
import { lock, namespace, order, outcomes, store } from './state.ts';
import type { Check } from './check.ts';
import { executable, packageRecord } from './executable.ts';
import { manager } from './manager.ts';
import { connections, kernel, programs, variants } from './firewall.ts';
import { neighbours } from './neighbours.ts';
import { savedRules } from './saved-rules.ts';

export const CHECKS: readonly Check[] = [
  executable,
  packageRecord,
  agent,
  manager,
  arConf,
  agentFiles,
  configuration,
  responseLog,
  store,
  lock,
  namespace,
  ...programs,
  connections,
  variants,
  kernel,
  neighbours,
  savedRules,
  order,
  timer,
  boot,
  clock,
  outcomes,
];

// The manager that an agent reports to: whether we know its address, and so never block it.
import { CONFIG_FILE } from '../../config/read.ts';
import { managerReason } from '../../policy/collect.ts';
import { printable } from '../../system/printable.ts';
import { statOrNull } from '../../system/paths.ts';
import { defineCheck, ok, problem } from './check.ts';

const AGENTDS: readonly string[] = ['wazuh-agentd', 'ossec-agentd'];

export const manager = defineCheck({
  name: 'manager',
  probe: ({ context, processes }) => {
    const { home } = context.place;
    const { managers } = context.settings();
    const known = new Set(context.protectedEntries().map(({ why }) => why));
    return {
      file: `${home}/etc/ossec.conf`,
      /** A manager has none itself. */
      isAgent:
        processes.some(({ name }) => AGENTDS.includes(name)) ||
        AGENTDS.some((name) => statOrNull(`${home}/bin/${name}`) !== null),
      isProtected: context.config.protect.manager,
      managers,
      /** Those whose name has no known address. */
      unknown: managers.filter((name) => !known.has(managerReason(name))),
    };
  },
  evaluate(facts) {
    const { file, isAgent, isProtected, managers, unknown } = facts;
    if (!isProtected || (!isAgent && managers.length === 0)) return [];
    const allow = `name its addresses in protect.allow of ${CONFIG_FILE}`;
    if (managers.length === 0) {
      const what = `${file} names no manager that is known here: its address can be blocked`;
      return [problem(what, allow)];
    }
    if (unknown.length === 0) return [ok(`${printable(managers.join(', '))}: never blocked`)];
    const what = `no address is known of ${printable(unknown.join(', '))}: it can be blocked`;
    return [problem(what, `correct its name, or ${allow}`)];
  },
});

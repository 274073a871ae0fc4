// `backend`: shows which backend holds the bans, and why.
import { inspectBackend, type BackendState } from '../backend-state.ts';
import { defineCommand, outputAs } from '../command.ts';
import { printAnswer } from '../output/json.ts';

export const backend = defineCommand({
  name: 'backend',
  summary: 'Show which backend holds the bans, why, and what else is installed',
  details:
    'With firewall.backend = "auto", also shows what happens beyond firewall.promote_at bans. An interrupted migration is shown until the next run has completed it.',
  options: { output: outputAs('text', 'json') },
  examples: [
    ['backend', 'show whether rules or sets hold the bans'],
    ['backend --json', 'the same for scripts'],
  ],
  run(_words, { output }, person) {
    const state = inspectBackend(person.createContext());
    printAnswer(output, state, describe(state), person);
    return 0;
  },
});

function describe(state: BackendState): string[] {
  const { configured, inUse, why, unfinishedMove: migration, bans, promotion, tools } = state;
  const present = Object.entries(tools).map(([program, is]) => `${program} ${is ? 'yes' : 'no'}`);
  return [
    `configured   ${configured}`,
    `in use       ${inUse}: ${why}`,
    ...(migration === null
      ? []
      : [
          `pending      a migration from ${migration.from} to ${migration.to}; the next run completes it`,
        ]),
    ...(promotion?.to === null ? [`not migrated ${promotion.trouble}`] : []),
    `installed    ${present.join(', ')}`,
    `bans         ${bans}`,
  ];
}

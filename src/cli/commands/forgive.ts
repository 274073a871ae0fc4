// `forgive`: resets the number of earlier bans of an address.
import { readAddress } from '../addresses.ts';
import { CHANGES, defineCommand } from '../command.ts';
import { count } from '../output/count.ts';
import { enterForChange } from '../session.ts';

export const forgive = defineCommand({
  name: 'forgive',
  summary: 'Reset the escalation of an address',
  details:
    'Forgets the earlier bans that escalation counts, so that the next ban counts as the first. A current ban does not end: use delete for that. delete does not reset the escalation.',
  positional: { name: 'address', describe: 'IPv4, IPv6, or a network', count: 'some' },
  examples: [
    ['forgive 203.0.113.9', 'start again with the first timeout'],
    ['delete 203.0.113.9 && firewall-drop forgive 203.0.113.9', 'also end the current ban'],
  ],
  exits: { 0: 'the earlier bans are forgotten', 65: 'an address is invalid', ...CHANGES },
  run(words, _options, person) {
    const addresses = words.map(readAddress);
    const { store } = enterForChange(person);
    for (const address of addresses) {
      person.print(`${address.text}: ${count(store.offences.forgive(address), 'ban')} forgotten`);
    }
    return 0;
  },
});

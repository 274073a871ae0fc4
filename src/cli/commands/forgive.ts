// `forgive`: an address begins anew, as if it had never been banned.
import { readAddress } from '../addresses.ts';
import { CHANGES, defineCommand } from '../command.ts';
import { count } from '../output/count.ts';
import { enterForChange } from '../session.ts';

export const forgive = defineCommand({
  name: 'forgive',
  summary: 'Forget the earlier bans of an address, which escalation counts',
  details:
    'The next ban is then the first again. A ban that goes on does not end: that is what delete is for, which in turn does not reset the count.',
  positional: { name: 'address', describe: 'IPv4, IPv6, or a network', count: 'some' },
  examples: [
    ['forgive 203.0.113.9', 'start again with the first timeout'],
    ['delete 203.0.113.9 && firewall-drop forgive 203.0.113.9', 'and let it in at once'],
  ],
  exits: { 0: 'forgotten', 65: "an address can't be read", ...CHANGES },
  run(words, _options, person) {
    const addresses = words.map(readAddress);
    const { store } = enterForChange(person);
    for (const address of addresses) {
      person.print(`${address.text}: ${count(store.offences.forgive(address), 'ban')} forgotten`);
    }
    return 0;
  },
});

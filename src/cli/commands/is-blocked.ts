// `is-blocked`: the question of a script.
import { readAddress } from '../addresses.ts';
import { ANSWER_NO, BANNED, defineCommand } from '../command.ts';
import { examine } from '../verdict.ts';

export const isBlocked = defineCommand({
  name: 'is-blocked',
  summary: 'Answer by the exit status alone whether an address is blocked',
  details:
    "Asks the kernel whether a packet from the address is dropped now. Prints nothing; where it can't be known, standard error says why.",
  positional: { ...BANNED, count: 'one' },
  examples: [
    ['is-blocked 203.0.113.9 && echo yes', 'in a script'],
    ['is-blocked 198.51.100.7 || firewall-drop add 198.51.100.7', 'unless something drops it'],
  ],
  exits: {
    0: 'blocked',
    1: 'not blocked',
    65: "the address can't be read",
    69: "the kernel can't be asked",
  },
  run([word = ''], _options, person) {
    const { verdict } = examine(readAddress(word), person.createContext());
    return verdict.kind === 'dropped' ? 0 : ANSWER_NO;
  },
});

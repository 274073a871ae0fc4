// `is-blocked`: tells a script whether an address is blocked.
import { readAddress } from '../addresses.ts';
import { ANSWER_NO, BANNED, defineCommand } from '../command.ts';
import { examine } from '../verdict.ts';

export const isBlocked = defineCommand({
  name: 'is-blocked',
  summary: 'Test whether an address is blocked, for scripts',
  details:
    'Checks in the kernel whether a packet from the address is dropped now. The exit status is the answer; only errors are printed.',
  positional: { ...BANNED, count: 'one' },
  examples: [
    ['is-blocked 203.0.113.9 && echo yes', 'in a script'],
    ['is-blocked 198.51.100.7 || firewall-drop add 198.51.100.7', 'block it unless it is blocked'],
  ],
  exits: {
    0: 'blocked',
    1: 'not blocked',
    65: 'the address is invalid',
    69: "the kernel can't be queried",
  },
  run([word = ''], _options, person) {
    const { verdict } = examine(readAddress(word), person.createContext());
    return verdict.kind === 'dropped' ? 0 : ANSWER_NO;
  },
});

// `protect check` and `protect list`: show which addresses are never blocked on this host, and why.
import { describeProtection, type ProtectedEntry } from '../../policy/protected.ts';
import { readAddress } from '../addresses.ts';
import { ANSWER_NO, defineCommand, outputAs } from '../command.ts';
import { printAnswer } from '../output/json.ts';
import { formatTable, type Column } from '../output/table.ts';

export const protectCheck = defineCommand({
  name: 'protect check',
  summary: 'Show whether an address is protected, and by which entry',
  details: 'A network counts as protected when it contains a protected address.',
  positional: { name: 'address', describe: 'IPv4, IPv6, or a network', count: 'one' },
  options: { output: outputAs('text', 'json') },
  examples: [
    ['protect check 203.0.113.9', 'show whether an address can be blocked'],
    ['protect check 203.0.113.0/24 --json', 'the same for a network, for scripts'],
  ],
  exits: { 0: 'protected', 1: 'not protected', 65: 'the address is invalid' },
  run([word = ''], { output }, person) {
    const address = readAddress(word);
    const entry = person.createContext().protectionOf(address);
    const answer = entry === null ? 'not protected' : `protected (${describeProtection(entry)})`;
    const document = { address: address.text, entry: entry && entryToJson(entry) };
    printAnswer(output, document, [`${address.text} is ${answer}`], person);
    return entry === null ? ANSWER_NO : 0;
  },
});

const COLUMNS: readonly Column<ProtectedEntry>[] = [
  { heading: 'ADDRESS', cell: ({ network }) => network.text },
  { heading: 'EVEN WITH --force', cell: ({ always }) => (always ? 'yes' : 'no') },
  { heading: 'WHY', cell: ({ why }) => why },
];

export const protectList = defineCommand({
  name: 'protect list',
  summary: 'List all protected addresses and where each comes from',
  details:
    'The entries come from the host, the agent and the configuration, as they are at this moment.',
  options: { output: outputAs('table', 'json') },
  examples: [
    ['protect list', 'show which addresses are never blocked'],
    ['protect list --json', 'the same for scripts'],
  ],
  isLong: () => true,
  run(_words, { output }, person) {
    const entries = person.createContext().protectedEntries();
    const lines = formatTable(COLUMNS, entries, person.terminal);
    printAnswer(output, { entries: entries.map(entryToJson) }, lines, person);
    return 0;
  },
});

function entryToJson({ network, why, always }: ProtectedEntry): unknown {
  return { address: network.text, why, always };
}

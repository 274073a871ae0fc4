// `status`: whether addresses are blocked, by what and why; or an overview.
import { EXIT_STATUS } from '../../model/errors.ts';
import type { Context } from '../../context.ts';
import { readAddress } from '../addresses.ts';
import { defineCommand, outputAs } from '../command.ts';
import { describeOverview, examineHost, overviewToJson } from '../overview.ts';
import type { Person } from '../session.ts';
import { describeFinding, examine, findingToJson } from '../verdict.ts';

const NOT_BLOCKED = 1;
const TO_REPAIR = 1;

export const status = defineCommand({
  name: 'status',
  summary: 'Show whether addresses are blocked, by what and why; or an overview',
  details:
    'With addresses: asks the kernel whether a packet from each is dropped now, by which rule, and shows its holds and history. Without: totals, backend, state, the next expiry, and where state and kernel differ.',
  positional: {
    name: 'address',
    describe: 'IPv4, IPv6, or a network',
    count: 'any',
    offers: 'banned addresses',
  },
  options: { output: outputAs('text', 'json') },
  examples: [
    ['status 203.0.113.9', 'is this customer blocked, since when, by which alert?'],
    ['status --json', 'for monitoring'],
  ],
  exits: {
    0: 'all addresses are blocked; without any: state and kernel agree',
    1: 'an address is not blocked; without any: changes are pending, or rules are missing',
    65: "an address can't be read",
    69: "the kernel can't be asked",
  },
  needsRoot: true,
  run(words, { output }, person) {
    const addresses = words.map(readAddress);
    const context = person.createContext();
    const json = output === 'json';
    if (addresses.length === 0) return printOverview(context, json, person);
    const findings = addresses.map((address) => examine(address, context));
    for (const finding of findings) {
      if (json) person.print(JSON.stringify(findingToJson(finding)));
      else describeFinding(finding, context.now(), person).forEach(person.print);
    }
    return findings.every(({ verdict }) => verdict.kind === 'dropped') ? 0 : NOT_BLOCKED;
  },
});

function printOverview(context: Context, json: boolean, person: Person): number {
  const overview = examineHost(context, person);
  if (json) person.print(JSON.stringify(overviewToJson(overview)));
  else describeOverview(overview, context.now()).forEach(person.print);
  const { drift, unfinished } = overview;
  if (drift === null) return EXIT_STATUS.FIREWALL;
  return drift.steps === 0 && unfinished === 0 ? 0 : TO_REPAIR;
}

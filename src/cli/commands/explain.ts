// `explain`: what would be done about an alert, and why. Touches nothing.
import { readFileSync } from 'node:fs';
import type { Address } from '../../model/address.ts';
import { describeProtection, findProtection } from '../../policy/protected.ts';
import { AppError, describeError, EXIT_STATUS } from '../../model/errors.ts';
import type { Config } from '../../config/schema.ts';
import type { Context } from '../../context.ts';
import { at, isObject, parseJson, type Json } from '../../wazuh/json.ts';
import { readMessage } from '../../wazuh/message.ts';
import type { Request } from '../../wazuh/request.ts';
import { timeoutOf } from '../../wazuh/respond.ts';
import { defineCommand } from '../command.ts';
import { formatDuration } from '../output/duration.ts';
import { printBlock, printUnblock } from '../plan.ts';
import type { Person } from '../session.ts';

const SCHEMA_VERSION = 1;

export const explain = defineCommand({
  name: 'explain',
  summary: 'Say what would be done about an alert, and why',
  details:
    'Reads a whole message as execd sends it, or an alert alone (a line of alerts.json), from a file or standard input. Says the dialect, which field the address was taken from and which were passed over, whether it is protected, its deadline and where that comes from, and as root the steps. Nothing is changed, written or logged.',
  positional: {
    name: 'file',
    describe: 'a file; - or nothing is standard input',
    count: 'optional',
    isFile: true,
  },
  options: { json: { kind: 'flag', describe: 'JSON, see docs/json.md' } },
  examples: [
    ['explain alert.json', 'why is this alert not blocked?'],
    ['explain alert.json --json', 'the same for programs'],
  ],
  needsRoot: false,
  run(words, { json }, person) {
    const context = person.createContext({ readOnly: true });
    const request = readRequest(words[0] ?? '-', context.config);
    const explanation = explainRequest(request, context);
    if (json) person.print(JSON.stringify({ schema: SCHEMA_VERSION, ...explanation }));
    else describe(explanation).forEach(person.print);
    if (explanation.address !== null && explanation.protection === null) {
      if (!json) tryToPlan(request, context, person);
      return 0;
    }
    return EXIT_STATUS.REFUSED;
  },
});

function readRequest(file: string, { alert }: Config): Request {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  } catch (error) {
    throw new AppError('BAD_DATA', `${file} can't be read: ${describeError(error)}`, error);
  }
  return readMessage(Buffer.from(asMessage(text)), alert.addressFields, alert.wazuh5Fields);
}

/** An alert alone becomes the message that Wazuh 4 would make of it; anything else is left to the reader to judge. */
function asMessage(text: string): string {
  let value: Json;
  try {
    value = parseJson(text);
  } catch {
    return text;
  }
  const whole = at(value, 'parameters') !== undefined || at(value, 'wazuh') !== undefined;
  if (whole || !isObject(value)) return text;
  return JSON.stringify({ version: 1, command: 'add', parameters: { alert: value } });
}

interface Explanation {
  readonly dialect: string;
  readonly action: string;
  readonly address: string | null;
  readonly field: string;
  readonly passedOver: readonly string[];
  readonly trouble: string;
  readonly protection: string | null;
  readonly timeoutSeconds: number | null;
  readonly timeoutFrom: string;
  readonly alertId: string | null;
  readonly ruleId: string | null;
  readonly reason: string;
}

function explainRequest(request: Request, context: Context): Explanation {
  const { dialect, action, address, source, alertId, ruleId, reason } = request;
  return {
    dialect,
    action,
    address: address?.text ?? null,
    field: source.field,
    passedOver: source.passedOver,
    trouble: request.addressTrouble,
    protection: action === 'block' && address !== null ? protectionOf(address, context) : null,
    timeoutSeconds: timeoutOf(request, context),
    timeoutFrom: timeoutSource(request, context),
    alertId,
    ruleId,
    reason,
  };
}

function protectionOf(address: Address, context: Context): string | null {
  const entry = findProtection(address, context.protectedEntries());
  return entry === null ? null : describeProtection(entry);
}

function timeoutSource({ timeoutSeconds }: Request, context: Context): string {
  const grace = `plus ${context.config.limits.graceSeconds} s of grace`;
  if (timeoutSeconds === null) return 'the message: stateless, or without a timeout';
  if (timeoutSeconds !== undefined) return `the message's stateful_timeout, ${grace}`;
  const { name } = context.place;
  const own = context.timeouts().filter((timeout) => timeout.executable === name);
  if (own.length === 0) return `ar.conf has no entry for ${name}`;
  if (own.some((timeout) => timeout.seconds === 0)) return `ar.conf has ${name} with timeout 0`;
  const repeated = context.settings().repeatedOffendersMinutes;
  const offenders =
    repeated.length === 0 ? '' : ` and repeated_offenders (${repeated.join(', ')} minutes)`;
  const seconds = own.map((timeout) => `${timeout.seconds} s`).join(', ');
  return `the longest of ar.conf (${seconds})${offenders}, ${grace}`;
}

const DIALECTS: Readonly<Record<string, string>> = {
  wazuh4: 'Wazuh 4',
  wazuh5: 'Wazuh 5',
  ossec: 'OSSEC',
};

function describe(explanation: Explanation): string[] {
  const { dialect, action, address, field, passedOver, trouble, protection, alertId, ruleId } =
    explanation;
  const over =
    passedOver.length === 0 ? '' : ` (passed over, no literal address: ${passedOver.join(', ')})`;
  const lines = [
    `dialect    ${DIALECTS[dialect] ?? dialect}`,
    `action     ${action}`,
    `address    ${address === null ? `none: ${trouble}` : `${address}, from ${field}${over}`}`,
    `alert      ${alertId ?? 'no id of the shape digits.digits: the time of the action stands in'}`,
    `rule       ${ruleId ?? 'no numeric id: 0 stands in'}`,
  ];
  if (address === null || action === 'unblock') return lines;
  const until =
    explanation.timeoutSeconds === null
      ? 'never'
      : `after ${formatDuration(explanation.timeoutSeconds)}`;
  return [
    ...lines,
    `protected  ${protection ?? 'no'}${protection === null ? '' : ': it would be refused'}`,
    `ends       ${until}, from ${explanation.timeoutFrom}`,
  ];
}

function tryToPlan(request: Request, context: Context, person: Person): void {
  const { address, action, dialect } = request;
  if (address === null) return;
  if (process.geteuid?.() !== 0) {
    person.print('steps      only root can ask the kernel what is to be done');
    return;
  }
  const origin = dialect === 'ossec' ? 'ossec' : 'wazuh';
  const timeoutSeconds = timeoutOf(request, context);
  if (action === 'block') printBlock([address], { origin, timeoutSeconds }, context, person);
  else printUnblock([address], origin, context, person);
}

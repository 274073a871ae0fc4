// `explain`: shows what an alert would lead to, and why. Changes nothing.
import type { Address } from '../../model/address.ts';
import { alertRefAt, makeHold, type HoldLength } from '../../model/ban.ts';
import { describeProtection } from '../../policy/protected.ts';
import { AppError, EXIT_STATUS } from '../../model/errors.ts';
import type { Config } from '../../config/schema.ts';
import type { Context } from '../../context.ts';
import { at, isObject, jsonOrNull } from '../../wazuh/json.ts';
import { type Request, readMessage } from '../../wazuh/request.ts';
import { decideBlock, originOf, timeoutOf } from '../../wazuh/policy.ts';
import { whyKept } from '../../wazuh/respond.ts';
import { readText } from '../addresses.ts';
import { defineCommand, outputAs } from '../command.ts';
import { printAnswer } from '../output/json.ts';
import { formatDuration } from '../output/time.ts';
import { printBlock, printUnblock } from '../plan.ts';
import type { Person } from '../session.ts';

export const explain = defineCommand({
  name: 'explain',
  summary: 'Show what an alert would lead to, and why',
  details:
    'Reads a complete message from execd, or only an alert (a line of alerts.json, or the JSON of a document in the dashboard), from a file or standard input. Shows the dialect, the field that the address comes from and the fields that were skipped, whether the address is protected, when the ban would end and why, and, for root, the commands that would run. Nothing is changed, written or logged.',
  positional: {
    name: 'file',
    describe: 'a file; standard input if it is - or missing',
    count: 'optional',
    offers: 'files',
  },
  options: { output: outputAs('text', 'json') },
  examples: [
    ['explain alert.json', 'find out why this alert leads to no block'],
    ['explain alert.json --json', 'the same for scripts'],
  ],
  exits: {
    0: 'the alert would be acted on',
    65: 'the alert would be refused or ignored, or is invalid',
    69: "the kernel can't be queried for the steps",
  },
  needsRoot: false,
  run(words, { output }, person) {
    const context = person.createContext({ readOnly: true });
    const request = readRequest(words[0] ?? '-', context.config);
    const { address } = request;
    const decided = address === null ? null : decideRequest(request, address, context);
    const explanation = explainRequest(request, decided, context);
    printAnswer(output, explanation, describe(explanation), person);
    const isRefused = explanation.protection !== null || explanation.decision === 'ignore';
    if (decided === null || isRefused) return EXIT_STATUS.REFUSED;
    if (output !== 'json') printPlan(request, decided, context, person);
    return 0;
  },
});

function readRequest(file: string, { alert }: Config): Request {
  const text = readText(file).trim();
  if (text === '') {
    throw new AppError('BAD_DATA', 'the input is empty: name a file with an alert, or pipe one in');
  }
  return readMessage(Buffer.from(asMessage(text)), alert);
}

/**
 * Wraps an alert, or a document of Wazuh's index that contains one, into the message that Wazuh 4 would send. Returns
 * any other text unchanged.
 */
function asMessage(text: string): string {
  const value = jsonOrNull(text);
  const source = at(value, '_source');
  if (source !== undefined) return asMessage(JSON.stringify(source));
  const whole = at(value, 'parameters') !== undefined || at(value, 'wazuh') !== undefined;
  if (whole || !isObject(value)) return text;
  return JSON.stringify({ version: 1, command: 'add', parameters: { alert: value } });
}

/** Decides about a request that names an address. The decision is `keep` for a delete that does not end the ban. */
function decideRequest(request: Request, address: Address, context: Context) {
  if (request.action === 'block') {
    const { action: decision, ...rest } = decideBlock(request, address, context);
    return { decision, ...rest };
  }
  const kept = whyKept(request, address, context);
  const undecided = { target: address, holds: [], decidedBy: kept === null ? [] : [kept] };
  return { ...undecided, decision: kept === null ? 'unblock' : 'keep' } as const;
}

type Decided = ReturnType<typeof decideRequest>;
type Explanation = ReturnType<typeof explainRequest>;

function explainRequest(request: Request, decided: Decided | null, context: Context) {
  const { dialect, action, address, field, passedOver, alertId, ruleId, reason } = request;
  const isBlock = action === 'block' && decided?.decision !== 'release';
  const protection = isBlock && address !== null ? context.protectionOf(address) : null;
  return {
    dialect,
    action,
    address: address?.text ?? null,
    field,
    passedOver,
    trouble: request.addressTrouble,
    protection: protection && describeProtection(protection),
    timeoutSeconds:
      decided === null ? timeoutOf(request, context) : longestTimeoutOf(decided.holds),
    timeoutFrom: timeoutSource(request, context),
    decision: decided?.decision ?? action,
    target: decided?.target.text ?? null,
    holds: decided?.holds ?? [],
    decidedBy: decided?.decidedBy ?? [],
    alertId,
    ruleId,
    reason,
  };
}

/** Returns the longest timeout in seconds; null if one of the holds never ends. */
function longestTimeoutOf(holds: readonly HoldLength[]): number | null {
  const longest = Math.max(...holds.map(({ timeoutSeconds }) => timeoutSeconds ?? Infinity));
  return Number.isFinite(longest) ? longest : null;
}

function timeoutSource({ timeoutSeconds }: Request, context: Context): string {
  const grace = `plus ${context.config.limits.graceSeconds} s of grace`;
  if (timeoutSeconds === null) return 'the message is stateless or has no timeout';
  if (timeoutSeconds !== undefined) return `stateful_timeout of the message, ${grace}`;
  const { name } = context.place;
  const own = context.timeouts();
  if (own.length === 0) return `ar.conf has no entry for ${name}`;
  if (own.includes(0)) return `ar.conf has an entry for ${name} with timeout 0`;
  const repeated = context.settings().repeatedOffendersMinutes;
  const offenders =
    repeated.length === 0 ? '' : ` and repeated_offenders (${repeated.join(', ')} minutes)`;
  const seconds = own.map((timeout) => `${timeout} s`).join(', ');
  return `the longest timeout in ar.conf (${seconds})${offenders}, ${grace}`;
}

const DIALECTS = { wazuh4: 'Wazuh 4', wazuh5: 'Wazuh 5', ossec: 'OSSEC' } as const;

function describe(explanation: Explanation): string[] {
  const { dialect, action, address, field, passedOver, trouble, protection, alertId, ruleId } =
    explanation;
  const over =
    passedOver.length === 0 ? '' : ` (skipped, not an IP address: ${passedOver.join(', ')})`;
  const lines = [
    `dialect    ${DIALECTS[dialect]}`,
    `action     ${action}`,
    `address    ${address === null ? `none: ${trouble}` : `${address}, from ${field}${over}`}`,
    `alert      ${alertId ?? 'no id of the form digits.digits: the time of the action is used instead'}`,
    `rule       ${ruleId ?? 'no numeric id: 0 is used instead'}`,
  ];
  if (address === null) return lines;
  const { decision, decidedBy } = explanation;
  const policy = decidedBy.map((why, index) => `${index === 0 ? 'policy' : '      '}     ${why}`);
  if (action === 'unblock' || decision === 'release' || decision === 'ignore') {
    return [...lines, `decision   ${decision}`, ...policy];
  }
  const until =
    explanation.timeoutSeconds === null
      ? 'never'
      : `after ${formatDuration(explanation.timeoutSeconds)}`;
  return [
    ...lines,
    `protected  ${protection ?? 'no'}${protection === null ? '' : ': it would be refused'}`,
    `ends       ${until}${decidedBy.length === 0 ? `: ${explanation.timeoutFrom}` : ''}`,
    ...(explanation.target === address ? [] : [`blocks     ${explanation.target ?? ''}`]),
    ...explanation.holds.map(describeHold),
    ...policy,
  ];
}

function describeHold({ origin, timeoutSeconds }: HoldLength): string {
  const length = timeoutSeconds === null ? 'until released' : formatDuration(timeoutSeconds);
  return `hold       ${origin}, ${length}`;
}

function printPlan(request: Request, decided: Decided, context: Context, person: Person): void {
  if (process.geteuid?.() !== 0) {
    person.print('steps      only root can query the kernel for them');
    return;
  }
  const { decision, target, holds } = decided;
  const origin = originOf(request);
  if (decision === 'keep') person.print('steps      none');
  else if (decision !== 'block') {
    printUnblock([target], decision === 'release' ? null : origin, context, person);
  } else {
    const nowMs = context.now();
    const timeoutSeconds = longestTimeoutOf(holds);
    const planned = { origin, timeoutSeconds, alertRef: alertRefAt(nowMs), reason: '' };
    printBlock([target], () => makeHold(planned, nowMs), context, person);
  }
}

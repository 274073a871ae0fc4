// `test-alert`: what execd would say, for trying this program out without an attack.
import { alertRefAt } from '../../model/ban.ts';
import { AppError } from '../../model/errors.ts';
import type { Json } from '../../wazuh/json.ts';
import { defineCommand, matching, oneOf } from '../command.ts';
import { isoTime, TIMEOUT } from '../output/time.ts';
import { packagedLines, when } from '../packaged.ts';

/** An argument of a list that a shell takes apart at blanks. */
const oneWord = (value: string) => matching(value, /^[^\s\p{Cc}]+$/u, 'one word');

export const testAlert = defineCommand({
  name: 'test-alert',
  summary: 'Print a message as execd would send it, to try out what happens',
  details:
    'One line on standard output, in the shape and order of keys that the execd of each dialect has; for ossec the argument list. --answer adds the line with which execd answers the key exchange, so that the whole can be piped into firewall-drop without arguments. Nothing is read, changed or logged.',
  options: {
    dialect: {
      ...oneOf('wazuh4', 'wazuh5', 'ossec'),
      default: 'wazuh4',
      describe: 'whose execd',
    },
    srcip: {
      ...oneWord('ADDRESS'),
      default: '203.0.113.7',
      describe: 'the offender, as the alert has it; it need not be an address',
    },
    action: {
      ...oneOf('add', 'delete', 'enable', 'disable'),
      default: 'add',
      describe: 'to block or to release; said in the words of the dialect',
    },
    rule: { ...oneWord('ID'), default: '5710', describe: 'the rule that fired' },
    timeout: {
      ...TIMEOUT,
      default: '3m',
      describe: 'for wazuh5, whose message has it; never: stateless',
    },
    answer: {
      ...oneOf('continue', 'abort'),
      describe: "execd's answer to the keys, as a second line",
    },
  },
  examples: [
    ['test-alert | firewall-drop explain', 'what would be done about it'],
    ['test-alert --answer continue | firewall-drop', 'do it, for real'],
  ],
  needsRoot: false,
  run(_words, options, person) {
    const { dialect, answer } = options;
    const scene: Scene = {
      srcip: options.srcip,
      ruleId: options.rule,
      timeoutSeconds: options.timeout,
      blocks: options.action === 'add' || options.action === 'enable',
      nowMs: Date.now(),
    };
    if (dialect === 'ossec') {
      if (answer !== undefined) throw new AppError('USAGE', 'ossec-execd answers nothing');
      person.print(ossecArguments(scene).join(' '));
      return 0;
    }
    const message = messageOf(dialect, scene);
    person.print(JSON.stringify(message));
    // execd answers with the message that it sent, and another command.
    if (answer !== undefined) person.print(JSON.stringify({ ...message, command: answer }));
    return 0;
  },
});

export interface Scene {
  readonly srcip: string;
  readonly ruleId: string;
  /** Null: for ever. */
  readonly timeoutSeconds: number | null;
  readonly blocks: boolean;
  readonly nowMs: number;
}

/** As wazuh-execd sends it. The order of keys is part of it: Wazuh's decoder finds `srcip` only where it is first. */
export function messageOf(
  dialect: 'wazuh4' | 'wazuh5',
  { srcip, ruleId, timeoutSeconds, blocks, nowMs }: Scene,
): Record<string, Json> {
  const inString = (text: string): string[] => [JSON.stringify(text).slice(1, -1)];
  const lines = packagedLines(`${dialect}.json.in`, {
    ...when('blocks', blocks, 'releases'),
    ...when('timed', timeoutSeconds !== null, 'endless'),
    timeout: timeoutSeconds === null ? [] : [String(timeoutSeconds)],
    time: [isoTime(nowMs).replace('Z', '+0000')],
    alert: [alertRefAt(nowMs).alertId],
    rule: inString(ruleId),
    srcip: inString(srcip),
  });
  return JSON.parse(lines.join('\n')) as Record<string, Json>;
}

/** As ossec-execd starts an executable; the user is nearly always `-`. */
export function ossecArguments({ srcip, ruleId, blocks, nowMs }: Scene): string[] {
  return [blocks ? 'add' : 'delete', '-', srcip, alertRefAt(nowMs).alertId, ruleId];
}

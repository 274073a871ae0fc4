// `test-alert`: prints a message as execd sends it, to test this program without an attack.
import { alertRefAt } from '../../model/ban.ts';
import { AppError } from '../../model/errors.ts';
import type { Json } from '../../wazuh/json.ts';
import { defineCommand, matching, oneOf } from '../command.ts';
import { isoTime, TIMEOUT } from '../output/time.ts';
import { packagedLines, when } from '../packaged.ts';

/** A value without white space, because a shell splits the printed argument list there. */
const oneWord = (value: string) => matching(value, /^[^\s\p{Cc}]+$/u, 'one word');

export const testAlert = defineCommand({
  name: 'test-alert',
  summary: 'Print a message as execd would send it, for tests',
  details:
    "Prints one line with the same keys in the same order as the dialect's execd; for ossec, the argument list. --answer adds the line with which execd answers the key exchange, so that the output can be piped into firewall-drop without arguments. Nothing is read, changed or logged.",
  options: {
    dialect: {
      ...oneOf('wazuh4', 'wazuh5', 'ossec'),
      default: 'wazuh4',
      describe: 'dialect of execd',
    },
    srcip: {
      ...oneWord('ADDRESS'),
      default: '203.0.113.7',
      describe: 'source in the alert; it need not be a valid address',
    },
    action: {
      ...oneOf('add', 'delete', 'enable', 'disable'),
      default: 'add',
      describe: 'block or release; printed in the words of the dialect',
    },
    rule: { ...oneWord('ID'), default: '5710', describe: 'id of the rule that fired' },
    timeout: {
      ...TIMEOUT,
      default: '3m',
      describe: 'timeout in the message of wazuh5, which is stateless with the timeout never',
    },
    answer: {
      ...oneOf('continue', 'abort'),
      describe: "execd's answer to the key exchange, as a second line",
    },
  },
  examples: [
    ['test-alert | firewall-drop explain', 'show what the alert would lead to'],
    ['test-alert --answer continue | firewall-drop', 'really block the address'],
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
      if (answer !== undefined) {
        throw new AppError('USAGE', '--answer: ossec-execd has no key exchange to answer');
      }
      person.print(ossecArguments(scene).join(' '));
      return 0;
    }
    const message = messageOf(dialect, scene);
    person.print(JSON.stringify(message));
    // execd answers with its own message, in which only the command differs.
    if (answer !== undefined) person.print(JSON.stringify({ ...message, command: answer }));
    return 0;
  },
});

export interface Scene {
  readonly srcip: string;
  readonly ruleId: string;
  /** null for no end. */
  readonly timeoutSeconds: number | null;
  readonly blocks: boolean;
  readonly nowMs: number;
}

/** Returns a message of wazuh-execd. The order of keys matters: Wazuh's decoder finds `srcip` only if it is first. */
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

/** Returns the arguments with which ossec-execd starts an executable. The user is nearly always `-`. */
export function ossecArguments({ srcip, ruleId, blocks, nowMs }: Scene): string[] {
  return [blocks ? 'add' : 'delete', '-', srcip, alertRefAt(nowMs).alertId, ruleId];
}

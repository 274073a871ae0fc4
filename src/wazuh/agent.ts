// What the agent's own files say about us: timeouts from ar.conf, repeated offenders, managers and white list from ossec.conf.
import type * as Saxes from 'saxes';
import { parseNetwork } from '../ban/address.ts';

/** From `etc/shared/ar.conf`: which executable is started with which timeout. */
export interface ConfiguredTimeout {
  readonly executable: string;
  readonly seconds: number;
}

/** From `etc/ossec.conf`. */
export interface AgentSettings {
  /** Minutes for the second, third, … offence; the last one for all further. */
  readonly repeatedOffendersMinutes: readonly number[];
  /** Addresses or host names of managers. */
  readonly managers: readonly string[];
  readonly whiteList: readonly string[];
}

export const NO_SETTINGS: AgentSettings = {
  repeatedOffendersMinutes: [],
  managers: [],
  whiteList: [],
};

const AR_CONF_LINE = /^(\S+) - (\S+) - ([0-9]{1,10})\s*$/;

/** Lines `NAME - EXECUTABLE - SECONDS`; others are not for us and are passed over. */
export function readArConf(text: string): ConfiguredTimeout[] {
  return text.split('\n').flatMap((line) => {
    const [, , executable, seconds] = AR_CONF_LINE.exec(line) ?? [];
    return executable === undefined ? [] : [{ executable, seconds: Number(seconds) }];
  });
}

/**
 * How long an address that this executable blocks may stay blocked, in seconds: the longest timeout that could apply,
 * since execd does not say which one does. Null, for ever, when one of them is 0 or none is configured.
 */
export function longestTimeout(
  executable: string,
  timeouts: readonly ConfiguredTimeout[],
  { repeatedOffendersMinutes }: AgentSettings,
): number | null {
  const own = timeouts.filter((timeout) => timeout.executable === executable);
  if (own.length === 0 || own.some((timeout) => timeout.seconds === 0)) return null;
  const repeated = repeatedOffendersMinutes.map((minutes) => minutes * 60);
  return Math.max(...own.map((timeout) => timeout.seconds), ...repeated);
}

/** Elements whose text we want, by their path below a root `<ossec_config>`. */
const PATHS = new Map<string, (settings: Collected, text: string) => void>([
  ['active-response/repeated_offenders', (s, text) => s.minutes.push(...readMinutes(text))],
  ['client/server/address', (s, text) => s.managers.push(text)],
  ['client/server-ip', (s, text) => s.managers.push(text)],
  ['client/server-hostname', (s, text) => s.managers.push(text)],
  ['global/white_list', (s, text) => s.whiteList.push(text)],
]);

interface Collected {
  readonly minutes: number[];
  readonly managers: string[];
  readonly whiteList: string[];
}

/** As many values as execd itself takes. */
const MOST_REPEATED_OFFENDERS = 5;
const LONGEST_HOST_NAME = 253;

/** Reads as far as the text is well-formed: what stands before a mistake still protects. It may have several roots. */
export function readOssecConf(text: string): AgentSettings {
  const { SaxesParser } = require('saxes') as typeof Saxes;
  const parser = new SaxesParser({ fragment: true });
  const collected: Collected = { minutes: [], managers: [], whiteList: [] };
  const path: string[] = [];
  let content = '';
  parser.on('error', () => undefined);
  parser.on('opentag', ({ name }) => {
    path.push(name);
    content = '';
  });
  parser.on('text', (piece) => (content += piece));
  parser.on('closetag', () => {
    const [root, ...below] = path;
    if (root === 'ossec_config') PATHS.get(below.join('/'))?.(collected, content.trim());
    path.pop();
    content = '';
  });
  parser.write(text).close();
  return {
    repeatedOffendersMinutes: collected.minutes.slice(0, MOST_REPEATED_OFFENDERS),
    managers: collected.managers.filter((name) => name !== '' && name.length <= LONGEST_HOST_NAME),
    whiteList: collected.whiteList.filter((entry) => parseNetwork(entry) !== null),
  };
}

function readMinutes(text: string): number[] {
  return text
    .split(',')
    .map((value) => Number(value.trim()))
    .filter((value) => Number.isInteger(value) && value > 0);
}

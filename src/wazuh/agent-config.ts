// What the agent's own files say about us, remembered while they stay as they are: timeouts from ar.conf, repeated offenders,
// managers and white list from ossec.conf.
import type * as Saxes from 'saxes';
import { remember } from '../config/cache.ts';
import { LARGEST_FILE, type FileReader } from '../config/read.ts';
import { parseNetwork } from '../model/address.ts';
import type { Place } from './home.ts';

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

/** `NAME - EXECUTABLE - SECONDS` */
export const AR_CONF_LINE = /^(\S+) - (\S+) - ([0-9]{1,10})\s*$/;

/** Lines of another shape are not for us and are passed over. */
export function readArConf(text: string): ConfiguredTimeout[] {
  return text.split('\n').flatMap((line) => {
    const [, , executable, seconds] = AR_CONF_LINE.exec(line) ?? [];
    return executable === undefined ? [] : [{ executable, seconds: Number(seconds) }];
  });
}

/** With which timeouts an executable is started, in seconds; 0: without one. */
export function timeoutsOf(executable: string, all: readonly ConfiguredTimeout[]): number[] {
  return all.filter((one) => one.executable === executable).map(({ seconds }) => seconds);
}

/** Where an agent names its manager: other elements in Wazuh 5 than in Wazuh 4, and in OSSEC yet others. */
const MANAGER =
  /^ossec_config\/(?:(?:client|agent)\/(?:(?:server|manager)\/(?:address|endpoint)|server-ip|server-hostname)|(?:(?:client|agent)\/)?enrollment\/manager_address)$/;
const REPEATED_OFFENDERS = /^ossec_config\/active-response\/repeated_offenders$/;
const WHITE_LIST = /^ossec_config\/global\/white_list$/;
const DEEPEST = 4;

/** As many values as execd itself takes. */
export const MOST_REPEATED_OFFENDERS = 5;
const LONGEST_HOST_NAME = 253;
/** Digits alone, as execd reads them, and few enough for their end to be a date. */
const MINUTES = /^0*[1-9][0-9]{0,7}$/;

/** A file with more mistakes was not written by a person, and each costs time. */
const MOST_MISTAKES = 100;

/** Mistakes are passed over: what stands around them still protects. It may have several roots. */
export function readOssecConf(text: string): AgentSettings {
  const elements = readElements(text);
  const textsAt = (place: RegExp): string[] => {
    return elements.filter(({ path }) => place.test(path)).map((element) => element.text);
  };
  const hosts = textsAt(MANAGER).map(hostOf);
  return {
    repeatedOffendersMinutes: textsAt(REPEATED_OFFENDERS)
      .flatMap(readMinutes)
      .slice(0, MOST_REPEATED_OFFENDERS),
    managers: [...new Set(hosts.filter((host) => host !== '' && host.length <= LONGEST_HOST_NAME))],
    whiteList: textsAt(WHITE_LIST).filter((entry) => parseNetwork(entry) !== null),
  };
}

function readElements(text: string): { readonly path: string; readonly text: string }[] {
  const { SaxesParser } = require('saxes') as typeof Saxes;
  const parser = new SaxesParser({ fragment: true });
  const elements: { readonly path: string; readonly text: string }[] = [];
  const path: string[] = [];
  let content = '';
  let mistakes = 0;
  parser.on('error', (error) => {
    mistakes += 1;
    if (mistakes > MOST_MISTAKES) throw error;
  });
  parser.on('opentag', ({ name }) => {
    path.push(name);
    content = '';
  });
  parser.on('text', (piece) => (content += piece));
  parser.on('closetag', () => {
    // Deeper ones are none of ours, and naming each of very many would take the square of their number.
    if (path.length <= DEEPEST) elements.push({ path: path.join('/'), text: content.trim() });
    path.pop();
    content = '';
  });
  try {
    parser.write(text).close();
  } catch (error) {
    // What was read before too many mistakes counts.
    if (mistakes <= MOST_MISTAKES) throw error;
  }
  return elements;
}

/** The address or name in `host`, `host:port`, `host:port/path`, `https://host`, `[v6]:port`, or an IPv6 address alone. */
function hostOf(endpoint: string): string {
  const authority = endpoint.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').replace(/[/?#].*$/s, '');
  const bracketed = /^\[([^\]]*)\]/.exec(authority)?.[1];
  const host = bracketed ?? authority.replace(/^([^:]*):[0-9]*$/, '$1');
  // A link-local address may name its interface.
  return host.replace(/%.*$/, '').trim();
}

function readMinutes(text: string): number[] {
  return text
    .split(',')
    .map((value) => value.trim())
    .filter((value) => MINUTES.test(value))
    .slice(0, MOST_REPEATED_OFFENDERS)
    .map(Number);
}

/** Of this program, in `etc/shared/ar.conf`. */
export function readTimeouts({ home, name }: Place, reader: FileReader): number[] {
  const all = readAgentFile(`${home}/etc/shared/ar.conf`, readArConf, [], reader);
  return timeoutsOf(name, all);
}

/** `etc/ossec.conf` of the agent, or manager, at `home`. */
export function readSettings(home: string, reader: FileReader): AgentSettings {
  return readAgentFile(`${home}/etc/ossec.conf`, readOssecConf, NO_SETTINGS, reader);
}

function readAgentFile<T>(
  path: string,
  read: (text: string) => T,
  absent: T,
  { store, warn }: FileReader,
): T {
  return remember<T>(store, {
    path,
    largestBytes: LARGEST_FILE,
    absent: () => absent,
    parse: (text) => ({ value: read(text), lasting: true }),
    onProblem: warn,
  });
}

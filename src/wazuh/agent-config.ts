// Reads the agent's own files and caches the results until the files change: timeouts from ar.conf; repeated offenders,
// managers and white list from ossec.conf.
import type * as Saxes from 'saxes';
import { remember } from '../config/cache.ts';
import { LARGEST_FILE, type FileReader } from '../config/read.ts';
import { parseNetwork } from '../model/address.ts';
import type { Place } from './invocation.ts';

/** A line of `etc/shared/ar.conf`: an executable and the timeout that it is started with; 0 means no timeout. */
export interface ConfiguredTimeout {
  readonly executable: string;
  readonly seconds: number;
}

/** The settings in `etc/ossec.conf` that matter here. */
export interface AgentSettings {
  /** The timeouts of the second, third, … offence in minutes; the last one applies to all later offences. */
  readonly repeatedOffendersMinutes: readonly number[];
  /** The addresses or host names of managers. */
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

/** Skips lines of any other form. */
export function readArConf(text: string): ConfiguredTimeout[] {
  return text.split('\n').flatMap((line) => {
    const [, , executable, seconds] = AR_CONF_LINE.exec(line) ?? [];
    return executable === undefined ? [] : [{ executable, seconds: Number(seconds) }];
  });
}

/** Returns the timeouts that an executable is started with, in seconds; 0 means no timeout. */
export function timeoutsOf(executable: string, all: readonly ConfiguredTimeout[]): number[] {
  return all.filter((one) => one.executable === executable).map(({ seconds }) => seconds);
}

/** The elements that name the manager. They differ between Wazuh 4, Wazuh 5 and OSSEC. */
const MANAGER =
  /^ossec_config\/(?:(?:client|agent)\/(?:(?:server|manager)\/(?:address|endpoint)|server-ip|server-hostname)|(?:(?:client|agent)\/)?enrollment\/manager_address)$/;
const REPEATED_OFFENDERS = /^ossec_config\/active-response\/repeated_offenders$/;
const WHITE_LIST = /^ossec_config\/global\/white_list$/;
const DEEPEST = 4;

/** The number of values that execd itself uses. */
export const MOST_REPEATED_OFFENDERS = 5;
const LONGEST_HOST_NAME = 253;
/** Digits only, as execd reads them, and few enough that the deadline is a valid date. */
const MINUTES = /^0*[1-9][0-9]{0,7}$/;

/** A file with more mistakes was not written by a person, and each mistake takes time to report. */
const MOST_MISTAKES = 100;

/** Skips mistakes, so that the entries around them still protect. The file can have several root elements. */
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
    // No deeper element is needed, and joining the paths of deeply nested elements takes quadratic time.
    if (path.length <= DEEPEST) elements.push({ path: path.join('/'), text: content.trim() });
    path.pop();
    content = '';
  });
  try {
    parser.write(text).close();
  } catch (error) {
    // After too many mistakes, the elements before them still count.
    if (mistakes <= MOST_MISTAKES) throw error;
  }
  return elements;
}

/** Returns the host in `host`, `host:port`, `host:port/path`, `https://host`, `[v6]:port`, or a bare IPv6 address. */
function hostOf(endpoint: string): string {
  const authority = endpoint.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').replace(/[/?#].*$/s, '');
  const bracketed = /^\[([^\]]*)\]/.exec(authority)?.[1];
  const host = bracketed ?? authority.replace(/^([^:]*):[0-9]*$/, '$1');
  // A link-local address can name its interface.
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

/** Returns the timeouts that `etc/shared/ar.conf` lists for this program. */
export function readTimeouts({ home, name }: Place, reader: FileReader): number[] {
  const all = readAgentFile(`${home}/etc/shared/ar.conf`, readArConf, [], reader);
  return timeoutsOf(name, all);
}

/** Reads `etc/ossec.conf` of the agent or manager at `home`. */
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

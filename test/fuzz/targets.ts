/**
 * The parsers of foreign input, each with the conditions that must hold for any bytes. A violation throws a `Finding`.
 */
import { isDeepStrictEqual } from 'node:util';
import { parseAddress, parseExactNetwork, parseNetwork } from '../../src/model/address.ts';
import {
  CLOUD_ADDRESS_FIELDS,
  DEFAULT_ADDRESS_FIELDS,
  WAZUH5_ADDRESS_FIELDS,
} from '../../src/config/schema.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { AppError } from '../../src/model/errors.ts';
import { readResolvers } from '../../src/system/net.ts';
import { formatDate, parseZone } from '../../src/system/zone.ts';
import {
  readArConf,
  readOssecConf,
  timeoutsOf,
  NO_SETTINGS,
} from '../../src/wazuh/agent-config.ts';
import { longestTimeout } from '../../src/wazuh/policy.ts';
import { readInvocation } from '../../src/wazuh/invocation.ts';
import { exchangeKeys } from '../../src/wazuh/check-keys.ts';
import { at, parseJson, type Json } from '../../src/wazuh/json.ts';
import { readMessage, readArguments } from '../../src/wazuh/request.ts';
import { BACKENDS, checkAddress, checkRequest, must, theirText } from './oracle.ts';

export type Target = (input: Buffer) => void;

const FIELDS = {
  addressFields: [...DEFAULT_ADDRESS_FIELDS, ...CLOUD_ADDRESS_FIELDS],
  wazuh5Fields: WAZUH5_ADDRESS_FIELDS,
};
/** The longest timeout whose end is exact in milliseconds. */
const LONGEST_SECONDS = 2 ** 43;

export const TARGETS: Readonly<Record<string, Target>> = {
  message(input) {
    const request = unlessRefused(() => readMessage(input, FIELDS));
    if (request === null) return;
    checkRequest(request, input.toString());
    if (request.address === null) return;
    const root = request.dialect === 'wazuh4' ? ['parameters', 'alert'] : [];
    const written = at(parseJson(input.toString()), ...root, ...request.field.split('.'));
    must(typeof written === 'string', 'an address that nobody wrote');
    checkAddress(request.address, written);
  },

  arguments(input) {
    const args = input.toString().split('\0');
    if (readInvocation(args, false) !== 'ossec') return;
    const request = readArguments(args);
    checkRequest(request);
    must((theirText(args[2] ?? '') === null) === (request.address === null), 'who is an address');
    if (request.address !== null) checkAddress(request.address, args[2] ?? '');
  },

  json(input) {
    const text = input.toString();
    const valid = isJson(text);
    let value: Json;
    try {
      value = parseJson(text);
    } catch (error) {
      const deep = error instanceof Error && error.message.startsWith('nested deeper');
      must(!valid || deep, 'JSON that was refused');
      must(error instanceof Error && error.name === 'SyntaxError', String(error));
      return;
    }
    must(valid, 'no JSON that was taken');
    must(agrees(text, value), 'another value');
  },

  answer(input) {
    const written: string[] = [];
    const answer = unlessRefused(() =>
      exchangeKeys('{}', {
        reader: { readLine: () => input },
        write: (text) => written.push(text),
        deadline: { remainingMs: () => 1000 },
      }),
    );
    must(written.join('') === '{}\n', 'what was said to execd');
    if (answer === null) return;
    must(answer.text === input.toString(), 'another answer');
    must(at(parseJson(answer.text), 'command') === answer.command, 'another command');
  },

  address(input) {
    for (const text of [input.toString(), input.toString('latin1')]) {
      const address = parseAddress(text);
      must((address === null) === (theirText(text) === null), JSON.stringify(text));
      if (address !== null) checkAddress(address, text);
      for (const block of [parseExactNetwork(text), parseNetwork(text)]) {
        if (block === null) continue;
        must(/^[0-9a-f.:]{2,39}(?:\/\d{1,3})?$/.test(block.text), block.text);
        must(parseExactNetwork(block.text)?.text === block.text, `${block.text} reads otherwise`);
      }
    }
  },

  'ar.conf'(input) {
    for (const { executable, seconds } of readArConf(input.toString())) {
      must(Number.isInteger(seconds) && seconds >= 0, `a timeout of ${seconds}`);
      must(/^\S+$/.test(executable), 'a name with a blank');
    }
    const timeouts = timeoutsOf('firewall-drop', readArConf(input.toString()));
    checkTimeout(longestTimeout(timeouts, NO_SETTINGS));
  },

  'ossec.conf'(input) {
    const settings = readOssecConf(input.toString());
    for (const name of settings.managers) must(name !== '' && name.length <= 253, 'a manager');
    for (const entry of settings.whiteList) must(parseNetwork(entry) !== null, 'a white list');
    must(settings.repeatedOffendersMinutes.length <= 5, 'more values than execd takes');
    checkTimeout(longestTimeout([60], settings));
  },

  config(input) {
    const { config, problems } = parseConfig(input.toString(), 'config.toml');
    for (const { line } of problems) must(Number.isInteger(line) && line >= 1, `line ${line}`);
    // JSON omits undefined values, and only this key can be undefined.
    const { programName, ...log } = config.log;
    const expected = { ...config, log: programName === undefined ? log : config.log };
    must(isDeepStrictEqual(JSON.parse(JSON.stringify(config)), expected), 'not kept as it was');
  },

  zone(input) {
    let zone;
    try {
      zone = parseZone(input);
    } catch (error) {
      must(error instanceof Error && error.name === 'Error', String(error));
      return;
    }
    for (const atMs of [-1e12, 0, 1_715_083_200_000, 4e12]) {
      const date = formatDate(zone, atMs);
      must(/^\w{3} \w{3} [ \d]\d [\d:]{8} [+-]?[A-Za-z0-9]+ \d{4}$/.test(date), date);
    }
  },

  'resolv.conf'(input) {
    // The independent implementation is slow, so only the first addresses are checked.
    for (const address of readResolvers(input.toString('latin1')).slice(0, 50)) {
      must(theirText(address.text) === address.text, address.text);
    }
  },

  listing(input) {
    const output = input.toString('latin1');
    for (const backend of BACKENDS) {
      const before = backend.nothingKnown;
      for (const command of [backend.plan(4, before, []), backend.planRemoval?.(4, before)]) {
        if (!command) continue;
        unlessRefused(() => backend.read(output, { command, status: 0, stderr: '', before }));
      }
      const snapshot = unlessRefused(() => backend.readSnapshot([output, output, output]));
      for (const [text, { address }] of snapshot?.held ?? []) {
        must(text === address.text && parseExactNetwork(text) !== null, `held: ${text}`);
      }
    }
  },
};

/** Returns null if the input was refused with an AppError. Any other error is a finding. */
function unlessRefused<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    must(error instanceof AppError, String(error));
    return null;
  }
}

function checkTimeout(seconds: number | null): void {
  must(seconds === null || (seconds > 0 && seconds <= LONGEST_SECONDS), `${String(seconds)} s`);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Reports whether a value matches a text of valid JSON, in which the first of equal keys counts. */
function agrees(text: string, value: Json): boolean {
  return JSON.stringify(value) === JSON.stringify(readFirstWins(text));
}

/** Parses JSON independently, by recursion. The text must be valid and not deeply nested. */
function readFirstWins(text: string): unknown {
  let place = 0;
  const skip = (): string => {
    while (' \t\r\n,:'.includes(text.charAt(place))) place++;
    return text.charAt(place);
  };
  const scalar = (): unknown => {
    const from = place;
    if (text.charAt(place) === '"') {
      while (text.charAt(++place) !== '"') if (text.charAt(place) === '\\') place++;
      place++;
    } else while (place < text.length && !' \t\r\n,]}'.includes(text.charAt(place))) place++;
    return JSON.parse(text.slice(from, place));
  };
  const read = (): unknown => {
    const opened = skip();
    if (opened !== '{' && opened !== '[') return scalar();
    place++;
    const list: unknown[] = [];
    const entries = new Map<string, unknown>();
    for (let next = skip(); next !== '}' && next !== ']'; next = skip()) {
      if (opened === '[') list.push(read());
      else {
        const key = scalar() as string;
        const inner = read();
        if (!entries.has(key)) entries.set(key, inner);
      }
    }
    place++;
    return opened === '[' ? list : Object.fromEntries(entries);
  };
  return read();
}

// Names of managers and gateways: runs with time look them up, and alerts use the stored results.
import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import { findGateways, resolveNames, type Inquiry } from '../../../src/policy/inquiries.ts';
import type { Run } from '../../../src/system/exec.ts';

const MINUTE_MS = 60_000;

let metadata: Map<string, string>;
let hosts: Map<string, string>;
let asked: string[];
let problems: string[];
let nowMs: number;
beforeEach(() => {
  metadata = new Map();
  hosts = new Map([['manager.example', '192.0.2.10']]);
  asked = [];
  problems = [];
  nowMs = Date.UTC(2026, 4, 7, 12);
  jest.spyOn(Date, 'now').mockImplementation(() => nowMs);
});

/** Imitates getent(1) for the names in `hosts`. */
const getent: Run = ({ args }) => {
  const name = args[1] ?? '';
  asked.push(name);
  const address = hosts.get(name);
  const stdout = address === undefined ? '' : `${address} STREAM ${name}\n${address} DGRAM\n`;
  return { status: address === undefined ? 2 : 0, stdout, stderr: '', trouble: '' };
};

function inquiry(mayWait: boolean, run: Run = getent): Inquiry {
  const store: Inquiry['store'] = {
    metadata: {
      getJson: (name) => JSON.parse(metadata.get(name) ?? 'null') as unknown,
      set: (name, value) => void metadata.set(name, value),
    },
  };
  return { store, run, mayWait, warn: (problem) => problems.push(problem) };
}

const alert = (...names: string[]): unknown =>
  Object.fromEntries(resolveNames(names, inquiry(false)));
const timer = (...names: string[]): unknown =>
  Object.fromEntries(resolveNames(names, inquiry(true)));

describe('an alert', () => {
  test('resolves no name and reports an unprotected manager', () => {
    expect(alert('manager.example')).toEqual({ 'manager.example': [] });
    expect(asked).toEqual([]);
    expect(problems).toEqual([expect.stringContaining('"manager.example"')]);
  });

  test('uses the addresses that a run with time has found', () => {
    timer('manager.example');
    expect(alert('manager.example')).toEqual({ 'manager.example': ['192.0.2.10'] });
    expect(asked).toHaveLength(1);
    expect(problems).toEqual([]);
  });
});

describe('a run with time', () => {
  test('keeps the last addresses of a name that no longer resolves', () => {
    timer('manager.example');
    hosts.clear();
    nowMs += 11 * MINUTE_MS;
    expect(timer('manager.example')).toEqual({ 'manager.example': ['192.0.2.10'] });
    nowMs += 24 * 60 * MINUTE_MS;
    expect(timer('manager.example')).toEqual({ 'manager.example': ['192.0.2.10'] });
    expect(alert('manager.example')).toEqual({ 'manager.example': ['192.0.2.10'] });
  });

  test('retries a name that could not be resolved after a minute', () => {
    hosts.clear();
    expect(timer('manager.example')).toEqual({ 'manager.example': [] });
    hosts.set('manager.example', '192.0.2.11');
    nowMs += MINUTE_MS;
    expect(timer('manager.example')).toEqual({ 'manager.example': ['192.0.2.11'] });
  });

  test('looks a known name up after ten minutes and uses its new address', () => {
    timer('manager.example');
    hosts.set('manager.example', '192.0.2.11');
    nowMs += 9 * MINUTE_MS;
    expect(timer('manager.example')).toEqual({ 'manager.example': ['192.0.2.10'] });
    nowMs += 2 * MINUTE_MS;
    expect(timer('manager.example')).toEqual({ 'manager.example': ['192.0.2.11'] });
  });

  test('looks a name up immediately after the clock was set back', () => {
    timer('manager.example');
    nowMs -= 365 * 24 * 60 * MINUTE_MS;
    timer('manager.example');
    expect(asked).toHaveLength(2);
  });

  test('forgets names that are no longer configured', () => {
    timer('manager.example', 'other.example');
    timer('manager.example');
    expect([...metadata.values()].join()).not.toContain('other.example');
  });

  test('resolves a bounded number of names', () => {
    const many = Array.from({ length: 1000 }, (_, index) => `manager${index}.example`);
    timer(...many);
    expect(asked.length).toBeLessThanOrEqual(32);
    expect(problems.join()).toContain('only the first 32');
  });

  test('stops at the time limit for all names and continues with the others on the next run', () => {
    let clockNs = 0n;
    const clock = jest.spyOn(process.hrtime, 'bigint').mockImplementation(() => clockNs);
    const slow: Run = (command, timeoutMs) => {
      getent(command, timeoutMs);
      clockNs += BigInt(Math.ceil(timeoutMs)) * 1_000_000n;
      return { status: null, stdout: '', stderr: '', trouble: 'did not end' };
    };
    const names = Array.from({ length: 12 }, (_, index) => `manager${index}.example`);
    resolveNames(names, inquiry(true, slow));
    expect(Number(clockNs / 1_000_000n)).toBeLessThanOrEqual(10_001);
    // The first names are due again by then, and come after the names that have not been looked up yet.
    nowMs += MINUTE_MS;
    resolveNames(names, inquiry(true, slow));
    expect(new Set(asked).size).toBe(asked.length);
    clock.mockRestore();
  });

  test.each(['MANAGER IP', '-a', '', '__proto__', 'constructor'])(
    'finds no address for %j and does not crash',
    (name) => {
      expect(resolveNames([name], inquiry(true)).get(name)).toEqual([]);
      expect(resolveNames([name], inquiry(false)).get(name)).toEqual([]);
    },
  );
});

describe('gateways', () => {
  const ip: Run = () => ({
    status: 0,
    stdout: JSON.stringify([
      {
        dst: 'default',
        nexthops: [
          { gateway: '203.0.113.1', dev: 'a' },
          { gateway: '203.0.113.2', dev: 'b' },
        ],
      },
    ]),
    stderr: '',
    trouble: '',
  });
  const texts = (one: Inquiry): string[] =>
    findGateways(one, [4, 6]).map(({ address }) => address.text);

  test('that a run with time has found are used by an alert, which runs no program', () => {
    const hops = expect.arrayContaining(['203.0.113.1', '203.0.113.2']);
    expect(texts(inquiry(true, ip))).toEqual(hops);
    const never: Run = () => {
      throw new Error('an alert runs no program');
    };
    expect(texts(inquiry(false, never))).toEqual(hops);
  });

  test('stay stored while ip(8) prints no JSON', () => {
    texts(inquiry(true, ip));
    const old: Run = () => ({
      status: 255,
      stdout: '',
      stderr: 'Option "-j" is unknown',
      trouble: '',
    });
    expect(texts(inquiry(true, old))).toContain('203.0.113.2');
    const other: Run = () => ({ status: 0, stdout: 'no JSON', stderr: '', trouble: '' });
    expect(texts(inquiry(true, other))).toContain('203.0.113.2');
  });
});

// Tests the decoders and rules for a manager with the log lines that are packaged with them.
import { describe, expect, test } from '@jest/globals';
import { checkRules } from '../../../src/manager/rules.ts';
import { readXml } from '../../../src/manager/xml.ts';
import { decode, osRegex, packaged, raisedBy, rules } from '../../support/local-rules.ts';

interface Sample {
  readonly title: string;
  readonly line: string;
  readonly rule: string;
  readonly alert: string;
  readonly decoder: string;
}

const SAMPLES: readonly Sample[] = packaged('firewall-drop.ini')
  .split(/^(?=\[)/m)
  .slice(1)
  .map((section) => {
    const value = (key: string): string =>
      new RegExp(`^${key} = (.*)$`, 'm').exec(section)?.[1] ?? '';
    const title = /^\[(.*)\]/.exec(section)?.[1] ?? '';
    const [rule, alert, decoder] = [value('rule'), value('alert'), value('decoder')];
    return { title, line: value('log 1 pass'), rule, alert, decoder };
  });

test.each(SAMPLES)('$title: rule $rule', ({ line, rule, alert, decoder }) => {
  expect(decode(line)?.decoder).toBe(decoder);
  expect(raisedBy(line)).toEqual({ id: rule, level: Number(alert) });
});

test('every rule of ours, except rules with a frequency, has a line that raises it or a child of it', () => {
  const raised = SAMPLES.map(({ rule }) => rule);
  const parents = rules().flatMap(({ children }) =>
    children.filter(({ name }) => name === 'if_sid').map(({ text }) => text),
  );
  const own = rules()
    .map(({ attributes }) => attributes['id'] ?? '')
    .filter((id) => Number(id) >= 100_000);
  expect(own.length).toBeGreaterThan(10);
  for (const id of own) expect([...raised, ...parents]).toContain(id);
});

test("a line of another program's JSON log raises no rule of ours", () => {
  expect(
    raisedBy('{"level":50,"program":"nginx","pid":1,"msg":"could not be released"}'),
  ).toBeNull();
  expect(raisedBy('{"program":"firewall-drop"}')).toBeNull();
});

test('our decoder does not add fields to the output of other commands', () => {
  expect(decode('ossec: output: \'df -P\': {"healthy":false}')).toEqual({
    decoder: 'ossec',
    fields: {},
  });
});

test('no decoder of ours is a child of json, which would remove the fields of all other JSON logs', () => {
  expect(packaged('local_decoder.xml')).not.toContain('<parent>json</parent>');
});

test.each(['local_rules.xml', 'local_decoder.xml'])('%s is well-formed XML', (file) => {
  expect(readXml(packaged(file)).mistakes).toEqual([]);
});

test('config check finds no mistakes in the rules', () => {
  expect(checkRules(readXml(packaged('local_rules.xml')))).toEqual([]);
});

describe('a regular expression of OSSEC in these tests matches as in OSSEC', () => {
  test.each([
    ['^\\d\\d$', '50', true],
    ['^\\d\\d$', '500', false],
    ['\\.+', 'anything', true],
    ['config.toml', '/etc/firewall-drop/config.toml:3', true],
    ['config.toml', 'configXtoml', false],
    ['^50$|^60$', '60', true],
    ['^{\\s*"', '{"a"', true],
  ])('%s and %s: %s', (pattern, text, expected) => {
    expect(osRegex(pattern).test(text)).toBe(expected);
  });
});

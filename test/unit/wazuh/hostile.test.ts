// Whole messages with hostile fields: the result is the request that execd meant, or no address.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DEFAULT_ADDRESS_FIELDS, WAZUH5_ADDRESS_FIELDS } from '../../../src/config/schema.ts';
import { readMessage, readArguments } from '../../../src/wazuh/request.ts';
import { readInvocation } from '../../../src/wazuh/invocation.ts';
import { checkAddress, checkRequest, theirText } from '../../fuzz/oracle.ts';
import { effort } from '../../support/effort.ts';

const RUNS = { numRuns: effort(100) };
const OTHER = '198.51.100.99';

/** Texts that a log line can bring into a field. */
const hostileText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    ...[
      OTHER,
      `${OTHER}\n`,
      '0.0.0.0/0',
      '-F',
      '--help',
      '1.2.3.4 -j ACCEPT',
      '!1.2.3.4',
      '010.0.0.1',
    ],
    ...[
      '"},"command":"delete"',
      `","data":{"srcip":"${OTHER}"`,
      '\u001b[2J',
      '\r\n',
      '\u2028',
      '\0',
    ],
    `\nMon May  6 00:00:00 UTC 2024 /a/active-response/bin/b.sh add - ${OTHER} 1.2 3`,
    `2024/05/06 00:00:00 active-response/bin/b: {"command":"add"}`,
  ),
);

/** JSON that can be anywhere in an alert: keys with a meaning elsewhere, and hostile strings. */
const { tree: hostileJson } = fc.letrec<{ tree: string; leaf: string; key: string }>((tie) => ({
  leaf: fc.oneof(
    hostileText.map((text) => JSON.stringify(text)),
    fc.constantFrom('null', 'true', '-0', '1e400', '[]', '{}'),
  ),
  key: fc
    .oneof(
      fc.constantFrom(
        'command',
        'srcip',
        'data',
        'alert',
        'parameters',
        'wazuh',
        'ip',
        '__proto__',
        'id',
      ),
      hostileText,
    )
    .map((text) => JSON.stringify(text)),
  tree: fc.oneof(
    { depthSize: 'small' },
    tie('leaf'),
    fc.array(tie('tree'), { maxLength: 3 }).map((items) => `[${items.join(',')}]`),
    fc
      .array(fc.tuple(tie('key'), tie('tree')), { maxLength: 4 })
      .map((entries) => `{${entries.map(([key, value]) => `${key}:${value}`).join(',')}}`),
  ),
}));

/** Texts of a field that should hold an address. */
const source = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.ipV4().map((text) => `::ffff:${text}`),
  fc.ipV4Extended(),
  hostileText,
);

/** Fields with other names than the given ones, and repetitions of the given names, which must have no effect. */
function later(...names: readonly string[]): fc.Arbitrary<string> {
  const name = fc.oneof(
    fc.constantFrom(...names),
    fc.constantFrom('zzz', '__proto__', 'constructor'),
  );
  return fc
    .array(fc.tuple(name, hostileJson), { maxLength: 4 })
    .map((entries) => entries.map(([key, value]) => `,${JSON.stringify(key)}:${value}`).join(''));
}

interface Meant {
  readonly text: string;
  readonly command: string;
  readonly source: string;
}

const wazuh4: fc.Arbitrary<Meant> = fc
  .record({
    command: fc.constantFrom('add', 'delete'),
    source,
    id: hostileText,
    rule: hostileJson,
    before: hostileJson,
    dataLater: later('srcip'),
    alertLater: later('data', 'id', 'rule'),
    parametersLater: later('alert'),
    rootLater: later('command', 'parameters'),
  })
  .map((it) => ({
    command: it.command,
    source: it.source,
    text:
      `{"version":1,"origin":${it.before},"command":"${it.command}","parameters":{"extra_args":${it.before},` +
      `"alert":{"id":${JSON.stringify(it.id)},"rule":${it.rule},"full_log":${JSON.stringify(it.source)},` +
      `"data":{"srcip":${JSON.stringify(it.source)}${it.dataLater}}${it.alertLater}},` +
      `"program":"active-response/bin/firewall-drop"${it.parametersLater}}${it.rootLater}}`,
  }));

const wazuh5: fc.Arbitrary<Meant> = fc
  .record({
    command: fc.constantFrom('enable', 'disable'),
    source,
    event: hostileJson,
    timeout: hostileJson,
    sourceLater: later('ip'),
    rootLater: later('command', 'source', 'wazuh'),
  })
  .map((it) => ({
    command: it.command,
    source: it.source,
    text:
      `{"wazuh":{"active_response":{"type":"stateful","stateful_timeout":${it.timeout}},"rule":${it.event}},` +
      `"event":${it.event},"source":{"ip":${JSON.stringify(it.source)}${it.sourceLater}},` +
      `"command":"${it.command}"${it.rootLater}}`,
  }));

/**
 * Other fields of the default order that hold an address can follow `source`, except in Wazuh 5, which has one field.
 */
function expectMeant({ text, command, source: written }: Meant, fields: readonly string[]): void {
  const request = readMessage(Buffer.from(text), {
    addressFields: fields,
    wazuh5Fields: WAZUH5_ADDRESS_FIELDS,
  });
  const meant = theirText(written);
  expect(request.action).toBe(['add', 'enable'].includes(command) ? 'block' : 'unblock');
  expect(request.address?.text ?? null).toBe(meant);
  checkRequest(request, text);
  if (request.address !== null) checkAddress(request.address, written);
}

describe('with any other fields, a message', () => {
  test('of Wazuh 4 is execd’s request for the address in srcip or for none', () => {
    fc.assert(
      fc.property(wazuh4, (meant) => {
        expectMeant(meant, ['data.srcip']);
      }),
      RUNS,
    );
  });

  test('of Wazuh 4 with a literal srcip is a request for that address only', () => {
    fc.assert(
      fc.property(wazuh4, (meant) => {
        fc.pre(theirText(meant.source) !== null);
        expectMeant(meant, DEFAULT_ADDRESS_FIELDS);
      }),
      RUNS,
    );
  });

  test('of Wazuh 5 is execd’s request for the address in source.ip or for none', () => {
    fc.assert(
      fc.property(wazuh5, (meant) => {
        expectMeant(meant, []);
      }),
      RUNS,
    );
  });
});

test('arguments of ossec-execd are a request for the third one or none, with any user name', () => {
  const args = fc.record({
    action: fc.constantFrom('add', 'delete'),
    user: hostileText,
    source,
    more: fc.array(hostileText, { maxLength: 2 }),
  });
  fc.assert(
    fc.property(args, ({ action, user, source: ip, more }) => {
      const list = [action, user, ip, '1628597593.1234567', '5710', ...more];
      expect(readInvocation(list, false)).toBe('ossec');
      const request = readArguments(list);
      expect(request.address?.text ?? null).toBe(theirText(ip));
      checkRequest(request);
    }),
    RUNS,
  );
});

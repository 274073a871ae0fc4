// Finds the offender's address in the first configured field that holds a literal address, and never in free text.
import { describe, expect, test } from '@jest/globals';
import { CLOUD_ADDRESS_FIELDS, DEFAULT_ADDRESS_FIELDS } from '../../../src/config/schema.ts';
import { parseJson } from '../../../src/wazuh/json.ts';
import { findSource, type Source } from '../../../src/wazuh/request.ts';

function find(alert: unknown, fields = DEFAULT_ADDRESS_FIELDS): Source {
  return findSource(parseJson(JSON.stringify(alert)), fields);
}

/** An alert with a value at a dotted path. */
function alertWith(path: string, value: unknown): unknown {
  return path.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
}

test.each([...DEFAULT_ADDRESS_FIELDS, ...CLOUD_ADDRESS_FIELDS])(
  'an address is found in %s',
  (field) => {
    const { address, field: found } = find(alertWith(field, '198.51.100.7'), [
      ...DEFAULT_ADDRESS_FIELDS,
      ...CLOUD_ADDRESS_FIELDS,
    ]);
    expect([address?.text, found]).toEqual(['198.51.100.7', field]);
  },
);

test('the source address has precedence over the address in a Windows event by default', () => {
  const data = { win: { eventdata: { ipAddress: '203.0.113.9' } }, srcip: '198.51.100.7' };
  expect(find({ data }).address?.text).toBe('198.51.100.7');
});

test.each(['-', 'attacker.example', '', '::1%lo', '198.51.100.0/24'])(
  'the next field is tried if a field holds %j',
  (value) => {
    const { address, passedOver } = find({ data: { srcip: value, srcip2: '198.51.100.7' } });
    expect(address?.text).toBe('198.51.100.7');
    expect(passedOver).toEqual(['data.srcip']);
  },
);

test('the address of the victim is never used', () => {
  const data = { dstip: '192.0.2.1', win: { eventdata: { destinationIp: '192.0.2.1' } } };
  expect(find({ data, full_log: '192.0.2.1', agent: { ip: '192.0.2.1' } }).address).toBeNull();
});

test('a key with a dot in its name is not a path', () => {
  expect(find({ 'data.srcip': '198.51.100.7' }).address).toBeNull();
});

test('a property of a prototype is not a field', () => {
  expect(find({}, ['__proto__.srcip', 'constructor.name']).address).toBeNull();
});

describe('the reason for a missing address names', () => {
  test('the fields that hold something else', () => {
    const source = find({ data: { srcip: 'attacker.example', ClientIP: '-' } });
    expect(source.addressTrouble).toBe('no literal address in data.srcip, data.ClientIP');
  });

  test('the fields that were looked for', () => {
    expect(find({}, ['source.ip']).addressTrouble).toBe(
      'the alert has none of the fields source.ip',
    );
  });

  test('no value of a field, because an attacker can have written it', () => {
    const source = find({ data: { srcip: '\u001b[2J evil' } });
    expect(source.addressTrouble).not.toContain('evil');
  });
});

// Parses messages of wazuh-execd, valid and hostile ones.
import { describe, expect, test } from '@jest/globals';
import { DEFAULT_ADDRESS_FIELDS, WAZUH5_ADDRESS_FIELDS } from '../../../src/config/schema.ts';
import { type Request, readMessage } from '../../../src/wazuh/request.ts';
import { codeOf } from '../support/workshop.ts';

const WAZUH4 = `{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"add","parameters":{"extra_args":[],"alert":{"timestamp":"2021-08-10T12:13:13.999+0000","rule":{"level":5,"description":"sshd: Attempt to login using a non-existent user","id":"5710"},"agent":{"id":"001","name":"web01"},"id":"1628597593.1234567","full_log":"…","data":{"srcip":"198.51.100.7","srcport":"54321"},"location":"/var/log/auth.log"},"program":"active-response/bin/firewall-drop"}}`;
const WAZUH5 = `{"wazuh":{"active_response":{"name":"block-ip","executable":"firewall-drop","location":"local","type":"stateful","stateful_timeout":180,"extra_arguments":""},"agent":{"id":"001","name":"web01"},"rule":{"id":"6f9619ff-8b86","title":"SSH brute force"}},"event":{"doc_id":"d1","index":"i1"},"source":{"ip":"192.0.2.44","port":51234},"command":"enable"}`;

function read(text: string | Buffer, fields = DEFAULT_ADDRESS_FIELDS): Request {
  return readMessage(Buffer.from(text as string), {
    addressFields: fields,
    wazuh5Fields: WAZUH5_ADDRESS_FIELDS,
  });
}

function wazuh4(alert: unknown, command = 'add'): Request {
  return read(JSON.stringify({ version: 1, command, parameters: { alert } }));
}

function wazuh5(response: object, rest: object = {}): Request {
  return read(
    JSON.stringify({
      wazuh: { active_response: response },
      source: { ip: '192.0.2.44' },
      command: 'enable',
      ...rest,
    }),
  );
}

describe('a message of Wazuh 4', () => {
  test('is read as it comes', () => {
    expect(read(WAZUH4)).toMatchObject({
      dialect: 'wazuh4',
      action: 'block',
      address: { text: '198.51.100.7' },
      addressTrouble: '',
      alertId: '1628597593.1234567',
      ruleId: '5710',
      timeoutSeconds: undefined,
      reason: 'sshd: Attempt to login using a non-existent user',
    });
  });

  test('with `delete` is a request to unblock', () => {
    expect(read(WAZUH4.replace('"add"', '"delete"')).action).toBe('unblock');
  });

  test('sent by hand from the manager is valid without ids', () => {
    const request = wazuh4({ data: { srcip: '198.51.100.7' } });
    expect(request).toMatchObject({ alertId: null, ruleId: null, reason: '' });
    expect(request.address?.text).toBe('198.51.100.7');
  });

  test.each([
    ['a host name', { data: { srcip: 'attacker.example' } }],
    ['a network', { data: { srcip: '0.0.0.0/0' } }],
    ['an option', { data: { srcip: '-F' } }],
    ['a number', { data: { srcip: 16909060 } }],
    ['a list', { data: { srcip: ['198.51.100.7'] } }],
    ['null', { data: { srcip: null } }],
    ['nothing', { data: {} }],
    ['an address only in the log line', { full_log: 'from 198.51.100.7', data: {} }],
    ['an address under a name in another case', { data: { srcIP: '198.51.100.7' } }],
  ])('with %s instead of an address has no address, and a reason for that', (_, alert) => {
    const request = wazuh4(alert);
    expect(request.address).toBeNull();
    expect(request.addressTrouble).not.toBe('');
  });

  test.each([
    ['1628597593', null],
    ['1628597593.1234567 add', null],
    ['1.2\n3.4', null],
    ['(from_the_server)', null],
    [`${'1'.repeat(21)}.1`, null],
    ['1628597593.1234567', '1628597593.1234567'],
  ])('with the alert id %j has the id %j', (id, alertId) => {
    expect(wazuh4({ id, data: { srcip: '198.51.100.7' } }).alertId).toBe(alertId);
  });

  test.each([
    ['5710', '5710'],
    ['-1', null],
    ['5710 x', null],
    ['57\n10', null],
    ['1'.repeat(11), null],
    [5710, null],
  ])('with the rule id %j has the id %j', (id, ruleId) => {
    expect(wazuh4({ rule: { id }, data: { srcip: '198.51.100.7' } }).ruleId).toBe(ruleId);
  });

  test('has a reason that is the rule’s description, shortened and printable', () => {
    const description = `\u001b[31m\n${'x'.repeat(5000)}`;
    const { reason } = wazuh4({ rule: { description }, data: {} });
    expect(reason.startsWith('\\u001b[31m\\u000ax')).toBe(true);
    expect(reason.length).toBeLessThan(250);
  });
});

describe('a message of Wazuh 5', () => {
  test('is read as it comes', () => {
    expect(read(WAZUH5)).toMatchObject({
      dialect: 'wazuh5',
      action: 'block',
      address: { text: '192.0.2.44' },
      alertId: null,
      ruleId: null,
      timeoutSeconds: 180,
      reason: 'SSH brute force',
    });
  });

  test('with `disable` is a request to unblock', () => {
    expect(read(WAZUH5.replace('"enable"', '"disable"')).action).toBe('unblock');
  });

  test('has its address in the first of alert.wazuh5_fields that holds one', () => {
    const fields = ['client.ip', 'source.ip'];
    const message = { wazuh: {}, command: 'enable', source: { ip: '192.0.2.44' } };
    const readFields = (value: object): string | undefined => {
      const line = Buffer.from(JSON.stringify(value));
      return readMessage(line, { addressFields: DEFAULT_ADDRESS_FIELDS, wazuh5Fields: fields })
        .address?.text;
    };
    expect(readFields({ ...message, client: { ip: '192.0.2.45' } })).toBe('192.0.2.45');
    expect(readFields({ ...message, client: { ip: 'web01' } })).toBe('192.0.2.44');
  });

  test('has its address in `source.ip` only, by default', () => {
    const elsewhere = { data: { srcip: '203.0.113.9' }, destination: { ip: '203.0.113.9' } };
    expect(wazuh5({}, { source: { ip: 'host.example' }, ...elsewhere }).address).toBeNull();
  });

  test.each([
    ['stateful with a timeout', { type: 'stateful', stateful_timeout: 180 }, 180],
    ['stateless, which is never disabled', { type: 'stateless', stateful_timeout: 180 }, null],
    ['stateful with 0', { type: 'stateful', stateful_timeout: 0 }, null],
    ['stateful without a timeout', { type: 'stateful' }, null],
    ['a negative timeout', { type: 'stateful', stateful_timeout: -5 }, null],
    ['half a second', { type: 'stateful', stateful_timeout: 0.5 }, null],
    ['more seconds than a lifetime has', { type: 'stateful', stateful_timeout: 1e300 }, null],
    ['words', { type: 'stateful', stateful_timeout: 'soon' }, null],
  ])('with %s: %j has the timeout %j', (_, response, timeoutSeconds) => {
    expect(wazuh5(response).timeoutSeconds).toBe(timeoutSeconds);
  });

  test('can have its timeout at the root', () => {
    expect(wazuh5({ type: 'stateful' }, { stateful_timeout: 60 }).timeoutSeconds).toBe(60);
  });

  test('stays a message of Wazuh 5 if it also has `parameters`', () => {
    expect(wazuh5({}, { parameters: { alert: {} } }).dialect).toBe('wazuh5');
  });
});

describe('the first value of a repeated key counts', () => {
  test.each([
    [
      'the command',
      WAZUH4.replace('"command":"add"', '"command":"delete","command":"add"'),
      'unblock',
      '198.51.100.7',
    ],
    [
      'the address',
      WAZUH4.replace('"srcip":', '"srcip":"203.0.113.9","srcip":'),
      'block',
      '203.0.113.9',
    ],
    [
      'the data',
      WAZUH4.replace('"data":', '"data":{"srcip":"203.0.113.9"},"data":'),
      'block',
      '203.0.113.9',
    ],
    [
      'the parameters',
      WAZUH4.replace(
        '"parameters":',
        '"parameters":{"alert":{"data":{"srcip":"203.0.113.9"}}},"parameters":',
      ),
      'block',
      '203.0.113.9',
    ],
  ])('for %s', (_, text, action, address) => {
    const request = read(text);
    expect([request.action, request.address?.text]).toEqual([action, address]);
  });
});

describe('a line is refused', () => {
  test.each([
    ['empty', ''],
    ['not JSON', 'add - 198.51.100.7'],
    ['a list', '[]'],
    ['a string', '"add"'],
    ['null', 'null'],
    ['of neither dialect', '{"command":"add"}'],
    ['with parameters that are not an object', '{"command":"add","parameters":"x"}'],
    ['with text after it', `${WAZUH4} ${WAZUH4}`],
    ['with a NUL inside', WAZUH4.replace('web01', 'web\0')],
    ['with a byte order mark', `\ufeff${WAZUH4}`],
    ['without a command', WAZUH4.replace('"command"', '"Command"')],
    ['with a command in capitals', WAZUH4.replace('"add"', '"ADD"')],
    ['with the command of the other dialect', WAZUH4.replace('"add"', '"enable"')],
    ['with Wazuh 4’s command in Wazuh 5', WAZUH5.replace('"enable"', '"add"')],
    ['with a command that is not a string', WAZUH4.replace('"add"', '["add"]')],
    ['with `check_keys`', WAZUH4.replace('"add"', '"check_keys"')],
  ])('that is %s', (_, text) => {
    expect(codeOf(() => read(text))).toBe('BAD_DATA');
  });

  test('with invalid UTF-8 in its address has no address', () => {
    const bytes = Buffer.from(WAZUH4.replace('198.51.100.7', '198.51.100.7\u00ff'), 'latin1');
    expect(read(bytes).address).toBeNull();
  });
});

test('invalid UTF-8 in free text does not prevent a block', () => {
  const bytes = Buffer.from(WAZUH4.replace('web01', 'web\u00ff'), 'latin1');
  expect(read(bytes).address?.text).toBe('198.51.100.7');
});

// Reads the agent's own files: timeouts, managers and the white list.
import { describe, expect, test } from '@jest/globals';
import {
  NO_SETTINGS,
  readArConf,
  readOssecConf,
  timeoutsOf,
  type AgentSettings,
} from '../../../src/wazuh/agent-config.ts';
import { longestTimeout } from '../../../src/wazuh/policy.ts';

describe('ar.conf', () => {
  test('gives the timeout of each executable', () => {
    const text =
      'restart-ossec0 - restart-ossec.sh - 0\nfirewall-drop3600 - firewall-drop - 3600\nblock60 - firewall-drop - 60\n';
    expect(readArConf(text)).toEqual([
      { executable: 'restart-ossec.sh', seconds: 0 },
      { executable: 'firewall-drop', seconds: 3600 },
      { executable: 'firewall-drop', seconds: 60 },
    ]);
  });

  test.each([
    '',
    '# comment',
    'a - firewall-drop',
    'a - firewall-drop - ',
    'a - firewall-drop - -5',
    'a - firewall-drop - 5s',
    'a - firewall-drop - 99999999999',
    'a b - firewall-drop - 5',
  ])('is read without the line %j', (line) => {
    expect(readArConf(`${line}\nx - other - 7\n`)).toEqual([{ executable: 'other', seconds: 7 }]);
  });

  test('can have the line ends of Windows', () => {
    expect(readArConf('a - firewall-drop - 5\r\n')).toEqual([
      { executable: 'firewall-drop', seconds: 5 },
    ]);
  });
});

describe('the longest time that an address stays blocked', () => {
  const configured = [
    { executable: 'firewall-drop', seconds: 600 },
    { executable: 'firewall-drop', seconds: 60 },
    { executable: 'host-deny', seconds: 9999 },
  ];
  const timeouts = timeoutsOf('firewall-drop', configured);
  const repeated = (...minutes: number[]): AgentSettings => ({
    ...NO_SETTINGS,
    repeatedOffendersMinutes: minutes,
  });

  test('is the longest of our own timeouts', () => {
    expect(longestTimeout(timeouts, NO_SETTINGS)).toBe(600);
  });

  test('is the longest timeout of repeated offenders, which is in minutes', () => {
    expect(longestTimeout(timeouts, repeated(30, 60, 20))).toBe(3600);
    expect(longestTimeout(timeouts, repeated(5))).toBe(600);
  });

  test('is unlimited if one of our responses has no timeout', () => {
    expect(longestTimeout([...timeouts, 0], repeated(30))).toBeNull();
  });

  test('is unlimited if no response is configured for us', () => {
    const none = timeoutsOf('firewall-drop.sh', configured);
    expect(longestTimeout(none, repeated(30))).toBeNull();
  });
});

describe('ossec.conf', () => {
  test('names the manager, the repeated offenders and the white list', () => {
    const text = `<!-- agent -->
      <ossec_config>
        <client><server><address>203.0.113.1</address><port>1514</port></server>
                <server><address>manager.example</address></server></client>
        <active-response><disabled>no</disabled><repeated_offenders>30, 60,120</repeated_offenders></active-response>
        <global><white_list>192.0.2.0/24</white_list><white_list> 2001:db8::1 </white_list></global>
      </ossec_config>`;
    expect(readOssecConf(text)).toEqual({
      repeatedOffendersMinutes: [30, 60, 120],
      managers: ['203.0.113.1', 'manager.example'],
      whiteList: ['192.0.2.0/24', '2001:db8::1'],
    });
  });

  test('names the manager in the form of older agents', () => {
    const text =
      '<ossec_config><client><server-ip>203.0.113.1</server-ip><server-hostname>manager.example</server-hostname></client></ossec_config>';
    expect(readOssecConf(text).managers).toEqual(['203.0.113.1', 'manager.example']);
  });

  test.each<[string, string, string]>([
    ['Wazuh 4', '<client><server><address>192.0.2.1</address></server></client>', '192.0.2.1'],
    ['OSSEC', '<client><server-ip>192.0.2.1</server-ip></client>', '192.0.2.1'],
    [
      'OSSEC, by name',
      '<client><server-hostname>a.example</server-hostname></client>',
      'a.example',
    ],
    [
      'Wazuh 5.0 beta',
      '<client><manager><address>192.0.2.1</address></manager></client>',
      '192.0.2.1',
    ],
    [
      'a later Wazuh 5',
      '<agent><server><address>a.example</address></server></agent>',
      'a.example',
    ],
    [
      'the enrollment of a client',
      '<client><enrollment><manager_address>192.0.2.1</manager_address></enrollment></client>',
      '192.0.2.1',
    ],
    [
      'the enrollment of an agent',
      '<agent><enrollment><manager_address>192.0.2.1</manager_address></enrollment></agent>',
      '192.0.2.1',
    ],
    [
      'an enrollment by itself',
      '<enrollment><manager_address>192.0.2.1</manager_address></enrollment>',
      '192.0.2.1',
    ],
  ])('names the manager in the form of %s', (_, text, manager) => {
    expect(readOssecConf(`<ossec_config>${text}</ossec_config>`).managers).toEqual([manager]);
  });

  test.each([
    ['manager.example', 'manager.example'],
    ['manager.example:1514', 'manager.example'],
    ['manager.example:1514/path', 'manager.example'],
    ['manager.example/path', 'manager.example'],
    ['https://manager.example', 'manager.example'],
    ['https://192.0.2.1:1514/api?x=y', '192.0.2.1'],
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:1514', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:1514', '2001:db8::1'],
    ['https://[2001:db8::1]:1514/path', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
  ])('names the manager of Wazuh 5 in the endpoint %s', (endpoint, manager) => {
    const text = `<ossec_config><agent><manager><endpoint>${endpoint}</endpoint></manager></agent></ossec_config>`;
    expect(readOssecConf(text).managers).toEqual([manager]);
  });

  test.each(['', 'https://', ':1514', '[]:1514', '/path', 'x'.repeat(254)])(
    'names no manager by the endpoint %j',
    (endpoint) => {
      const text = `<ossec_config><agent><manager><endpoint>${endpoint}</endpoint></manager></agent></ossec_config>`;
      expect(readOssecConf(text).managers).toEqual([]);
    },
  );

  test('keeps a netblock with a dotted mask in the white list', () => {
    const text =
      '<ossec_config><global><white_list>10.0.0.0/255.0.0.0</white_list><white_list>10.0.0.0/255.0.255.0</white_list></global></ossec_config>';
    expect(readOssecConf(text).whiteList).toEqual(['10.0.0.0/255.0.0.0']);
  });

  test('with very many repeated offenders gives the first five, and all entries around them', () => {
    const minutes = '7,'.repeat(400_000);
    const text = `<ossec_config><active-response><repeated_offenders>${minutes}</repeated_offenders></active-response><global><white_list>192.0.2.1</white_list></global></ossec_config>`;
    expect(readOssecConf(text)).toMatchObject({
      repeatedOffendersMinutes: [7, 7, 7, 7, 7],
      whiteList: ['192.0.2.1'],
    });
  });

  test('can have several root elements, like the default file', () => {
    const root = (address: string): string =>
      `<ossec_config><global><white_list>${address}</white_list></global></ossec_config>\n`;
    expect(readOssecConf(root('192.0.2.1') + root('192.0.2.2')).whiteList).toEqual([
      '192.0.2.1',
      '192.0.2.2',
    ]);
  });

  test('is read without entries in comments or in other places', () => {
    const text = `<ossec_config>
      <!-- <global><white_list>192.0.2.1</white_list></global> -->
      <other><white_list>192.0.2.2</white_list></other>
      <global><inner><white_list>192.0.2.3</white_list></inner></global>
      <white_list>192.0.2.4</white_list>
    </ossec_config><global><white_list>192.0.2.5</white_list></global>`;
    expect(readOssecConf(text).whiteList).toEqual([]);
  });

  test('is read without white_list entries that are not addresses', () => {
    const text =
      '<ossec_config><global><white_list>^localhost.localdomain$</white_list><white_list>192.0.2.1</white_list></global></ossec_config>';
    expect(readOssecConf(text).whiteList).toEqual(['192.0.2.1']);
  });

  test.each([
    ['is cut short', '</global>'],
    ['has an element that is never closed', '</global><a><b>'],
    ['has a stray closing tag', '</wrong></global></ossec_config>'],
    ['has a bare ampersand', '</global><a>&</a></ossec_config>'],
    ['has an attribute without quotes', '</global><a b=c></a></ossec_config>'],
  ])('protects the entries before its mistake if it %s', (_, end) => {
    const text = `<ossec_config><client><server><address>203.0.113.1</address></server></client><global><white_list>192.0.2.1</white_list>${end}`;
    const { managers, whiteList } = readOssecConf(text);
    expect(managers).toEqual(['203.0.113.1']);
    expect(whiteList).toEqual(['192.0.2.1']);
  });

  test.each(['', 'garbage', '<', '<ossec_config', '\0', '<!DOCTYPE x [<!ENTITY a "b">]>&a;'])(
    '%j says nothing, and does not crash',
    (text) => {
      expect(readOssecConf(text)).toEqual(NO_SETTINGS);
    },
  );

  test('with deep nesting does not crash the parser', () => {
    expect(readOssecConf('<a>'.repeat(100_000))).toEqual(NO_SETTINGS);
  });

  test('with deep nesting is read in linear time', () => {
    // In quadratic time this would take minutes.
    const depth = 35_000;
    const text = `${'<ossec_config>'.repeat(depth)}${'</ossec_config>'.repeat(depth)}`;
    expect(readOssecConf(text)).toEqual(NO_SETTINGS);
  });

  test('with more mistakes than a person makes is read up to them', () => {
    const text = `<ossec_config><global><white_list>192.0.2.1</white_list>${'&'.repeat(300_000)}<white_list>192.0.2.2</white_list>`;
    expect(readOssecConf(text).whiteList).toEqual(['192.0.2.1']);
  });

  test.each(['1e300', '0x10', '99999999999', '+5', ''])(
    'has no repeated offender’s time in %j, which execd reads otherwise or no date can hold',
    (value) => {
      const text = `<ossec_config><active-response><repeated_offenders>${value}</repeated_offenders></active-response></ossec_config>`;
      expect(readOssecConf(text).repeatedOffendersMinutes).toEqual([]);
    },
  );

  test('gives as many repeated offenders as execd uses, and only valid ones', () => {
    const text =
      '<ossec_config><active-response><repeated_offenders>1,x,2,-3,0,4,5.5,6,7,8</repeated_offenders></active-response></ossec_config>';
    expect(readOssecConf(text).repeatedOffendersMinutes).toEqual([1, 2, 4, 6, 7]);
  });
});

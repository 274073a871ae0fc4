// Compares complete tables and messages with snapshots. Only times and ids are replaced.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createVictim, type Victim } from '../support/victim.ts';

let victim: Victim;

beforeAll(async () => {
  victim = await createVictim();
  victim.add('203.0.113.9');
  victim.person(['add', '198.51.100.0/24', '--timeout', '2d', '--reason', 'scans our shop']);
  victim.person(['add', '2001:db8::9']);
  victim.person(['add', '127.0.0.1']);
});

afterAll(async () => {
  await victim.dispose();
});

/** Replaces times, and ids that are times. They differ between runs, but not in width. */
function timeless(text: string): string {
  return (
    text
      .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'YYYY-MM-DD hh:mm:ss')
      .replace(/\b1[7-9]\d{8}\.\d{6}\b/g, 'SSSSSSSSSS.UUUUUU')
      // The ban was made just now or a second ago.
      .replace(/2d {4}|1d 23h|\b2d\b/g, 'LENGTH')
      .replace(/\b1d {5}|\b23h 5\dm|\b1d\b(?=,)/g, 'LENGTH ')
      .replace(/[ \t]+$/gm, '')
      .replace(/\d+ bytes/, 'N bytes')
  );
}

describe('the output is as in the snapshot:', () => {
  test.each([
    [['list']],
    [['list', '--csv']],
    [['list', '--plain']],
    [['status', '203.0.113.9']],
    [['status', '198.51.100.7']],
    [['status', '192.0.2.1']],
    [['history']],
    [['protect', 'check', '127.0.0.1']],
    [['--help']],
    [['add', '--help']],
  ])('%j', (args) => {
    expect(timeless(victim.person(args).stdout)).toMatchSnapshot();
  });
});

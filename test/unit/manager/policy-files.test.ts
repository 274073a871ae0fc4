// `config check` on the policy of a manager: the arguments of a command, and the file for a group of agents.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from '@jest/globals';
import { checkFiles } from '../../../src/manager/check-files.ts';
import { ownDirectory } from '../support/directory.ts';

const home = ownDirectory();
beforeEach(() => {
  mkdirSync(join(home, 'etc/shared/web'), { recursive: true });
});

function findings(place: string, text: string): string[] {
  const path = join(home, place);
  writeFileSync(path, text);
  return checkFiles([path], 'wazuh').map(({ line, severity, cause }) => {
    return `${line}: ${severity}: ${cause}`;
  });
}

function command(words: string): string {
  return `<ossec_config>
  <command>
    <name>release</name>
    <executable>firewall-drop</executable>
    <extra_args>${words}</extra_args>
  </command>
</ossec_config>
`;
}

test.each(['release', 'keep timeout=2h', 'timeout=never reason=scans our shop'])(
  'the arguments %j have no findings',
  (words) => {
    expect(findings('etc/ossec.conf', command(words))).toEqual([]);
  },
);

test.each(['relase', 'timeout=2x'])('the argument %j is a warning', (word) => {
  expect(findings('etc/ossec.conf', command(`keep ${word}`))).toEqual([
    `5: warning: firewall-drop does not know "${word}" in <extra_args>, and ignores it`,
  ]);
});

const GROUP = 'etc/shared/web/firewall-drop.toml';

test('a group file that protects, ignores and shortens has no findings', () => {
  const text =
    '[protect]\nallow = ["192.0.2.1"]\n[[policy]]\naction = "ignore"\n[[policy]]\ntimeout_max = "1h"\n';
  expect(findings(GROUP, text)).toEqual([]);
});

test('a group file with other keys, or with invalid TOML, has an error with its line', () => {
  expect(findings(GROUP, '[protect]\nallow = []\n[limits]\ngrace_seconds = 1\n')).toEqual([
    expect.stringMatching(/^4: error: `limits\.grace_seconds` is refused/),
  ]);
  expect(findings(GROUP, '[protect]\nallow = [\n[[policy\n')[0]).toMatch(/^[23]: error: /);
});

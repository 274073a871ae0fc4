// `version`, `man` and `completion`: describe the program itself.
import { findProgram } from '../../system/exec.ts';
import { BUILD } from '../../model/version.ts';
import { defineCommand, outputAs } from '../command.ts';
import { SHELLS } from '../completion.ts';
import { formatManualPage } from '../man.ts';
import { printAnswer } from '../output/json.ts';
import { packagedText } from '../packaged.ts';

const BACKEND_PROGRAMS = { iptables: 'iptables-restore', ip6tables: 'ip6tables-restore' } as const;

export const version = defineCommand({
  name: 'version',
  summary: 'Print the version, the commit, the runtime and the programs found',
  options: { output: outputAs('text', 'json') },
  examples: [
    ['version', 'show the installed version'],
    ['version --json', 'for an inventory'],
  ],
  needsRoot: false,
  run(_words, { output }, person) {
    const programs = Object.entries(BACKEND_PROGRAMS).map(([name, program]) => {
      return [name, findProgram(program)] as const;
    });
    const facts = {
      version: BUILD.version,
      commit: BUILD.commit,
      runtime: `node ${process.versions.node}`,
      platform: `${process.platform}-${process.arch}`,
      programs: Object.fromEntries(programs),
    };
    const { version, commit, runtime, platform } = facts;
    const lines = [
      `firewall-drop ${version} (${commit}), ${runtime}, ${platform}`,
      ...programs.map(([name, path]) => `${name}: ${path ?? 'not found'}`),
    ];
    printAnswer(output, facts, lines, person);
    return 0;
  },
});

export const man = defineCommand({
  name: 'man',
  summary: 'Print the manual page, firewall-drop(8)',
  details: 'The output is roff, for man(1).',
  examples: [
    ['man | man -l -', 'read it'],
    ['man > firewall-drop.8', 'save it'],
  ],
  needsRoot: false,
  run(_words, _options, person) {
    person.print(formatManualPage(person.commands));
    return 0;
  },
});

export const completion = defineCommand({
  name: 'completion',
  summary: 'Print the completion script of a shell',
  details: 'The script calls this program at each Tab. Banned addresses are offered to root only.',
  positional: { name: 'shell', describe: 'the shell', count: 'one', choices: SHELLS },
  examples: [
    ['completion bash > /etc/bash_completion.d/firewall-drop', 'for bash'],
    ['completion fish > ~/.config/fish/completions/firewall-drop.fish', 'for fish'],
  ],
  needsRoot: false,
  run([shell = ''], _options, person) {
    person.print(packagedText(`firewall-drop.${shell}`).trimEnd());
    return 0;
  },
});

// `config snippet` and `config check`: what to configure on a manager and its agents, and whether it is right.
import { AppError } from '../../model/errors.ts';
import { printable } from '../../system/printable.ts';
import { readAddress } from '../addresses.ts';
import { checkFiles, formatFinding, usualFiles } from '../../manager/check-files.ts';
import { ANSWER_NO, anyText, defineCommand, matching, oneOf, outputAs } from '../command.ts';
import { count } from '../output/count.ts';
import { documentText } from '../output/json.ts';
import { TIMEOUT } from '../output/time.ts';
import { LOCATIONS, renderSnippet } from '../snippet.ts';

const MANAGERS = ['4', '5', 'ossec'] as const;

const IDS = /^[\s,]*[0-9]{1,6}(?:[\s,]+[0-9]{1,6})*[\s,]*$/;
const MAIL_ADDRESS = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}$/;

export const configSnippet = defineCommand({
  name: 'config snippet',
  summary: 'Print what to configure on the manager and its agents, and where it goes',
  details:
    'Commented XML for the ossec.conf of the manager, for local_rules.xml, which raises the rules about blocks to a level that mails, and for the ossec.conf of the agents; for Wazuh 5 the fields to fill in. Nothing is edited: put each part where it says, and let config check look at it.',
  options: {
    wazuh: {
      ...oneOf(...MANAGERS),
      default: MANAGERS[0],
      describe: 'for which manager; ossec also for Wazuh before 4.2',
    },
    timeout: {
      ...TIMEOUT,
      default: '1h',
      describe: 'how long a block lasts: 90m, 1h30m, 3600, never',
    },
    rules: {
      ...matching('IDS', IDS, 'ids of rules with commas between them, such as 5712,31151'),
      default: '5712,31151',
      describe: 'which rules block, with commas between them',
    },
    location: {
      ...oneOf(...LOCATIONS),
      default: 'local',
      describe: 'where the block is made',
    },
    agent: {
      ...matching('ID', /^[0-9]{1,8}$/, 'the id of an agent, such as 002'),
      describe: 'the agent, for defined-agent',
    },
    allow: {
      ...anyText('ADDRESSES'),
      describe: 'never block these, with commas between them',
    },
    mail: {
      ...matching('ADDRESS', MAIL_ADDRESS, 'one address, such as ops@example.org'),
      describe: 'who gets a mail about every block',
    },
  },
  examples: [
    ['config snippet --rules 5712 --timeout 2h', 'block for two hours'],
    ['config snippet --allow 192.0.2.0/24 --mail ops@example.org', 'with white list and mail'],
  ],
  exits: { 0: 'the snippet is printed', 65: "an address can't be read" },
  needsRoot: false,
  run(_words, options, person) {
    const { wazuh, timeout, rules, location, agent = null, allow = '', mail = null } = options;
    if ((location === 'defined-agent') !== (agent !== null)) {
      throw new AppError('USAGE', '--agent ID and --location defined-agent go together');
    }
    renderSnippet({
      wazuh,
      timeoutSeconds: timeout,
      ruleIds: wordsOf(rules),
      location,
      agentId: agent,
      allow: wordsOf(allow).map((word) => readAddress(word).text),
      mailTo: mail,
    }).forEach(person.print);
    return 0;
  },
});

function wordsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '');
}

export const configCheck = defineCommand({
  name: 'config check',
  summary: 'Find what is wrong in ossec.conf, local_rules.xml and ar.conf',
  details:
    'Without a file: those of the agent or manager on this host. First whether the XML is well-formed, with the usual causes named wherever they stand; then whether it can work: commands, executables, timeouts, locations, rules, white list, mail. Every finding has its place, its line and a fix. All files are checked together: commands, rules and settings of one count for another.',
  positional: {
    name: 'file',
    describe: 'an ossec.conf, a file of rules, or an ar.conf',
    count: 'any',
    offers: 'files',
  },
  options: {
    wazuh: {
      ...oneOf('4', 'ossec'),
      default: '4',
      describe: 'whose rules to check by; ossec also for Wazuh before 4.2',
    },
    strict: { kind: 'flag', describe: 'warnings are errors' },
    output: outputAs('text', 'json'),
  },
  examples: [
    ['config check', 'before a restart: everything on this host'],
    ['config check --strict --json ossec.conf', 'in a pipeline'],
  ],
  exits: {
    0: 'no error was found',
    1: 'an error was found, or with --strict a warning',
    65: "a file can't be read",
  },
  needsRoot: false,
  run(words, { wazuh, strict, output }, person) {
    const files =
      words.length > 0 ? words : usualFiles(person.createContext({ readOnly: true }).place.home);
    const findings = checkFiles(files, wazuh === 'ossec' ? 'ossec' : 'wazuh');
    const errors = findings.filter(({ severity }) => severity === 'error').length;
    const warnings = findings.length - errors;
    if (output === 'json') {
      person.print(documentText({ files, errors, warnings, findings }));
    } else {
      findings.flatMap(formatFinding).forEach(person.print);
      const names = files.map(printable).join(', ');
      person.print(`${names}: ${count(errors, 'error')}, ${count(warnings, 'warning')}`);
    }
    return errors > 0 || (strict && warnings > 0) ? ANSWER_NO : 0;
  },
});

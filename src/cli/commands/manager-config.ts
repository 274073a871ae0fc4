// `config snippet` and `config check`: print the configuration of a manager and its agents, and check it.
import { AppError } from '../../model/errors.ts';
import { printable } from '../../system/printable.ts';
import { readAddress } from '../addresses.ts';
import { checkFiles, formatFinding, usualFiles } from '../../manager/check-files.ts';
import { ANSWER_NO, anyText, defineCommand, matching, oneOf, outputAs } from '../command.ts';
import { count } from '../output/count.ts';
import { printAnswer } from '../output/json.ts';
import { TIMEOUT } from '../output/time.ts';
import { packagedLines, when } from '../packaged.ts';

const MANAGERS = ['4', '5', 'ossec'] as const;
const LOCATIONS = ['local', 'server', 'defined-agent', 'all'] as const;

const IDS = /^[\s,]*[0-9]{1,6}(?:[\s,]+[0-9]{1,6})*[\s,]*$/;
const MAIL_ADDRESS = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}$/;

export const configSnippet = defineCommand({
  name: 'config snippet',
  summary: 'Print the configuration for the manager and its agents',
  details:
    'Prints commented XML for the ossec.conf of the manager, for local_rules.xml, which raises the rules about blocks to a level that sends mail, and for the ossec.conf of the agents; for Wazuh 5, the form fields. No file is edited: copy each part to the file that it names, then run config check.',
  options: {
    wazuh: {
      ...oneOf(...MANAGERS),
      default: MANAGERS[0],
      describe: 'version of the manager; ossec also for Wazuh before 4.2',
    },
    timeout: {
      ...TIMEOUT,
      default: '1h',
      describe: 'how long a ban lasts: 90m, 1h30m, 3600, never',
    },
    rules: {
      ...matching('IDS', IDS, 'a list of rule ids separated by commas, such as 5712,31151'),
      default: '5712,31151',
      describe: 'ids of the rules that block, separated by commas',
    },
    location: {
      ...oneOf(...LOCATIONS),
      default: 'local',
      describe: 'where the address is blocked',
    },
    agent: {
      ...matching('ID', /^[0-9]{1,8}$/, 'the id of an agent, such as 002'),
      describe: 'the agent for --location defined-agent',
    },
    allow: {
      ...anyText('ADDRESSES'),
      describe: 'addresses that are never blocked, separated by commas',
    },
    mail: {
      ...matching('ADDRESS', MAIL_ADDRESS, 'a mail address, such as ops@example.org'),
      describe: 'send a mail about every block to this address',
    },
  },
  examples: [
    ['config snippet --rules 5712 --timeout 2h', 'block for two hours'],
    ['config snippet --allow 192.0.2.0/24 --mail ops@example.org', 'with white list and mail'],
  ],
  exits: { 0: 'success', 65: 'an address is invalid' },
  needsRoot: false,
  run(_words, options, { print }) {
    const { wazuh, timeout, rules, location, agent, mail } = options;
    if ((location === 'defined-agent') !== (agent !== undefined)) {
      throw new AppError('USAGE', '--agent ID and --location defined-agent require each other');
    }
    const isXml = wazuh !== '5';
    const allow = wordsOf(options.allow ?? '').map((word) => readAddress(word).text);
    const values = {
      ...when('ossec', wazuh === 'ossec', 'wazuh'),
      ...when('timed', timeout !== null, 'endless'),
      ...when('allows', allow.length > 0, 'open'),
      ...when('mails', mail !== undefined, 'mailless'),
      ...when('global', allow.length > 0 || mail !== undefined, 'plain'),
      ...Object.fromEntries(LOCATIONS.map((one) => [one, one === location ? [''] : []])),
      location: [location],
      agent: agent === undefined ? [] : [agent],
      rules: [wordsOf(rules).join(isXml ? ',' : ', ')],
      timeout: timeout === null ? [] : [String(timeout)],
      allow,
      allowed: [allow.join(', ')],
      mail: mail === undefined ? [] : [isXml ? mail.replaceAll('&', '&amp;') : mail],
    };
    const ruleFile = `snippet-rules-${wazuh === 'ossec' ? 'ossec' : 'wazuh'}.xml`;
    const parts = isXml
      ? ['snippet-manager.xml', ruleFile, 'snippet-agent.xml']
      : ['snippet-wazuh5.txt'];
    print(parts.map((part) => packagedLines(part, values).join('\n')).join('\n\n'));
    return 0;
  },
});

function wordsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '');
}

export const configCheck = defineCommand({
  name: 'config check',
  summary: 'Find mistakes in ossec.conf, local_rules.xml and ar.conf',
  details:
    'Without a file, checks the files of the agent or manager on this host. First checks whether the XML is well-formed, and names the usual causes if it is not; then checks whether it can work: commands, executables, timeouts, locations, rules, white list, mail. Every finding has its line, its column and a fix. All files are checked together: commands, rules and settings in one file apply to the others.',
  positional: {
    name: 'file',
    describe: 'an ossec.conf, a rule file, or an ar.conf',
    count: 'any',
    offers: 'files',
  },
  options: {
    wazuh: {
      ...oneOf('4', 'ossec'),
      default: '4',
      describe: 'version of the manager; ossec also for Wazuh before 4.2',
    },
    strict: { kind: 'flag', describe: 'exit with status 1 also for warnings' },
    output: outputAs('text', 'json'),
  },
  examples: [
    ['config check', 'check all files on this host, before a restart'],
    ['config check --strict --json ossec.conf', 'check one file in a pipeline'],
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
    const names = files.map(printable).join(', ');
    const total = `${names}: ${count(errors, 'error')}, ${count(warnings, 'warning')}`;
    const lines = [...findings.flatMap(formatFinding), total];
    printAnswer(output, { files, errors, warnings, findings }, lines, person);
    return errors > 0 || (strict && warnings > 0) ? ANSWER_NO : 0;
  },
});

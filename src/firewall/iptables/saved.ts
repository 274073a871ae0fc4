// Reads what iptables-save wrote into a file, which some hosts load at boot.
import type { Rule } from '../backend.ts';

const TABLE_LINE = /^\*(\S+)/;
const SAVED_RULE_LINE = /^(?:\[[0-9]+:[0-9]+\] )?-A (\S+) (.+)$/;

/** The rules of the filter table, in order; counters are of no use here. */
export function readSavedRules(text: string): Rule[] {
  let table = '';
  return text.split('\n').flatMap((line) => {
    table = TABLE_LINE.exec(line)?.[1] ?? table;
    const [, chain, spec] = SAVED_RULE_LINE.exec(line) ?? [];
    if (table !== 'filter' || chain === undefined || spec === undefined) return [];
    return [{ chain, spec: spec.trimEnd(), packets: 0, bytes: 0 }];
  });
}

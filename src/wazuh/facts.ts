// What an alert says of its rule, its agent and its fields, for the entries of policy. Pure.
import type { AlertFacts } from '../policy/entries.ts';
import { at, type Json } from './json.ts';

/** `rule` and `agent` are the paths to the rule and to the agent's name in a document. */
export function readFacts(
  document: Json | undefined,
  rule: readonly string[],
  agent: readonly string[],
): AlertFacts {
  const level = textOf(at(document, ...rule, 'level'));
  return {
    ruleId: textOf(at(document, ...rule, 'id')),
    level: level !== null && /^[0-9]{1,2}$/.test(level) ? Number(level) : null,
    groups: readTexts(at(document, ...rule, 'groups')),
    agent: textOf(at(document, ...agent)),
    field: (path) => textOf(at(document, ...path.split('.'))),
  };
}

export function readTexts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : null;
}

// What an alert says of its rule, its agent and its fields, for the entries of policy. Read only when asked for. Pure.
import type { AlertFacts } from '../policy/entries.ts';
import { at, type Json } from './json.ts';

/** `rule` and `agent` are the paths to the rule and to the agent's name in a document. */
export function readFacts(
  document: Json | undefined,
  rule: readonly string[],
  agent: readonly string[],
): AlertFacts {
  return {
    get ruleId() {
      return textOf(at(document, ...rule, 'id'));
    },
    get level() {
      const text = textOf(at(document, ...rule, 'level'));
      return text !== null && /^[0-9]{1,2}$/.test(text) ? Number(text) : null;
    },
    get groups() {
      return readTexts(at(document, ...rule, 'groups'));
    },
    get agent() {
      return textOf(at(document, ...agent));
    },
    field: (path) => textOf(at(document, ...path.split('.'))),
  };
}

export function readTexts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : null;
}

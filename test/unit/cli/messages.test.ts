// Collects every message of the program in messages.txt in this directory, for review.
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import ts from 'typescript';

const ROOT = join(__dirname, '../../..');
const CATALOGUE = join(__dirname, 'messages.txt');

const SOURCES = [
  'src/{bans,cli,config,firewall,manager,policy,system,wazuh}/**/*.ts',
  'src/state/{database,lock,unsaved}.ts',
  'src/{failure,main}.ts',
];

/** Properties with help texts, which are in the golden files of the screens. */
const HELP = ['describe', 'summary', 'details', 'exits', 'examples'];

const SQL = /^(?:BEGIN|INSERT|PRAGMA|SELECT)\b/;

/** Returns the text of a literal, with `{…}` for each placeholder; null if the expression is not a text. */
function textOf(node: ts.Expression): string | null {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return null;
  const parts = node.templateSpans.map(({ expression, literal }) => {
    const name = expression.getText().replace(/\s+/g, ' ');
    return `{${name.length > 40 ? '…' : name}}${literal.text}`;
  });
  return node.head.text + parts.join('');
}

/** Returns every text of a file that contains a space. Names and codes contain none. */
function messagesIn(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && HELP.includes(node.name.getText())) return;
    if (ts.isLiteralTypeNode(node) || ts.isImportDeclaration(node)) return;
    const message = ts.isExpression(node) ? textOf(node) : null;
    if (message !== null && !SQL.test(message) && /\p{L}.* |^ .*\p{L}/su.test(message))
      found.add(JSON.stringify(message));
    ts.forEachChild(node, visit);
  };
  visit(source);
  return [...found];
}

function catalogue(): string {
  const files = SOURCES.flatMap((pattern) => globSync(pattern, { cwd: ROOT })).sort();
  const parts = files.flatMap((file) => {
    const messages = messagesIn(file);
    return messages.length === 0
      ? []
      : [`${file}\n${messages.map((one) => `  ${one}\n`).join('')}`];
  });
  return parts.join('\n');
}

test('messages.txt has every message; UPDATE_MESSAGES=1 updates it', () => {
  const now = catalogue();
  if (process.env['UPDATE_MESSAGES'] === '1') writeFileSync(CATALOGUE, now);
  expect(readFileSync(CATALOGUE, 'utf8')).toBe(now);
});

test('no message contains a term that this project avoids', () => {
  expect(catalogue()).not.toMatch(/\b(?:books|owed|settle|house|traceless|strays)\b/);
});

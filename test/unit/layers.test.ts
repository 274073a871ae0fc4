// Who may know whom: the arrows between the parts of the program, read from its imports.
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import ts from 'typescript';

const ROOT = join(__dirname, '../../src');

/** What words every part may use: addresses, bans, and errors, which know nobody themselves. */
const VOCABULARY = ['ban/address.ts', 'errors.ts'];

/** For each folder: what else its files may import. */
const MAY_KNOW: Readonly<Record<string, readonly string[]>> = {
  os: VOCABULARY,
  store: [...VOCABULARY, 'os/', 'ban/ban.ts'],
  firewall: [...VOCABULARY, 'os/'],
  ban: [...VOCABULARY, 'os/', 'store/', 'firewall/'],
  wazuh: [...VOCABULARY, 'os/', 'store/', 'firewall/', 'ban/'],
  context: [
    ...VOCABULARY,
    'os/',
    'store/',
    'firewall/',
    'ban/',
    'wazuh/',
    'config.ts',
    'diagnostics.ts',
  ],
  cli: [
    ...VOCABULARY,
    'os/',
    'store/',
    'firewall/',
    'ban/',
    'wazuh/',
    'context/',
    'config.ts',
    'diagnostics.ts',
    'version.ts',
    'complaint.ts',
  ],
};

interface Import {
  /** As written for a package; below src for a file of ours. */
  readonly what: string;
  /** Whether the module is loaded at all, or only its types are named. */
  readonly loads: boolean;
  /** Whether it is loaded when a function runs, and not with the file. */
  readonly lazy: boolean;
}

const FILES = readdirSync(ROOT, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .sort();
const IMPORTS = new Map(FILES.map((file) => [file, importsOf(file)]));

function importsOf(file: string): Import[] {
  const source = ts.createSourceFile(
    file,
    readFileSync(join(ROOT, file), 'utf8'),
    ts.ScriptTarget.Latest,
  );
  const found: Import[] = [];
  const visit = (node: ts.Node, inFunction: boolean): void => {
    const specifier = specifierOf(node);
    if (specifier !== null) {
      const what = specifier.text.startsWith('.')
        ? posix.join(posix.dirname(file), specifier.text)
        : specifier.text;
      found.push({ what, loads: specifier.loads, lazy: inFunction });
    }
    node.forEachChild((child) => {
      visit(child, inFunction || ts.isFunctionLike(node));
    });
  };
  visit(source, false);
  return found;
}

function specifierOf(node: ts.Node): { text: string; loads: boolean } | null {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const typesOnly = node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
    return { text: node.moduleSpecifier.text, loads: !typesOnly };
  }
  if (
    ts.isExportDeclaration(node) &&
    node.moduleSpecifier &&
    ts.isStringLiteral(node.moduleSpecifier)
  )
    return { text: node.moduleSpecifier.text, loads: !node.isTypeOnly };
  if (!ts.isCallExpression(node)) return null;
  const [argument] = node.arguments;
  const isRequire = ts.isIdentifier(node.expression) && node.expression.text === 'require';
  const isImport = node.expression.kind === ts.SyntaxKind.ImportKeyword;
  if (!(isRequire || isImport) || argument === undefined || !ts.isStringLiteral(argument))
    return null;
  return { text: argument.text, loads: true };
}

/** `file imports what`, for every import of a file of ours that is not allowed. */
function trespasses(folder: string, allowed: readonly string[]): string[] {
  return [...IMPORTS].flatMap(([file, imports]) => {
    if (!file.startsWith(`${folder}/`)) return [];
    return imports
      .filter(({ what }) => FILES.includes(what) && !what.startsWith(`${folder}/`))
      .filter(
        ({ what }) =>
          !allowed.some((name) => what === name || (name.endsWith('/') && what.startsWith(name))),
      )
      .map(({ what }) => `${file} imports ${what}`);
  });
}

function importersOf(what: string): string[] {
  return [...IMPORTS].flatMap(([file, imports]) =>
    imports.some((one) => one.what === what && one.loads) ? [file] : [],
  );
}

test('the imports are read at all', () => {
  expect(IMPORTS.get('main.ts')?.map(({ what }) => what)).toContain('context/context.ts');
  expect(importersOf('node:child_process')).not.toEqual([]);
  expect(importersOf('yargs')).not.toEqual([]);
});

test.each(Object.entries(MAY_KNOW))('%s knows nothing beyond %j', (folder, allowed) => {
  expect(trespasses(folder, allowed)).toEqual([]);
});

test('every folder has its arrows', () => {
  const folders = new Set(
    FILES.filter((file) => file.includes('/')).map((file) => file.split('/', 1)[0]),
  );
  expect([...folders].sort()).toEqual(Object.keys(MAY_KNOW).sort());
});

test('the vocabulary knows nobody but itself', () => {
  for (const file of ['errors.ts', 'ban/address.ts', 'ban/ban.ts', 'config.ts', 'version.ts']) {
    const ours = IMPORTS.get(file)?.filter(({ what }) => FILES.includes(what)) ?? [];
    expect(ours.filter(({ what }) => what !== 'ban/address.ts')).toEqual([]);
  }
});

test('nobody imports main', () => {
  expect(importersOf('main.ts')).toEqual([]);
});

test('programs are started in one place', () => {
  expect(importersOf('node:child_process')).toEqual(['os/run.ts']);
});

const filesWith = (pattern: RegExp): string[] => {
  return FILES.filter((file) => pattern.test(readFileSync(join(ROOT, file), 'utf8')));
};

test('the process is ended in one place, and in tests of crashes', () => {
  const enders = filesWith(/\bprocess\.(?:(?:exit|abort|reallyExit)\(|kill\(process\.pid\b)/);
  expect(enders).toEqual(['main.ts', 'os/fault.ts']);
});

test('others are sent signals where programs are run, and where what is left of them is ended', () => {
  expect(filesWith(/\bprocess\.kill\((?!process\.pid\b)/)).toEqual([
    'os/run.ts',
    'os/staleChildren.ts',
  ]);
});

describe('what an alert seldom needs is loaded when it is needed', () => {
  test.each(['yargs', 'pino', 'smol-toml', 'saxes', 'cli/main.ts'])('%s', (name) => {
    const eager = [...IMPORTS].flatMap(([file, imports]) =>
      imports.some((one) => one.what === name && one.loads && !one.lazy) ? [file] : [],
    );
    expect(eager).toEqual([]);
    expect(importersOf(name)).not.toEqual([]);
  });
});

test('no package is imported that is not declared, nor a module of Node without its prefix', () => {
  const packages = new Set(
    [...IMPORTS.values()]
      .flat()
      .map(({ what }) => what)
      .filter((what) => !FILES.includes(what) && !what.startsWith('node:')),
  );
  const declared = JSON.parse(readFileSync(join(ROOT, '../package.json'), 'utf8')) as {
    dependencies: object;
  };
  expect([...packages].sort()).toEqual(Object.keys(declared.dependencies).sort());
});

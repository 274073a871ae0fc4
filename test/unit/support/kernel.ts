// A fake kernel with the tables filter and raw and with sets, and fake iptables and ipset programs. It is sufficient to
// test the real backends without root.
import type { Family } from '../../../src/model/address.ts';
import type { Command, Run, RunResult } from '../../../src/system/exec.ts';
import { FakeSets } from './sets.ts';

/** The chains of both tables. Names of chains in `raw` begin with the name of the table. */
type Chains = Map<string, string[]>;

/** Replaces one run of a program. `work` does its usual work. */
export type Disturbance = (command: Command, work: () => RunResult) => RunResult;

export const DONE: RunResult = { status: 0, stdout: '', stderr: '', trouble: '' };

export class FakeKernel {
  /** The commands that were run, in order. */
  readonly commands: Command[] = [];
  readonly sets = new FakeSets((set) => this.#asks(set));
  #tables: Record<Family, Chains> = { 4: freshTable(), 6: freshTable() };
  /** False to emulate iptables-legacy on a kernel without the module of the table `raw`. */
  hasRaw = true;
  readonly #disturbances: Disturbance[] = [];
  #always: Disturbance | null = null;

  readonly run: Run = (command) => {
    this.commands.push(command);
    const work = (): RunResult => this.#start(command);
    const disturbance = this.#always ?? this.#disturbances.shift();
    return disturbance === undefined ? work() : disturbance(command, work);
  };

  /** Returns the rules of a chain as `-S` prints them, in order. */
  rules(chain: string, family: Family = 4): readonly string[] {
    return this.#chain(chain, family);
  }

  /** Inserts a rule as an administrator or another program does. */
  insert(chain: string, rule: string, family: Family = 4): void {
    this.#chain(chain, family).unshift(rule);
  }

  remove(chain: string, rule: string, family: Family = 4): void {
    const rules = this.#chain(chain, family);
    const index = rules.indexOf(rule);
    if (index < 0) throw new Error(`${chain} has no rule ${rule}`);
    rules.splice(index, 1);
  }

  addChain(chain: string, family: Family = 4): void {
    this.#tables[family].set(chain, []);
  }

  removeChain(chain: string, family: Family = 4): void {
    this.#tables[family].delete(chain);
  }

  flush(): void {
    for (const table of [this.#tables[4], this.#tables[6]])
      for (const rules of table.values()) rules.length = 0;
  }

  /** Disturbs the next runs, one after another. */
  disturb(...disturbances: readonly Disturbance[]): void {
    this.#disturbances.push(...disturbances);
  }

  /** Disturbs all runs from now on; null ends this. */
  disturbAlways(disturbance: Disturbance | null): void {
    this.#always = disturbance;
  }

  /** Returns the number of commands that made changes; the others only look. */
  get changingCommands(): number {
    return this.commands.filter(isChange).length;
  }

  /** iptables refuses a rule for a set that does not exist. */
  #hasSetOf(line: string): boolean {
    const set = askedSet(line);
    return set === undefined || this.sets.has(set);
  }

  #chain(chain: string, family: Family): string[] {
    const rules = this.#tables[family].get(chain);
    if (rules === undefined) throw new Error(`there is no chain ${chain}`);
    return rules;
  }

  #asks(set: string): boolean {
    return [this.#tables[4], this.#tables[6]].some((table) =>
      [...table.values()].some((rules) => rules.some((rule) => askedSet(rule) === set)),
    );
  }

  #start(command: Command): RunResult {
    if (command.program === 'ipset') return this.sets.run(command);
    const [, six, task] =
      /^ip(6?)tables(?:-nft|-legacy)?-(restore|save)$/.exec(command.program) ?? [];
    if (task === undefined) throw new Error(`unexpected program ${command.program}`);
    const family = six === '6' ? 6 : 4;
    if (task === 'restore') return this.#restore(command, family);
    const table = command.args.at(-1) ?? '';
    if (table === 'raw' && !this.hasRaw) return { ...DONE, status: 1, stderr: NO_RAW_TO_SAVE };
    return { ...DONE, stdout: savedText(table, this.#tables[family]) };
  }

  /** Applies each section from `*filter` to `COMMIT` completely or not at all, and stops after a refused one. */
  #restore({ program, args, input }: Command, family: Family): RunResult {
    if (!args.includes('--noflush')) this.#tables[family] = freshTable();
    let draft = copyOf(this.#tables[family]);
    let table = 'filter';
    let printed = '';
    for (const [index, line] of input.split('\n').entries()) {
      if (line.startsWith('*')) {
        table = line.slice(1);
        draft = copyOf(this.#tables[family]);
        if (table === 'raw' && !this.hasRaw) return { ...DONE, ...NO_RAW, stdout: printed };
      } else if (line === 'COMMIT') this.#tables[family] = draft;
      else if (line === '-S') printed += listingOf(chainsOf(table, draft));
      else if (line !== '' && !(this.#hasSetOf(line) && edit(draft, inTable(table, line))))
        return refusal(program, index + 1, printed);
    }
    return { ...DONE, stdout: printed };
  }
}

/** Fails without doing anything, with the given exit status. */
export function refuses(status: number, stderr: string): Disturbance {
  return () => ({ ...DONE, status, stderr });
}

/** Does the work and is then killed, so that there is no exit status. */
export const dies: Disturbance = (_, work) => {
  work();
  return { ...DONE, status: null, trouble: 'was killed by SIGSEGV' };
};

export function isChange({ input }: Command): boolean {
  return /^-[ID] /m.test(input);
}

function askedSet(rule: string): string | undefined {
  return /--match-set (\S+)/.exec(rule)?.[1];
}

/** The error of iptables-legacy 1.8.9. */
const NO_RAW = {
  status: 2,
  stderr: "iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'raw'\n",
};
const NO_RAW_TO_SAVE =
  'iptables-save v1.8.9 (legacy): Cannot initialize: Table does not exist (do you need to insmod?)\n';

function freshTable(): Chains {
  return new Map([
    ['INPUT', []],
    ['FORWARD', []],
    ['OUTPUT', []],
    ['raw PREROUTING', []],
    ['raw OUTPUT', []],
  ]);
}

/** Returns the chains of one table, by their names in that table. */
function chainsOf(table: string, chains: Chains): Chains {
  const isOf = (name: string): boolean => name.startsWith('raw ') === (table === 'raw');
  return new Map(
    [...chains]
      .filter(([name]) => isOf(name))
      .map(([name, own]) => [name.replace('raw ', ''), own]),
  );
}

/** Returns an edit such as `-I PREROUTING 1 …` with the full name of the chain. */
function inTable(table: string, line: string): string {
  return table === 'raw' ? line.replace(' ', ' raw_') : line;
}

function copyOf(chains: Chains): Chains {
  return new Map([...chains].map(([name, rules]) => [name, [...rules]]));
}

function edit(chains: Chains, line: string): boolean {
  const [, action = '', chain = '', position = '1', rule = ''] =
    /^-([ID]) (\S+)(?: (\d+))? (.+)$/.exec(line) ?? [];
  const rules = chains.get(chain.replace('raw_', 'raw '));
  if (rules === undefined || rule === '') return false;
  const index = action === 'I' ? Number(position) - 1 : rules.indexOf(rule);
  if (index < 0) return false;
  if (action === 'I') rules.splice(index, 0, rule);
  else rules.splice(index, 1);
  return true;
}

const BUILT_IN: readonly string[] = ['INPUT', 'FORWARD', 'OUTPUT', 'PREROUTING'];

function listingOf(chains: Chains): string {
  const heads = [...chains.keys()].map((name) =>
    BUILT_IN.includes(name) ? `-P ${name} ACCEPT\n` : `-N ${name}\n`,
  );
  const rules = [...chains].flatMap(([name, own]) => own.map((rule) => `-A ${name} ${rule}\n`));
  return [...heads, ...rules].join('');
}

/** Prints a table as `iptables-save -c` does. Every rule has matched one packet of 60 bytes. */
function savedText(table: string, all: Chains): string {
  const chains = chainsOf(table, all);
  const heads = [...chains.keys()].map(
    (name) => `:${name} ${BUILT_IN.includes(name) ? 'ACCEPT' : '-'} [0:0]\n`,
  );
  const rules = [...chains].flatMap(([name, own]) =>
    own.map((rule) => `[1:60] -A ${name} ${rule}\n`),
  );
  return [`*${table}\n`, ...heads, ...rules, 'COMMIT\n'].join('');
}

function refusal(program: string, line: number, stdout: string): RunResult {
  const stderr = `${program}: Bad rule (does a matching rule exist in that chain?).\nError occurred at line: ${line}\n`;
  return { ...DONE, status: 1, stdout, stderr };
}

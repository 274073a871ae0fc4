// The sets of the fake kernel and a fake ipset. It answers as ipset 7.17 does, as far as our backend uses it.
import { contains, parseExactNetwork, type Address } from '../../../src/model/address.ts';
import type { Command, RunResult } from '../../../src/system/exec.ts';

interface FakeSet {
  readonly maxEntries: number;
  /** The time at which an entry expires, in milliseconds; null for never. */
  readonly entries: Map<string, number | null>;
}

interface Answer {
  readonly stdout?: string;
  readonly stderr?: string;
}

const LONGEST_TIMEOUT_SECONDS = 2_147_483;

const failed = (what: string): Answer => ({ stderr: `ipset v7.17: ${what}\n` });

export class FakeSets {
  #sets = new Map<string, FakeSet>();
  #nowMs = 0;
  readonly #isAsked: (set: string) => boolean;

  constructor(isAsked: (set: string) => boolean) {
    this.#isAsked = isAsked;
  }

  get names(): string[] {
    return [...this.#sets.keys()];
  }

  has(name: string): boolean {
    return this.#sets.has(name);
  }

  /** Returns the texts of the entries of a set; none if it does not exist. */
  entries(name: string): string[] {
    return [...(this.#sets.get(name)?.entries.keys() ?? [])];
  }

  /** Returns the seconds until the kernel removes an entry; null for never. */
  secondsLeft(name: string, text: string): number | null {
    const endsMs = this.#sets.get(name)?.entries.get(text);
    if (endsMs === undefined) throw new Error(`${text} is not in ${name}`);
    return endsMs === null ? null : (endsMs - this.#nowMs) / 1000;
  }

  /** Advances the time and removes expired entries. */
  advance(milliseconds: number): void {
    this.#nowMs += milliseconds;
    for (const { entries } of this.#sets.values())
      for (const [text, endsMs] of entries)
        if (endsMs !== null && endsMs <= this.#nowMs) entries.delete(text);
  }

  /** Empties all sets, as an `ipset flush` of another program does. */
  empty(): void {
    for (const { entries } of this.#sets.values()) entries.clear();
  }

  /** Runs commands. `restore` stops at the first error. `ipset -` continues and always exits with status 0. */
  run({ args, input }: Command): RunResult {
    const isRestore = args.includes('restore');
    const result = { status: 0, stdout: '', stderr: '', trouble: '' };
    for (const line of input.split('\n').filter((each) => each !== '')) {
      const { stdout = '', stderr = '' } = this.#obey(line.split(' '));
      result.stdout += stdout;
      result.stderr += stderr;
      if (isRestore && stderr !== '') return { ...result, status: 1 };
    }
    return result;
  }

  #obey([verb = '', name = '', ...words]: readonly string[]): Answer {
    if (verb === 'create') return this.#create(name, words);
    const set = this.#sets.get(name);
    if (set === undefined) return failed('The set with the given name does not exist');
    switch (verb) {
      case 'add':
        return this.#add(set, words);
      case 'del':
        set.entries.delete(words[0] ?? '');
        return {};
      case 'test':
        return this.#test(name, set, words[0] ?? '');
      case 'list':
        return { stdout: this.#list(name, set, words.includes('-terse')) };
      case 'flush':
        set.entries.clear();
        return {};
      case 'destroy':
        if (this.#isAsked(name)) {
          return failed('Set cannot be destroyed: it is in use by a kernel component');
        }
        this.#sets.delete(name);
        return {};
      case 'swap':
        return this.#swap(name, words[0] ?? '');
      default:
        throw new Error(`unexpected line ${[verb, name, ...words].join(' ')}`);
    }
  }

  #create(name: string, words: readonly string[]): Answer {
    const maxEntries = Number(words[words.indexOf('maxelem') + 1]);
    const known = this.#sets.get(name);
    if (known !== undefined && known.maxEntries !== maxEntries) {
      return failed('Set cannot be created: set with the same name already exists');
    }
    if (known === undefined) this.#sets.set(name, { maxEntries, entries: new Map() });
    return {};
  }

  #add(set: FakeSet, [text = '', , seconds = '0']: readonly string[]): Answer {
    if (!set.entries.has(text) && set.entries.size >= set.maxEntries) {
      return failed('Hash is full, cannot add more elements');
    }
    if (Number(seconds) > LONGEST_TIMEOUT_SECONDS) {
      return failed('Syntax error: timeout is out of range 0-2147483');
    }
    const endsMs = seconds === '0' ? null : this.#nowMs + Number(seconds) * 1000;
    set.entries.set(text, endsMs);
    return {};
  }

  /** Tests an address. An entry for a network that contains it matches too. */
  #test(name: string, { entries }: FakeSet, text: string): Answer {
    const address = addressOf(text);
    const isIn = [...entries.keys()].some((entry) => contains(addressOf(entry), address));
    return {
      stderr: isIn ? `Warning: ${text} is in set ${name}.\n` : `${text} is NOT in set ${name}.\n`,
    };
  }

  #list(name: string, { maxEntries, entries }: FakeSet, terse: boolean): string {
    const family = name.endsWith('6') ? 'inet6' : 'inet';
    const head = `Name: ${name}\nType: hash:net\nHeader: family ${family} hashsize 1024 maxelem ${maxEntries} timeout 0 counters comment\n`;
    const members = Array.from(entries, ([text, endsMs]) => {
      const left = endsMs === null ? 0 : Math.ceil((endsMs - this.#nowMs) / 1000);
      return `${text} timeout ${left} packets 0 bytes 0\n`;
    });
    return terse ? head : `${head}Members:\n${members.join('')}`;
  }

  #swap(name: string, other: string): Answer {
    const [one, two] = [this.#sets.get(name), this.#sets.get(other)];
    if (one === undefined || two === undefined) return failed('Sets cannot be swapped');
    this.#sets.set(name, two).set(other, one);
    return {};
  }
}

function addressOf(text: string): Address {
  const address = parseExactNetwork(text);
  if (address === null) throw new Error(`${text} is not an address`);
  return address;
}

// Tests the response log, a file that a less privileged user owns: lines that are written, and lines that are found
// again.
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Outcome, Verb } from '../../../src/model/ban.ts';
import type { AppError } from '../../../src/model/errors.ts';
import { UTC } from '../../../src/system/zone.ts';
import type { LogFormat } from '../../../src/wazuh/response-lines.ts';
import { ResponseLogFile } from '../../../src/wazuh/response-log.ts';
import { addressOf, NOON_MS } from '../support/workshop.ts';

let home = '';
let path = '';
let troubles: AppError[] = [];
let formatsAsked = 0;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'home-'));
  mkdirSync(join(home, 'logs'));
  path = join(home, 'logs/active-responses.log');
  troubles = [];
  formatsAsked = 0;
});
afterEach(() => {
  rmSync(home, { recursive: true });
});

/** Returns the log of one run. */
function openLog(kind: LogFormat['kind'] = 'ossec'): ResponseLogFile {
  const names = { name: 'firewall-drop', programName: 'firewall-drop.sh' };
  const format = (): LogFormat => {
    formatsAsked += 1;
    return {
      kind,
      home,
      ...names,
      zone: UTC,
      addressFields: ['data.srcip'],
      wazuh5Fields: ['source.ip'],
    };
  };
  const onTrouble = (error: AppError): void => void troubles.push(error);
  return new ResponseLogFile({ format, home, now: () => NOON_MS, onTrouble });
}

function outcome(verb: Verb = 'add', alertId = '1620563486.6306696'): Outcome {
  return { verb, address: addressOf('203.0.113.9'), alertRef: { alertId, ruleId: '31151' } };
}

function logged(): string[] {
  return readFileSync(path, 'utf8').trimEnd().split('\n');
}

/** Returns the text of an OSSEC line of `outcome()`, for writing it by other means. */
function lineText(): string {
  openLog().write([outcome()]);
  const text = readFileSync(path, 'utf8');
  rmSync(path);
  return text;
}

describe('the log', () => {
  test('belongs to the agent, and new lines are appended', () => {
    writeFileSync(path, 'before\n');
    openLog().write([outcome()]);
    expect(logged()).toEqual([
      'before',
      expect.stringMatching(/ add - 203\.0\.113\.9 /) as unknown,
    ]);
  });

  test('has a line for each outcome, in order', () => {
    openLog().write([outcome('add', '1.1'), outcome('add', '1.2'), outcome('add', '1.3')]);
    expect(logged().map((line) => line.split(' ').at(-2))).toEqual(['1.1', '1.2', '1.3']);
  });

  test('reads no zone file until a line is written', () => {
    openLog().offset();
    openLog().write([]);
    expect(formatsAsked).toBe(0);
  });

  test('repeats an exchange only in the lines of its own alert', () => {
    const message = '{"said":"by execd","command":"add"}';
    const log = openLog('wazuh');
    log.about({ message, keyMessage: '', answer: null }).write([outcome()]);
    expect(logged().join('\n')).toContain('"said":"by execd"');
    rmSync(path);
    log.write([outcome()]);
    expect(logged()[1]).toMatch(/firewall-drop: \{.*"command":"add".*"srcip":"203\.0\.113\.9"/);
  });

  test.each([
    ['ossec', 0],
    ['wazuh', 3],
    ['both', 3],
  ] as const)(
    'in the format `%s` has %i lines for a request that changed nothing',
    (kind, count) => {
      writeFileSync(path, '');
      openLog(kind).writeUnchanged(outcome('delete'));
      expect(logged().filter((line) => line !== '')).toHaveLength(count);
      expect(readFileSync(path, 'utf8')).not.toContain(' - ');
    },
  );

  test.each([
    ['ossec', [/ refused - - 1\.2 0$/]],
    ['wazuh', [/: Starting$/, /: Invalid input format$/]],
    ['both', [/ refused - - 1\.2 0$/, /: Starting$/, /: Invalid input format$/]],
  ] as const)(
    'in the format `%s` has only the expected lines for a refused message',
    (kind, lines) => {
      openLog(kind)
        .about({ message: '', keyMessage: '', answer: null })
        .write([
          {
            verb: 'refused',
            address: null,
            alertRef: { alertId: '1.2', ruleId: '0' },
            problem: 'Invalid input format',
          },
        ]);
      expect(logged()).toEqual(lines.map((line) => expect.stringMatching(line) as unknown));
    },
  );

  test('is neither read nor written if it is a symbolic link', () => {
    const target = join(home, 'target');
    writeFileSync(target, 'foreign\n');
    symlinkSync(target, path);
    const log = openLog();
    expect(log.offset()).toBeNull();
    log.write([outcome()]);
    expect(log.missing(null, [outcome()])).toHaveLength(1);
    expect(troubles[0]?.message).toContain('symbolic link');
    expect(readFileSync(target, 'utf8')).toBe('foreign\n');
  });

  test('does not stop the run if it cannot be written, and the missing line is reported', () => {
    rmSync(join(home, 'logs'), { recursive: true });
    openLog().write([outcome(), outcome('delete')]);
    expect(troubles.map((error) => error.code)).toEqual(['LOG']);
    expect(troubles[0]?.message).toContain(
      'the line "add 203.0.113.9 and 1 more" could not be written',
    );
  });
});

describe.each(['ossec', 'wazuh', 'both'] as const)('in the format `%s`', (kind) => {
  test('the next run finds a line that was written after an offset', () => {
    const offset = openLog(kind).offset();
    openLog(kind).write([outcome()]);
    expect(openLog(kind).missing(offset, [outcome()])).toEqual([]);
    expect(openLog(kind).missing(offset, [outcome('delete')])).toHaveLength(1);
  });

  test('a line that was written before an offset does not count', () => {
    openLog(kind).write([outcome()]);
    const offset = openLog(kind).offset();
    expect(openLog(kind).missing(offset, [outcome()])).toHaveLength(1);
  });
});

describe('a search', () => {
  const isFound = (offset: ReturnType<ResponseLogFile['offset']>): boolean =>
    openLog().missing(offset, [outcome()]).length === 0;
  /** The time by which the clock advances each time it is read. */
  let tickMs = 0;
  beforeEach(() => {
    tickMs = 0;
    let nowMs = 0;
    jest.spyOn(process.hrtime, 'bigint').mockImplementation(() => {
      nowMs += tickMs;
      return BigInt(nowMs) * 1_000_000n;
    });
  });
  afterEach(() => {
    jest.restoreAllMocks();
  });

  test('finds a line in a log that did not exist before', () => {
    expect(openLog().offset()).toBeNull();
    openLog().write([outcome()]);
    expect(isFound(null)).toBe(true);
  });

  test('finds a line in the log that replaced a rotated one', () => {
    writeFileSync(path, 'one\n');
    const offset = openLog().offset();
    renameSync(path, `${path}.1`);
    openLog().write([outcome()]);
    expect(isFound(offset)).toBe(true);
  });

  test('finds a line in a log that was emptied and written again', () => {
    writeFileSync(path, 'one\n'.repeat(100));
    const offset = openLog().offset();
    truncateSync(path, 0);
    openLog().write([outcome()]);
    expect(isFound(offset)).toBe(true);
  });

  test('counts a line as missing if the log is missing', () => {
    openLog().write([outcome()]);
    rmSync(path);
    expect(isFound(null)).toBe(false);
  });

  test('finds a line that crosses two of the parts that it reads', () => {
    const line = lineText();
    writeFileSync(path, '');
    const offset = openLog().offset();
    for (const shift of [0, 1, 60, 120]) {
      truncateSync(path, 0);
      const before = 256 * 1024 - shift;
      appendFileSync(path, `${'ä'.repeat((before - 2) / 2)}${before % 2 === 0 ? '' : 'x'}\n`);
      appendFileSync(path, line);
      expect(isFound(offset)).toBe(true);
    }
  });

  test('finds a line after an endless one', () => {
    writeFileSync(path, '');
    const offset = openLog().offset();
    truncateSync(path, 5 * 1024 * 1024);
    openLog().write([outcome()]);
    expect(isFound(offset)).toBe(true);
  });

  test('reads at most 16 MiB for all offsets of a run, and then counts a line as missing', () => {
    const line = lineText();
    writeFileSync(path, '');
    const offset = openLog().offset();
    truncateSync(path, 9 * 1024 * 1024);
    appendFileSync(path, `\n${line}`);
    const log = openLog();
    expect(log.missing(offset, [outcome()])).toEqual([]);
    expect(log.missing(offset, [outcome()])).toHaveLength(1);
    expect(log.missing(offset, [outcome()])).toHaveLength(1);
  });

  test('takes at most a second for all offsets of a run, and then counts a line as missing', () => {
    const line = lineText();
    writeFileSync(path, line);
    const offset = { inode: statSync(path).ino, size: 0 };
    const log = openLog();
    tickMs = 600;
    expect(log.missing(offset, [outcome()])).toEqual([]);
    expect(log.missing(offset, [outcome()])).toHaveLength(1);
  });

  test('reads only the end of a large log that replaced another', () => {
    const line = lineText();
    writeFileSync(path, line);
    truncateSync(path, 1e9);
    expect(isFound(null)).toBe(false);
  });
});

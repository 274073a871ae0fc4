// Every fault that this program must survive, and the tests that provoke it: docs/reliability.md is made of this.

export interface Evidence {
  /** Below test/. */
  readonly file: string;
  /** A part of the test's title, as it stands in the file. */
  readonly title: string;
}

export interface Row {
  readonly section: string;
  readonly provoke: string;
  readonly outcome: string;
  /** Empty: no test provokes it yet, and the table says so. */
  readonly held: readonly Evidence[];
}

const at = (file: string, ...titles: readonly string[]): Evidence[] =>
  titles.map((title) => ({ file, title }));

const books = (...titles: readonly string[]): Evidence[] =>
  at('integration/books.test.ts', ...titles);
const doors = (...titles: readonly string[]): Evidence[] =>
  at('integration/doors.test.ts', ...titles);
const log = (...titles: readonly string[]): Evidence[] => at('integration/log.test.ts', ...titles);
const firewall = (...titles: readonly string[]): Evidence[] =>
  at('integration/firewall.test.ts', ...titles);
const bounds = (...titles: readonly string[]): Evidence[] =>
  at('integration/bounds.test.ts', ...titles);
const input = (...titles: readonly string[]): Evidence[] =>
  at('integration/input.test.ts', ...titles);
const races = (...titles: readonly string[]): Evidence[] => at('fault/races.test.ts', ...titles);
const sweep: readonly Evidence[] = at('fault/sweep.ts', 'of $name: the next run brings');

const TOOLS = 'Tools and kernel';
const CRASHES = 'Crashes and races';
const FILES = 'Files and disk';
const INPUT = 'Input';
const SURROUNDINGS = 'Surroundings';

export const ROWS: readonly Row[] = [
  {
    section: TOOLS,
    provoke:
      'iptables fails, always or for FORWARD only, is killed, or crashes before or after its work',
    outcome: 'the exit status is 0 only if the kernel is as asked; half a block is undone',
    held: firewall(
      'that %s: status 69, a failed line',
      'that crashes after its work: the kernel was looked at',
      'that crashes after its work, even when it only looks',
    ),
  },
  {
    section: TOOLS,
    provoke: 'status 4 (busy) twice, then it works',
    outcome: 'blocked',
    held: firewall('that is busy twice is asked again'),
  },
  {
    section: TOOLS,
    provoke: 'iptables hangs, ignores TERM, or hangs after its work',
    outcome: 'ended with all that it started, within `limits.total_seconds`; told, with status 69',
    held: [
      ...firewall(
        'that %s is ended in bounded time',
        'that hangs with the real one as its child',
        'that hangs holds nobody up for longer',
      ),
      ...at('unit/os/run.test.ts', 'takes along whom it started'),
    ],
  },
  {
    section: TOOLS,
    provoke: 'iptables prints 10 MB, with and without doing its work',
    outcome: 'status 0 only if the kernel is as asked; no log is filled',
    held: firewall('that prints %s fills no log'),
  },
  {
    section: TOOLS,
    provoke: 'a grandchild of iptables keeps its pipes',
    outcome: 'believed by its own status and output, at its deadline',
    held: [
      ...firewall('that leaves a child behind with its pipes'),
      ...at('unit/os/run.test.ts', 'has its own status and output, at the deadline'),
    ],
  },
  {
    section: TOOLS,
    provoke: 'the legacy xtables lock is held, for a while or for ever',
    outcome: 'waited for; given up at the bound, with nothing blocked',
    held: firewall(
      'held for three seconds',
      'held for ever makes it give up',
      'held for ever keeps a delete',
    ),
  },
  {
    section: TOOLS,
    provoke: 'no right to change the firewall',
    outcome: 'fails at once',
    held: firewall('without the right to change the firewall'),
  },
  {
    section: TOOLS,
    provoke: 'ip6tables is broken',
    outcome: 'IPv4 is unaffected',
    held: firewall('of IPv6 leaves IPv4 unaffected', 'of IPv6 keeps `restore`'),
  },
  {
    section: TOOLS,
    provoke: 'somebody flushes the rules, then add, delete or restore',
    outcome: 'the kernel decides, not the books',
    held: [
      ...books(
        'add blocks again, though the books',
        'delete has nothing to do',
        '`restore` puts every block',
      ),
      ...at('integration/sets.test.ts', 'all is made again after everything was thrown away'),
    ],
  },
  {
    section: TOOLS,
    provoke: 'rules of ours are removed, copied, or stand behind an ACCEPT',
    outcome: 'one rule a chain, first, after the next add; none after the next delete',
    held: books(
      '30 adds of one address',
      'copies that others made',
      'after an add nothing that accepts',
    ),
  },
  {
    section: CRASHES,
    provoke:
      'SIGKILL at each named step of add, list, delete, kept, abort, flush, expire, restore, move, promotion and recovery, with each backend',
    outcome: 'the next run brings books, kernel and log together; the store is sound',
    held: sweep,
  },
  {
    section: CRASHES,
    provoke: 'SIGKILL to the process group at many moments of add and delete',
    outcome: 'the same',
    held: books('of an add: the next run ends', 'of a delete: the next run ends'),
  },
  {
    section: CRASHES,
    provoke: 'SIGKILL while the firewall program is slow, which then goes on by itself',
    outcome: 'the next run ends it: nothing is undone behind its back',
    held: at(
      'fault/stray.test.ts',
      'of an add: after a delete nothing is left',
      'of a restore, which has no intent',
    ),
  },
  {
    section: CRASHES,
    provoke: 'TERM, INT or HUP during an add, a delete or a list',
    outcome: 'all or nothing of each address',
    held: at('fault/moments.ts', 'at any moment: the next run brings'),
  },
  {
    section: CRASHES,
    provoke: 'the agent stops with 300 blocks: execd runs 300 deletes one after another',
    outcome: 'all are released before systemd kills the agent, which it does after about 30 s',
    held: at('fault/stop.test.ts', '300 deletes one after another'),
  },
  {
    section: CRASHES,
    provoke: 'execd keeps silent, or nobody reads our keys',
    outcome: 'nothing blocked, exit status not 0',
    held: doors(
      'execd keeps silent',
      'stdout is closed from the start',
      'nobody reads stdout any more',
    ),
  },
  {
    section: CRASHES,
    provoke: 'standard output or standard error is a full pipe that nobody empties',
    outcome: 'nothing blocked at the bound; for standard error no wait at all',
    held: bounds('for stdout: nothing is blocked', 'for stderr: what goes there'),
  },
  {
    section: CRASHES,
    provoke: 'execd is killed with a pending delete',
    outcome: 'released at the deadline by us',
    held: books('by `expire`, although execd was killed'),
  },
  {
    section: CRASHES,
    provoke: 'adds and deletes of the same and of different addresses at once',
    outcome: 'all succeed; books and kernel agree',
    held: books(
      '20 adds of one address',
      '20 adds of as many addresses',
      'adds and deletes of the same few',
    ),
  },
  {
    section: CRASHES,
    provoke:
      '100 adds and deletes at once, of the same and of different addresses, by execd and by people; with each backend',
    outcome:
      'all succeed, bounded; books, kernel and the last line agree, and one delete leaves nothing',
    held: races('100 add and delete the same and different addresses'),
  },
  {
    section: CRASHES,
    provoke: '40 at once while a third process flushes all the while; with each backend',
    outcome: 'status 0 or a told failure; one `restore` makes kernel and books agree',
    held: races('40 do, and somebody flushes all the while'),
  },
  {
    section: CRASHES,
    provoke: '25 at once while another program has the legacy xtables lock',
    outcome: 'all succeed once it lets go',
    held: races('25 at once while another program has the xtables lock'),
  },
  {
    section: CRASHES,
    provoke:
      'SIGKILL at each write, rename, unlink, fsync, clone and exec of an add and a delete in turn, by strace',
    outcome: 'the same',
    held: at('fault/calls.test.ts', 'killed at each system call of %s'),
  },
  {
    section: CRASHES,
    provoke:
      'SIGKILL at random moments of random commands, to the process or its group, also of several at once, with each backend and moves between them',
    outcome: 'the same',
    held: at('fault/moments.ts', 'at any moment: the next run brings'),
  },
  {
    section: FILES,
    provoke: 'the disk is full',
    outcome: 'blocks and releases, and says what it could not write',
    held: log('blocks and releases all the same', 'a line of which the disk took a part'),
  },
  {
    section: FILES,
    provoke: 'a link, FIFO, directory, device or nothing in the place of the log',
    outcome: 'blocks; the target is untouched',
    held: log('a logs directory that is missing', 'our own log that is a link'),
  },
  {
    section: FILES,
    provoke: 'umask 0 and 077',
    outcome: 'nothing that others may write to',
    held: [...books('its files are root’s alone'), ...log('keeps the owner and mode')],
  },
  {
    section: FILES,
    provoke: 'the store is damaged, truncated, foreign, or of another schema',
    outcome: 'blocks and releases; the file is set aside',
    held: books('a store that is %s', 'a directory of the store that others may write to'),
  },
  {
    section: FILES,
    provoke: 'the writer lock or the store is held by somebody else for ever',
    outcome: 'bounded, still blocks, said',
    held: [
      ...books('execd’s block and release are done in bounded time'),
      ...bounds('%s, blocks and releases are made in bounded time'),
    ],
  },
  {
    section: FILES,
    provoke: 'the disk becomes full between intent and confirmation',
    outcome: 'blocks and releases, tells it once, and the next run finishes it',
    held: books('a disk that becomes full between intent and confirmation'),
  },
  {
    section: INPUT,
    provoke:
      '100 MB without a line end, a valid beginning that never ends, 100 MB in place of the answer, an alert of 1 MB',
    outcome: 'refused; memory stays below 110 MB',
    held: input('100 MB without a line end', '100 MB in place of the answer', 'an alert of 1 MB'),
  },
  {
    section: INPUT,
    provoke: 'silence, half a line and silence, no answer ever; 10 bytes every 50 ms',
    outcome: 'ended at the bound with nothing blocked; accepted',
    held: [
      ...doors('half a line and silence', 'execd keeps silent'),
      ...input('a message that drips in'),
    ],
  },
  {
    section: INPUT,
    provoke: 'a NUL inside the line; a NUL after the last line end',
    outcome: 'refused; harmless',
    held: [...doors('a NUL byte inside'), ...input('a NUL after the last line is harmless')],
  },
  {
    section: INPUT,
    provoke: 'invalid UTF-8 in free text; in the address',
    outcome: 'blocked, on one line of plain characters; refused',
    held: input('with invalid UTF-8 in free text', 'with invalid UTF-8 in its address'),
  },
  {
    section: INPUT,
    provoke: '500, 30,000 and 5,000,000 levels of nesting',
    outcome: 'read; refused; refused',
    held: input('nested as deep as execd reads', 'of 30,000 levels', 'of 5,000,000 levels'),
  },
  {
    section: INPUT,
    provoke: 'a key given twice: the command, the address, each object on the path to it',
    outcome: 'the first counts',
    held: input(
      'whose second command is another',
      'whose address is given twice',
      'whose `data` is given twice',
      'whose `parameters` are given twice',
    ),
  },
  {
    section: INPUT,
    provoke:
      '`__proto__` and `constructor`, names in another case, lone surrogates, 1e400; NaN, text after the JSON',
    outcome: 'own, exactly named properties alone count; refused',
    held: input(
      'with `__proto__`',
      'whose parts are inherited',
      'with an address in another case',
      'with lone surrogates',
      'with NaN',
      'with text after it',
    ),
  },
  {
    section: INPUT,
    provoke:
      'line ends and escape sequences in any value and key, in the answer, in arguments, in argv[0]',
    outcome: 'no second log line, no control character',
    held: input(
      'in any value gets into the log',
      'in OSSEC’s arguments and in argv[0]',
      'in an alert of Wazuh 5',
    ),
  },
  {
    section: INPUT,
    provoke:
      'every text that is no plain address, and every address that must not be blocked; by each door',
    outcome: 'refused, on one line',
    held: input('of %s but a whole and plain one is taken for one'),
  },
  {
    section: INPUT,
    provoke: 'IPv4 mapped into IPv6, long and upper-case IPv6',
    outcome: 'one canonical address, for blocking and for releasing',
    held: input('%s is %s, for blocking and for releasing'),
  },
  {
    section: INPUT,
    provoke: 'options of the runtime among the arguments, with a message on standard input',
    outcome: 'not interpreted by the runtime',
    held: doors('%j is a mistake of a person'),
  },
  {
    section: SURROUNDINGS,
    provoke: 'files planted in the working directory',
    outcome: 'not read',
    held: doors('files planted in the working directory'),
  },
  {
    section: SURROUNDINGS,
    provoke: 'argv[0] that lies, is empty, absent, very long, or an option of the runtime',
    outcome: 'the right home is found',
    held: doors(
      'a lying argv[0] leads',
      'no argv[0] at all',
      'an argv[0] that is %s leads to the default home',
    ),
  },
  {
    section: SURROUNDINGS,
    provoke:
      'PATH unset or hostile, NODE_OPTIONS, NODE_PATH, NODE_EXTRA_CA_CERTS, LD_PRELOAD, XTABLES_LIBDIR, IFS, LANG, TZ with a path',
    outcome: 'no effect on what is done; children get a clean environment',
    held: [
      ...doors('%s in the environment changes nothing'),
      ...at('integration/privilege.test.ts', 'a descriptor that we inherit does not reach'),
      ...log('is the host’s where TZ is'),
    ],
  },
  {
    section: SURROUNDINGS,
    provoke: '3,000 foreign rules',
    outcome: 'nothing slow, and all stay',
    held: firewall('3,000 foreign rules make nothing slow'),
  },
  {
    section: SURROUNDINGS,
    provoke: 'the clock is a year ahead, a year back, in 1970, after 2038; with each backend',
    outcome:
      'deadlines move with it, none is longer than was asked; delete works; the same when it is put right again',
    held: [
      ...at('fault/clock.test.ts', 'a clock that is %s'),
      ...at(
        'unit/ban/clock.test.ts',
        'is the same after the clock was set ahead and back',
        'is never longer than what was asked, after a reboot',
      ),
    ],
  },
  {
    section: SURROUNDINGS,
    provoke: 'the clock jumps by a year during a run, at any of four steps',
    outcome: 'nobody is freed, nobody is kept for longer than was asked',
    held: at('fault/clock.test.ts', 'a clock that jumps a year %s'),
  },
  {
    section: SURROUNDINGS,
    provoke: 'few file descriptors: 16, 24, 28',
    outcome: 'works, or a status and no half of a block',
    held: at('integration/privilege.test.ts', 'with too few descriptors it ends with a status'),
  },
  {
    section: SURROUNDINGS,
    provoke: 'little memory, few processes, by resource limits',
    outcome: 'works, or a status and no half of a block',
    held: at('integration/scarcity.test.ts', 'two rules and status 0, or neither'),
  },
];

/** Of docs/architecture.md, in its order. */
export const INVARIANTS: readonly (Pick<Row, 'held'> & { readonly name: string })[] = [
  {
    name: 'No false success',
    held: [
      ...firewall(
        'that %s: status 69, a failed line',
        'that crashes after its work, even when it only looks',
      ),
      ...races('40 do, and somebody flushes all the while'),
    ],
  },
  { name: 'Nothing lost', held: sweep },
  {
    name: 'Nothing left behind',
    held: [
      ...books('by `expire`, although execd was killed'),
      ...at('fault/clock.test.ts', 'a clock that is %s'),
      ...races('100 add and delete the same and different addresses'),
    ],
  },
  {
    name: 'Nobody locked out',
    held: at('integration/protected.test.ts', "describe('through every door'"),
  },
  {
    name: 'One address, one rule',
    held: [
      ...books('30 adds of one address', 'two notations are one address'),
      ...races('100 add and delete the same and different addresses'),
    ],
  },
  {
    name: 'Only our own',
    held: [
      ...firewall('foreign rules stay as they are'),
      ...at('integration/sets.test.ts', 'rules, sets and tables of others stay as they are'),
      ...at('unit/ban/orphans.test.ts', 'was saved when our block was over'),
    ],
  },
  {
    name: 'Input is hostile',
    held: [
      ...log('for an address is refused on one line'),
      ...input(
        'of %s but a whole and plain one is taken for one',
        'in any value gets into the log',
        '100 MB without a line end',
      ),
    ],
  },
  {
    name: 'execd is never held up',
    held: [
      ...doors('execd keeps silent', 'what execd says after its answer'),
      ...firewall('that hangs holds nobody up for longer'),
      ...bounds('for stdout: nothing is blocked'),
    ],
  },
];

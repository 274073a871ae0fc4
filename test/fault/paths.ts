/** The paths that change state or kernel: the preparation, the run that is killed, and the required outcome. */
import { type BackendName, flushKernel } from '../support/kernel.ts';
import type { Run } from '../support/victim.ts';
import { asPerson, type Stage, wazuhAdd, wazuhDelete } from './stage.ts';

/** The runs after a death, in rotation. */
export const NEXT = ['same address', 'other address', 'expire', 'restore'] as const;
export type Next = (typeof NEXT)[number];

export interface Path {
  readonly name: string;
  /** The configuration, instead of one that names the backend. */
  readonly config?: string;
  /** The only backend with which the path exists. If absent, all. */
  readonly only?: BackendName;
  prepare(stage: Stage, subject: string, backend: BackendName): void;
  /** Returns the backend that cannot change the kernel during the run. */
  readonly breaks?: (backend: BackendName) => BackendName;
  /** True if the path is also killed at the steps that every run has. */
  readonly everyStep?: true;
  /** Returns the run that is killed. */
  run(subject: string, backend: BackendName): Run;
  /** The verb that the log has once for each address if the change happened; null if it writes no line. */
  readonly verb: 'add' | 'delete' | 'kept' | 'reapplied' | null;
  /** Returns the addresses that change. */
  readonly all: (subject: string) => readonly string[];
  /** The next runs that make the same change even if it was not begun. */
  readonly anyway?: readonly Next[];
  /** Returns the addresses that are blocked before and after, so that no packet must get through at any time. */
  readonly staying?: (subject: string) => readonly string[];
  /** The origins of the holds on an address afterwards, if it is blocked. */
  readonly origins?: readonly string[];
  /** True if another program has changed the kernel before, so that state and kernel differ from the start. */
  readonly isAfterFlush?: true;
}

/** The alert id of the run that is killed. */
const ALERT = '1700000000.7';
const EARLIER = '1600000000.1';
const NEIGHBOUR = '203.0.113.8';
const MORE = [NEIGHBOUR, '203.0.113.9', '2001:db8:ffff::8'];
/** An address that becomes protected. A restore, or the next run that reads the protected addresses, releases it. */
const PROTECTED = '203.0.113.9';

const one = (subject: string): readonly string[] => [subject];
const several = (subject: string): readonly string[] => [subject, ...MORE];
const nothing = (): void => undefined;

const addAll = ({ victim }: Stage, subject: string): void => {
  victim.do(asPerson('add', '--timeout', '1h', ...several(subject)));
};
const addOne = ({ victim }: Stage, subject: string): void => {
  victim.do(wazuhAdd({ srcip: subject, alertId: EARLIER }));
};
const another = (backend: BackendName): BackendName => {
  return backend === 'iptables' ? 'ipset' : backend === 'ipset' ? 'nftables' : 'iptables';
};

export const configOf = (backend: BackendName): string => {
  return `[limits]\ngrace_seconds = 0\n[firewall]\nbackend = "${backend}"\n`;
};

const PATHS: readonly Path[] = [
  {
    name: 'an add',
    everyStep: true,
    prepare: nothing,
    run: (srcip) => wazuhAdd({ srcip, alertId: ALERT }),
    verb: 'add',
    all: one,
    origins: ['wazuh'],
  },
  {
    name: 'a delete',
    prepare: addOne,
    run: (srcip) => wazuhDelete({ srcip, alertId: ALERT }),
    verb: 'delete',
    all: one,
  },
  {
    name: 'an add that execd answers with abort, after a flush',
    prepare: (stage, subject) => {
      const { victim } = stage;
      addOne(stage, subject);
      flushKernel(victim.host);
    },
    run: (srcip) => wazuhAdd({ srcip, alertId: ALERT }, 'abort'),
    verb: 'reapplied',
    all: one,
    origins: ['wazuh'],
    isAfterFlush: true,
  },
  {
    name: 'an add that the kernel refuses',
    prepare: ({ victim }) => {
      victim.do(asPerson('add', NEIGHBOUR));
    },
    breaks: (backend) => backend,
    run: (srcip) => wazuhAdd({ srcip, alertId: ALERT }),
    verb: 'add',
    all: one,
    staying: () => [NEIGHBOUR],
    origins: ['wazuh'],
  },
  {
    name: 'a delete of an address that others hold',
    prepare: (stage, subject) => {
      const { victim } = stage;
      addOne(stage, subject);
      victim.do(asPerson('add', subject));
    },
    run: (srcip) => wazuhDelete({ srcip, alertId: ALERT }),
    verb: 'kept',
    all: one,
    staying: one,
    origins: ['manual'],
  },
  {
    name: 'a list',
    prepare: nothing,
    run: (subject) => asPerson('add', '--timeout', '1h', ...several(subject)),
    verb: 'add',
    all: several,
    origins: ['manual'],
  },
  {
    name: 'an add of blocked addresses that moves their ends',
    prepare: addAll,
    run: (subject) => asPerson('add', '--timeout', '2h', ...several(subject)),
    verb: null,
    all: () => [],
    staying: several,
    origins: ['manual'],
  },
  {
    name: 'flush',
    prepare: addAll,
    run: () => asPerson('flush', '--yes'),
    verb: 'delete',
    all: several,
  },
  {
    name: 'expire',
    everyStep: true,
    prepare: (stage, subject) => {
      const { victim } = stage;
      addAll(stage, subject);
      victim.endTime(...several(subject));
    },
    run: () => asPerson('expire'),
    verb: 'delete',
    all: several,
    anyway: NEXT,
  },
  {
    name: 'restore, which releases an address that has become protected',
    prepare: (stage, subject, backend) => {
      const { victim } = stage;
      addAll(stage, subject);
      victim.configure(`[protect]\nallow = ["${PROTECTED}"]\n${configOf(backend)}`);
    },
    run: () => asPerson('restore'),
    verb: 'delete',
    all: () => [PROTECTED],
    // Every run that reads the protected addresses releases it.
    anyway: NEXT,
    staying: (subject) => several(subject).filter((address) => address !== PROTECTED),
  },
  {
    name: 'restore after a flush',
    prepare: (stage, subject) => {
      const { victim } = stage;
      addAll(stage, subject);
      flushKernel(victim.host);
    },
    run: () => asPerson('restore'),
    verb: null,
    all: () => [],
    isAfterFlush: true,
  },
  {
    name: 'restore, which removes rules that a saved file brought back',
    only: 'iptables',
    prepare: (stage, subject) => {
      const { victim } = stage;
      addOne(stage, subject);
      // Only `expire` records the boot id.
      victim.do(asPerson('expire'));
      stage.bringBackSaved(() => {
        victim.do(wazuhDelete({ srcip: subject, alertId: EARLIER }));
      });
    },
    run: () => asPerson('restore'),
    verb: 'delete',
    all: one,
    anyway: ['restore'],
    isAfterFlush: true,
  },
  {
    name: 'a run that recovers an interrupted add',
    everyStep: true,
    prepare: ({ victim }, subject) => {
      const env = { FIREWALL_DROP_DIE_AT: 'journal: recorded' };
      victim.run(wazuhAdd({ srcip: subject, alertId: ALERT }), { env });
    },
    run: () => asPerson('expire'),
    verb: 'add',
    all: one,
    origins: ['wazuh'],
  },
  {
    name: 'a migration to another backend',
    config: '',
    prepare: (stage, subject, backend) => {
      const { victim } = stage;
      victim.configure(configOf(backend));
      addAll(stage, subject);
      victim.configure(configOf(another(backend)));
    },
    run: () => asPerson('expire'),
    verb: null,
    all: () => [],
    staying: several,
  },
  {
    name: 'a migration that the other backend refuses',
    config: '',
    prepare: (stage, subject, backend) => {
      const { victim } = stage;
      victim.configure(configOf(backend));
      addAll(stage, subject);
      victim.configure(configOf(another(backend)));
    },
    breaks: another,
    run: () => asPerson('expire'),
    verb: null,
    all: () => [],
    staying: several,
  },
  {
    name: 'a delete after an interrupted migration',
    everyStep: true,
    config: '',
    prepare: (stage, subject, backend) => {
      const { victim } = stage;
      victim.configure(configOf(backend));
      victim.do(asPerson('add', ...MORE));
      addOne(stage, subject);
      const env = { FIREWALL_DROP_DIE_AT: 'migrate: new backend active' };
      victim.configure(configOf(another(backend)));
      victim.run(asPerson('expire'), { env });
    },
    run: (srcip) => wazuhDelete({ srcip, alertId: ALERT }),
    verb: 'delete',
    all: one,
    staying: () => MORE,
  },
  {
    name: 'a delete after firewall.chains was changed',
    only: 'iptables',
    prepare: (stage, subject, backend) => {
      addAll(stage, subject);
      stage.victim.configure(`${configOf(backend)}chains = ["FORWARD"]\n`);
    },
    run: (subject) => asPerson('delete', subject),
    verb: 'delete',
    all: one,
    staying: () => MORE,
  },
  {
    name: 'a delete after firewall.set_name was changed',
    only: 'ipset',
    prepare: (stage, subject, backend) => {
      addAll(stage, subject);
      stage.victim.configure(`${configOf(backend)}set_name = "other"\n`);
    },
    run: (subject) => asPerson('delete', subject),
    verb: 'delete',
    all: one,
    staying: () => MORE,
  },
  {
    name: 'an add that makes auto migrate all rules to sets',
    only: 'iptables',
    config: '[firewall]\npromote_at = 3\n',
    prepare: ({ victim }) => {
      victim.do(asPerson('add', ...MORE));
    },
    run: (srcip) => wazuhAdd({ srcip, alertId: ALERT }),
    verb: 'add',
    all: one,
    staying: () => MORE,
    origins: ['wazuh'],
  },
];

export function pathNamed(name: string): Path {
  const path = PATHS.find((known) => known.name === name);
  if (path === undefined) throw new Error(`there is no path "${name}"`);
  return path;
}

export function pathsFor(backend: BackendName): Path[] {
  return PATHS.filter(({ only = backend }) => only === backend);
}

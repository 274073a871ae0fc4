/** Everything that changes state or kernel: how it is prepared, what is killed, and what must come of it. */
import type { BackendName } from './invariants.ts';
import { asPerson, type Order, type Scene, wazuhAdd, wazuhDelete } from './scene.ts';

/** Who comes next, in rotation. */
export const NEXT = ['same address', 'other address', 'expire', 'restore'] as const;
export type Next = (typeof NEXT)[number];

export interface Path {
  readonly name: string;
  /** In place of a configuration that names the backend. */
  readonly config?: string;
  /** Only where this one is in use. */
  readonly only?: BackendName;
  prepare(scene: Scene, subject: string, backend: BackendName): void;
  /** Which backend then can't change the kernel any more. */
  readonly breaks?: (backend: BackendName) => BackendName;
  /** True: killed at the steps of every run too, at which no other path is killed. */
  readonly everyStep?: true;
  /** What is killed. */
  order(subject: string, backend: BackendName): Order;
  /** What the log says once of each address if it happened; null: nothing. */
  readonly verb: 'add' | 'delete' | 'kept' | 'reapplied' | null;
  readonly all: (subject: string) => readonly string[];
  /** Who comes next and does it anyway, where it was not begun. */
  readonly anyway?: readonly Next[];
  /** Blocked before and after: at no moment does a packet get through. */
  readonly staying?: (subject: string) => readonly string[];
  /** Who holds an address afterwards, where it is blocked. */
  readonly origins?: readonly string[];
  /** Somebody else has changed the kernel before, so that books and kernel differ from the start. */
  readonly isAfterFlush?: true;
}

/** The alert of what is killed. */
const ALERT = '1700000000.7';
const EARLIER = '1600000000.1';
const NEIGHBOUR = '203.0.113.8';
const MORE = [NEIGHBOUR, '203.0.113.9', '2001:db8:ffff::8'];
/** It becomes protected, and a restore releases it. */
const PROTECTED = '203.0.113.9';

const one = (subject: string): readonly string[] => [subject];
const several = (subject: string): readonly string[] => [subject, ...MORE];
const nothing = (): void => undefined;

const addAll = (scene: Scene, subject: string): void => {
  scene.do(asPerson('add', '--timeout', '1h', ...several(subject)));
};
const addOne = (scene: Scene, subject: string): void => {
  scene.do(wazuhAdd({ srcip: subject, alertId: EARLIER }));
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
    order: (srcip) => wazuhAdd({ srcip, alertId: ALERT }),
    verb: 'add',
    all: one,
    origins: ['wazuh'],
  },
  {
    name: 'a delete',
    prepare: addOne,
    order: (srcip) => wazuhDelete({ srcip, alertId: ALERT }),
    verb: 'delete',
    all: one,
  },
  {
    name: 'an add that execd answers with abort, after a flush',
    prepare: (scene, subject) => {
      addOne(scene, subject);
      scene.flushKernel();
    },
    order: (srcip) => wazuhAdd({ srcip, alertId: ALERT }, 'abort'),
    verb: 'reapplied',
    all: one,
    origins: ['wazuh'],
    isAfterFlush: true,
  },
  {
    name: 'an add that the kernel refuses',
    prepare: (scene) => {
      scene.do(asPerson('add', NEIGHBOUR));
    },
    breaks: (backend) => backend,
    order: (srcip) => wazuhAdd({ srcip, alertId: ALERT }),
    verb: 'add',
    all: one,
    staying: () => [NEIGHBOUR],
    origins: ['wazuh'],
  },
  {
    name: 'a release that others keep',
    prepare: (scene, subject) => {
      addOne(scene, subject);
      scene.do(asPerson('add', subject));
    },
    order: (srcip) => wazuhDelete({ srcip, alertId: ALERT }),
    verb: 'kept',
    all: one,
    staying: one,
    origins: ['manual'],
  },
  {
    name: 'a list',
    prepare: nothing,
    order: (subject) => asPerson('add', '--timeout', '1h', ...several(subject)),
    verb: 'add',
    all: several,
    origins: ['manual'],
  },
  {
    name: 'flush',
    prepare: addAll,
    order: () => asPerson('flush', '--yes'),
    verb: 'delete',
    all: several,
  },
  {
    name: 'expire',
    everyStep: true,
    prepare: (scene, subject) => {
      addAll(scene, subject);
      scene.makeDue(several(subject));
    },
    order: () => asPerson('expire'),
    verb: 'delete',
    all: several,
    anyway: NEXT,
  },
  {
    name: 'restore, which releases what has become protected',
    prepare: (scene, subject, backend) => {
      addAll(scene, subject);
      scene.configure(`[protect]\nallow = ["${PROTECTED}"]\n${configOf(backend)}`);
    },
    order: () => asPerson('restore'),
    verb: 'delete',
    all: () => [PROTECTED],
    anyway: ['restore'],
    staying: (subject) => several(subject).filter((address) => address !== PROTECTED),
  },
  {
    name: 'restore after a flush',
    prepare: (scene, subject) => {
      addAll(scene, subject);
      scene.flushKernel();
    },
    order: () => asPerson('restore'),
    verb: null,
    all: () => [],
    isAfterFlush: true,
  },
  {
    name: 'restore, which takes out what a saved file brought back',
    only: 'iptables',
    prepare: (scene, subject) => {
      addOne(scene, subject);
      // Only this notes the boot.
      scene.do(asPerson('expire'));
      scene.bringBackSaved(() => {
        scene.do(wazuhDelete({ srcip: subject, alertId: EARLIER }));
      });
    },
    order: () => asPerson('restore'),
    verb: 'delete',
    all: one,
    anyway: ['restore'],
    isAfterFlush: true,
  },
  {
    name: 'a run that finishes what was interrupted',
    everyStep: true,
    prepare: (scene, subject) => {
      const env = { FIREWALL_DROP_DIE_AT: 'journal: recorded' };
      scene.run(wazuhAdd({ srcip: subject, alertId: ALERT }), { env });
    },
    order: () => asPerson('expire'),
    verb: 'add',
    all: one,
    origins: ['wazuh'],
  },
  {
    name: 'a move to another backend',
    config: '',
    prepare: (scene, subject, backend) => {
      scene.configure(configOf(backend));
      addAll(scene, subject);
      scene.configure(configOf(another(backend)));
    },
    order: () => asPerson('expire'),
    verb: null,
    all: () => [],
    staying: several,
  },
  {
    name: 'a move that the other backend refuses',
    config: '',
    prepare: (scene, subject, backend) => {
      scene.configure(configOf(backend));
      addAll(scene, subject);
      scene.configure(configOf(another(backend)));
    },
    breaks: another,
    order: () => asPerson('expire'),
    verb: null,
    all: () => [],
    staying: several,
  },
  {
    name: 'a delete between the death of a move and its end',
    everyStep: true,
    config: '',
    prepare: (scene, subject, backend) => {
      scene.configure(configOf(backend));
      scene.do(asPerson('add', ...MORE));
      addOne(scene, subject);
      const env = { FIREWALL_DROP_DIE_AT: 'migrate: new backend active' };
      scene.configure(configOf(another(backend)));
      scene.run(asPerson('expire'), { env });
    },
    order: (srcip) => wazuhDelete({ srcip, alertId: ALERT }),
    verb: 'delete',
    all: one,
    staying: () => MORE,
  },
  {
    name: 'an add that makes auto move all rules into sets',
    only: 'iptables',
    config: '[firewall]\npromote_at = 3\n',
    prepare: (scene) => {
      scene.do(asPerson('add', ...MORE));
    },
    order: (srcip) => wazuhAdd({ srcip, alertId: ALERT }),
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

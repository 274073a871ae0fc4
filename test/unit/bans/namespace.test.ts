// The network namespace from which the state can be changed.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { claimNamespace } from '../../../src/bans/namespace.ts';
import type { Store } from '../../../src/state/store.ts';
import { HOST_PID_NAMESPACE, mountOf, type Whereabouts } from '../../../src/system/procfs.ts';
import { codeOf, Workshop } from '../support/workshop.ts';

const HERE: Whereabouts = { bootId: 'boot-1', net: 'net:[1]', pid: 'pid:[1]' };
const THERE: Whereabouts = { ...HERE, net: 'net:[2]' };

let workshop: Workshop;
let store: Store;
beforeEach(() => {
  workshop = new Workshop();
  store = workshop.openStore();
});
afterEach(() => {
  workshop.close();
});

function claim(here: Whereabouts, inhabited: readonly string[] = []): string {
  const inhabitantOf = (net: string): string | null => {
    return inhabited.includes(net) ? 'process 4711' : null;
  };
  return claimNamespace({ store, here, inhabitantOf });
}

test('the first namespace is recorded and keeps the state', () => {
  expect(claim(HERE)).toBe('');
  expect(claim(HERE, [HERE.net])).toBe('');
  expect(codeOf(() => claim(THERE, [HERE.net]))).toBe('FIREWALL');
  expect(claim(HERE, [HERE.net])).toBe('');
});

test('a refused run reports the namespace of the state and a process in it', () => {
  claim(HERE);
  expect(() => claim(THERE, [HERE.net])).toThrow(/net:\[1\] \(process 4711\).*this is net:\[2\]/);
});

test('a namespace that is gone passes on the state, and a message says to load its bans', () => {
  claim(HERE);
  expect(claim(THERE)).toMatch(/net:\[1\] is gone.*restore/);
  expect(claim(THERE)).toBe('');
});

test('after a boot a run in any namespace is accepted', () => {
  claim(HERE);
  expect(claim({ ...THERE, bootId: 'boot-2' }, [HERE.net])).toBe('');
  expect(codeOf(() => claim({ ...HERE, bootId: 'boot-2' }, [THERE.net]))).toBe('FIREWALL');
});

describe('between host and container', () => {
  test('the host counts as present, although a container can’t see its processes', () => {
    claim({ ...HERE, pid: HOST_PID_NAMESPACE });
    expect(() => claim(THERE)).toThrow(/of the host/);
  });

  test('a restarted container gets the state of the former one', () => {
    claim(HERE);
    expect(claim({ ...THERE, pid: 'pid:[2]' })).toMatch(/is gone/);
  });
});

test('without information from /proc no run is refused', () => {
  const unknown = { bootId: '', net: '', pid: '' };
  claim(unknown);
  expect(claim(HERE, [''])).toBe('');
});

test('a namespace that ip(8) keeps is detected by its mount', () => {
  const mounts = [
    '22 28 0:21 / /proc rw,relatime shared:5 - proc proc rw',
    '400 26 0:4 net:[4026532200] /run/netns/blue rw shared:200 - nsfs nsfs rw',
  ].join('\n');
  expect(mountOf('net:[4026532200]', mounts)).toBe('/run/netns/blue');
  expect(mountOf('net:[4026532201]', mounts)).toBeNull();
});

// The promise of the product: execd says add and packets stop, execd says delete and they flow, through every door.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { builtBinary } from '../support/binary.ts';
import { startExecd } from '../support/execd-client.ts';
import type { Mode } from '../support/execd-protocol.ts';
import { createHost, type Agent, type Host, type IptablesVariant } from '../support/host.ts';
import { connectHosts, connectThrough, FAR, NEAR } from '../support/network.ts';
import { canConnect, listen, openConnection, type Target } from '../support/traffic.ts';
import { eventually } from '../support/wait.ts';

const PORT = 8080;
const LINE = (verb: string, address: string): RegExp =>
  new RegExp(
    String.raw`^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d UTC \d{4} ` +
      String.raw`/var/ossec/active-response/bin/firewall-drop\.sh ${verb} - ${address} \d+\.\d+ \d+$`,
  );

const MODES: readonly Mode[] = ['wazuh4', 'wazuh5', 'ossec'];
const VARIANTS: readonly IptablesVariant[] = ['nft', 'legacy'];

describe.each(VARIANTS)('with iptables-%s', (variant) => {
  let victim: Host;
  let attacker: Host;
  let agent: Agent;

  beforeAll(async () => {
    [victim, attacker] = await Promise.all([createHost('victim'), createHost('attacker')]);
    victim.useIptables(variant);
    connectHosts(victim, attacker, NEAR);
    agent = victim.installAgent({ binary: builtBinary() });
    await listen(victim, PORT);
  });

  afterAll(async () => {
    await Promise.all([victim.dispose(), attacker.dispose()]);
  });

  describe.each(MODES)('through the door of %s', (mode) => {
    test.each([
      ['IPv4', `${NEAR.ipv4}.2`, `${NEAR.ipv4}.1`],
      ['IPv6', `${NEAR.ipv6}:2`, `${NEAR.ipv6}:1`],
    ])('an %s attacker is shut out until execd says delete', async (_, offender, address) => {
      const target: Target = { address, port: PORT };
      const execd = await startExecd(victim, { mode, checkEveryMs: 100 });
      const before = agent.logLines().length;
      expect(await canConnect(attacker, target)).toBe(true);

      const report = await execd.alert(offender, { timeoutSeconds: 2 });
      await eventually('the add line', () => agent.logLines().length === before + 1);
      expect(await canConnect(attacker, target)).toBe(false);
      expect(victim.rulesFor(offender, { variant })).toHaveLength(2);
      if (mode !== 'ossec') expect(report).toMatchObject({ status: 0 });

      await eventually('the delete line', () => agent.logLines().length === before + 2);
      expect(await canConnect(attacker, target)).toBe(true);
      expect(victim.rulesFor(offender, { variant })).toEqual([]);
      await execd.stop();

      const [add, remove] = agent.logLines().slice(before);
      expect(add).toMatch(LINE('add', offender));
      expect(remove).toMatch(LINE('delete', offender));
    });
  });

  test('a connection that was open before the block is cut too', async () => {
    const offender = `${NEAR.ipv4}.2`;
    const connection = await openConnection(attacker, { address: `${NEAR.ipv4}.1`, port: PORT });
    expect(await connection.exchange('hello')).toBe(true);
    const execd = await startExecd(victim);
    await execd.alert(offender, { timeoutSeconds: 60 });
    expect(await connection.exchange('still there?')).toBe(false);
    expect(await execd.stop()).toHaveLength(1);
    await connection.close();
  });

  test('packets that are only forwarded stop as well', async () => {
    const [client, router, server] = await Promise.all(
      ['client', 'router', 'server'].map((name) => createHost(name)),
    );
    if (!client || !router || !server) throw new Error('hosts are missing');
    router.useIptables(variant);
    router.installAgent({ binary: builtBinary() });
    const { a, b } = connectThrough(client, router, server);
    await listen(server, PORT);
    const execd = await startExecd(router);
    for (const [offender, address] of [
      [a.ipv4, b.ipv4],
      [a.ipv6, b.ipv6],
    ] as const) {
      expect(await canConnect(client, { address, port: PORT })).toBe(true);
      await execd.alert(offender, { timeoutSeconds: 60 });
      expect(await canConnect(client, { address, port: PORT })).toBe(false);
    }
    expect(await execd.stop()).toHaveLength(2);
    expect(await canConnect(client, { address: `${FAR.ipv4}.2`, port: PORT })).toBe(true);
    await Promise.all([client, router, server].map((host) => host.dispose()));
  });
});

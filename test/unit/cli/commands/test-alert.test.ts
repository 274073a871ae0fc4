import { describe, expect, test } from '@jest/globals';
import { messageOf, ossecArguments, type Scene } from '../../../../src/cli/commands/test-alert.ts';
import { DEFAULT_CONFIG } from '../../../../src/config/schema.ts';
import { readInvocation } from '../../../../src/wazuh/invocation.ts';
import { readMessage, readArguments } from '../../../../src/wazuh/request.ts';
import {
  ossecArguments as seenArguments,
  wazuh4Object,
  wazuh5Object,
  type Json,
} from '../../../support/alerts.ts';

const SCENE: Scene = {
  srcip: '203.0.113.7',
  ruleId: '5710',
  timeoutSeconds: 180,
  blocks: true,
  nowMs: Date.UTC(2026, 10, 24, 7, 5, 0, 162),
};

/** Returns the keys of a message in order, including those of nested objects. */
function shapeOf(value: Json): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return typeof value;
  return Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]);
}

describe('test-alert prints the same keys in the same order as execd of', () => {
  test('Wazuh 4', () => {
    expect(shapeOf(messageOf('wazuh4', SCENE))).toEqual(shapeOf(wazuh4Object()));
  });

  test.each([
    ['stateful', 180],
    ['stateless', null],
  ] as const)('Wazuh 5, %s', (type, timeoutSeconds) => {
    const message = messageOf('wazuh5', { ...SCENE, timeoutSeconds });
    expect(shapeOf(message)).toEqual(shapeOf(wazuh5Object({ type })));
  });

  test('OSSEC', () => {
    const own = ossecArguments(SCENE);
    expect(own).toHaveLength(seenArguments().length);
    expect(own.slice(0, 3)).toEqual(seenArguments().slice(0, 3));
    expect(readInvocation(own, false)).toBe('ossec');
  });
});

describe.each([
  [true, 'block'],
  [false, 'unblock'],
] as const)('with blocks = %s, test-alert prints a message that means %s to', (blocks, action) => {
  const asked = { ...SCENE, blocks };
  const common = { action, address: expect.objectContaining({ text: SCENE.srcip }) as unknown };

  test('the parser of Wazuh 4, with ids that rules can decode', () => {
    const line = Buffer.from(JSON.stringify(messageOf('wazuh4', asked)));
    expect(readMessage(line, DEFAULT_CONFIG.alert)).toMatchObject({
      ...common,
      dialect: 'wazuh4',
      alertId: '1795503900.162000',
      ruleId: '5710',
    });
  });

  test('the parser of Wazuh 5, with its timeout', () => {
    const line = Buffer.from(JSON.stringify(messageOf('wazuh5', asked)));
    expect(readMessage(line, DEFAULT_CONFIG.alert)).toMatchObject({
      ...common,
      dialect: 'wazuh5',
      timeoutSeconds: 180,
    });
  });

  test('the parser of OSSEC', () => {
    expect(readArguments(ossecArguments(asked))).toMatchObject({ ...common, dialect: 'ossec' });
  });
});

// The saved objects for Wazuh's dashboard use only fields and rules that our lines produce.
import { describe, expect, test } from '@jest/globals';
import { decode, packaged, rules } from '../../support/local-rules.ts';

interface SavedObject {
  readonly type: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly references: readonly { readonly type: string; readonly id: string }[];
}

interface Visualization {
  readonly aggs: readonly { readonly params: { readonly field?: string } }[];
}

const objects = packaged('dashboard.ndjson')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as SavedObject);
const visualizations = objects.filter(({ type }) => type === 'visualization');

/** The fields that Wazuh adds to every alert; decoded fields are below `data`. */
const OF_EVERY_ALERT = ['timestamp', 'agent.name', 'rule.id', 'rule.groups'];
const LINE =
  'Tue Nov 24 07:05:00 UTC 2026 /var/ossec/active-response/bin/firewall-drop.sh add - 203.0.113.7 1628597593.1234567 5710 - -';
const known = new Set([
  ...OF_EVERY_ALERT,
  ...Object.keys(decode(LINE)?.fields ?? {}).map((name) => `data.${name}`),
]);

describe.each(visualizations)('$id', ({ attributes, references }) => {
  const query = JSON.stringify(attributes['kibanaSavedObjectMeta']);

  test('uses fields that our alerts have', () => {
    const { aggs } = JSON.parse(attributes['visState'] as string) as Visualization;
    const fields = aggs.flatMap(({ params }) => params.field ?? []);
    expect(fields.length).toBeGreaterThan(0);
    for (const field of fields) expect(known).toContain(field);
  });

  test('uses rules that exist, in the index of alerts', () => {
    const ours = new Set(rules().map(({ attributes: { id } }) => id));
    const asked = query.match(/\b10\d{4}\b/g) ?? [];
    for (const id of asked) expect(ours).toContain(id);
    const groups = packaged('local_rules.xml');
    for (const [, group = ''] of query.matchAll(/rule\.groups: (\w+)/g)) {
      expect(groups).toContain(`${group},</group>`);
    }
    expect(references).toContainEqual(
      expect.objectContaining({ type: 'index-pattern', id: 'wazuh-alerts-*' }),
    );
  });
});

test('the dashboard shows each visualization', () => {
  const dashboard = objects.find(({ type }) => type === 'dashboard');
  expect(dashboard?.references.map(({ id }) => id)).toEqual(visualizations.map(({ id }) => id));
});

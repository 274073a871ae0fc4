// A parsed config as text for the state, so that an alert need not load the TOML parser.
import { CLOUD_ADDRESS_FIELDS } from './address-fields.ts';
import { POLICY_KEYS, type PolicyEntry } from './policy-schema.ts';
import { SCHEMA, type Config } from './schema.ts';
import { ENTRIES, NAME_PATTERN } from './setting.ts';
import { buildConfig, buildPolicyEntry, camelCase, checkValue, ownProperty } from './values.ts';

export function configToJson(config: Config): string {
  return JSON.stringify({ schema: schemaHash(), config });
}

/** What {@link configToJson} of this very shape and these defaults wrote; null for any other text. */
export function configFromJson(text: string): Config | null {
  const written = ownProperty(parseJson(text), 'config');
  const config = buildConfig(
    (section, key, setting) => {
      const value = ownProperty(ownProperty(written, section), camelCase(key));
      return checkValue(setting, value).value;
    },
    policyFrom(ownProperty(written, 'policy')),
  );
  // Whatever was missing, wrong or unknown makes the text differ.
  return configToJson(config) === text ? config : null;
}

/** Entries as they were written as JSON; what is wrong in one has its default. */
export function policyFrom(written: unknown): PolicyEntry[] {
  if (!Array.isArray(written)) return [];
  return written.map((entry: unknown) => {
    return buildPolicyEntry((key, setting) => {
      const value = ownProperty(entry, camelCase(key));
      // Empty where the key is not given, which is no length of time.
      return value === setting.default ? undefined : checkValue(setting, value).value;
    });
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** FNV-1a over all that decides what a config can hold: another program version's cache is not read as ours. */
function schemaHash(): number {
  const shape = JSON.stringify(
    [SCHEMA, POLICY_KEYS, ENTRIES, NAME_PATTERN, CLOUD_ADDRESS_FIELDS],
    (key, value: unknown) => {
      if (key === 'doc') return undefined;
      return value instanceof RegExp ? String(value) : value;
    },
  );
  let hash = 0x811c9dc5;
  for (let index = 0; index < shape.length; index++)
    hash = Math.imul(hash ^ shape.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

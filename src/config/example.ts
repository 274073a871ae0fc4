// Writes packaging/config.toml, the documented example: every key, commented out, with its default.
import { POLICY_KEYS } from './policy.ts';
import { SCHEMA } from './schema.ts';
import type { Setting } from './setting.ts';
import { tomlText } from './toml.ts';

export function exampleConfig(): string {
  const sections = Object.entries(SCHEMA).map(([section, settings]) => {
    const keys = Object.entries<Setting>(settings).map(([key, setting]) => {
      return `# ${setting.doc.replaceAll('\n', '\n# ')}\n#${key} = ${exampleValue(setting)}\n`;
    });
    return `[${section}]\n\n${keys.join('\n')}`;
  });
  return `${EXAMPLE_HEAD}\n${sections.join('\n')}\n${policyExample()}`;
}

/** TOML: the default of a key, or a value that it may have where it has no default. */
export function exampleValue(setting: Setting): string {
  return tomlText(setting.default ?? setting.example);
}

/** Entries have no defaults to show: the first lines are the header of one, and each key is empty. */
function policyExample(): string {
  const keys = Object.entries(POLICY_KEYS).map(([key, setting]) => {
    return `# ${key}: ${setting.doc.replaceAll('\n', '\n#   ')}`;
  });
  return `${POLICY_HEAD}${keys.join('\n')}\n`;
}

const POLICY_HEAD = `# Rules of policy (docs/policy.md): any number of [[policy]] entries at the end of the file. The first
# whose conditions are all met decides; an entry without conditions is met by every alert. An entry with
# a mistake is reported and left out.
#
# [[policy]]
# rule_id = [5712, 5720]
# timeout = "24h"
#
# [[policy]]
# address = ["192.0.2.0/24"]
# action = "ignore"
#
# Conditions, then what is decided:
#
`;

const EXAMPLE_HEAD = `# firewall-drop reads this file as /etc/firewall-drop/config.toml at every run. Without it, and for
# each key that stays commented out, the default holds, which is the value shown. A key that is wrong
# is reported and its default used: a mistake here never stops a block.
`;

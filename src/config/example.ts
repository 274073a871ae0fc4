// Writes packaging/config.toml, the documented example: every key, commented out, with its default.
import { SCHEMA, type Setting } from './schema.ts';
import { tomlText } from './values.ts';

/** The documented example, `packaging/config.toml`: every key, commented out, with its default. */
export function exampleConfig(): string {
  const sections = Object.entries(SCHEMA).map(([section, settings]) => {
    const keys = Object.entries<Setting>(settings).map(([key, setting]) => {
      const value = tomlText(setting.kind === 'name' ? setting.example : setting.default);
      return `# ${setting.doc.replaceAll('\n', '\n# ')}\n#${key} = ${value}\n`;
    });
    return `[${section}]\n\n${keys.join('\n')}`;
  });
  return `${EXAMPLE_HEAD}\n${sections.join('\n')}`;
}

const EXAMPLE_HEAD = `# firewall-drop reads this file as /etc/firewall-drop/config.toml at every run. Without it, and for
# each key that stays commented out, the default holds, which is the value shown. A key that is wrong
# is reported and its default used: a mistake here never stops a block.
`;

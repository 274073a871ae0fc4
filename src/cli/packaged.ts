// The embedded files of packaging/, filled in or adapted to the place of installation, and the package manager that owns
// the program.
import { textOrNull } from '../system/paths.ts';

/** The files of packaging/ that scripts/lib/packaged.mjs reads, by name, as JSON. Set by the build. */
declare const __PACKAGED__: string;

/** The paths that the files of packaging/ contain. */
const PACKAGED_PROGRAM = '/usr/lib/firewall-drop/firewall-drop';
const PACKAGED_HOME = '/var/ossec';
/** A file with the text `deb` or `rpm`, which only packages install. */
const PACKAGE_FILE = '/usr/lib/firewall-drop/package';

/** The commands that replace `install` and `uninstall` for a packaged program. */
export const PACKAGE_COMMANDS = {
  deb: {
    reinstall: 'apt-get install --reinstall wazuh-firewall-drop',
    remove: 'apt-get remove wazuh-firewall-drop',
  },
  rpm: {
    reinstall: 'dnf reinstall wazuh-firewall-drop',
    remove: 'dnf remove wazuh-firewall-drop',
  },
} as const;

/** Returns the format of the package that owns the program on this host; null if it was installed without a package. */
export function owningPackageManager(file = PACKAGE_FILE): keyof typeof PACKAGE_COMMANDS | null {
  const format = textOrNull(file)?.trim();
  return format === 'deb' || format === 'rpm' ? format : null;
}

export interface Installed {
  readonly home: string;
  readonly program: string;
}

function packagedFiles(): Readonly<Record<string, string>> {
  return JSON.parse(__PACKAGED__) as Record<string, string>;
}

export function unitNames(): string[] {
  return Object.keys(packagedFiles()).filter((name) => /\.(?:service|timer)$/.test(name));
}

/** Returns a file of packaging/ unchanged. */
export function packagedText(name: string): string {
  const text = packagedFiles()[name];
  if (text === undefined) throw new Error(`this build has no ${name}`);
  return text;
}

export function textFor(name: string, { home, program }: Installed): string {
  return packagedText(name).replaceAll(PACKAGED_HOME, home).replaceAll(PACKAGED_PROGRAM, program);
}

type Values = Readonly<Record<string, readonly string[]>>;

const PLACEHOLDER = /\{\{([a-z0-9-]+)\}\}/g;

/**
 * Returns the lines of a template with its placeholders, `{{agent}}`, filled in. Repeats a line for each value of a
 * placeholder; without values the line is omitted.
 */
export function packagedLines(name: string, values: Values): string[] {
  const lines = packagedText(name).trimEnd().split('\n');
  return lines.flatMap((template) => {
    const names = Array.from(template.matchAll(PLACEHOLDER), ([, named = '']) => named);
    return names.reduce(
      (filled, named) => {
        const given = values[named];
        if (given === undefined)
          throw new Error(`${name} has a placeholder ${named} without a value`);
        return fill(filled, named, given);
      },
      [template],
    );
  });
}

/**
 * Returns two placeholders without text: lines with `name` are included if the condition holds, lines with `otherwise`
 * if not.
 */
export function when(name: string, holds: boolean, otherwise: string): Values {
  return { [name]: holds ? [''] : [], [otherwise]: holds ? [] : [''] };
}

function fill(lines: readonly string[], name: string, values: readonly string[]): string[] {
  return lines.flatMap((line) => values.map((value) => line.replace(`{{${name}}}`, () => value)));
}

// What packages have to do with this program: the files of packaging/ that it carries, filled in or fitted to where it was
// installed, and who owns it on this host.
import { textOrNull } from '../system/paths.ts';

/** JSON: what scripts/lib/packaged.mjs reads of packaging/, by the files' names. */
declare const __PACKAGED__: string;

/** What a package installs, and what its files are written for. */
const PACKAGED_PROGRAM = '/usr/lib/firewall-drop/firewall-drop';
const PACKAGED_HOME = '/var/ossec';
/** Only the packages have it: `deb` or `rpm`. */
const PACKAGE_FILE = '/usr/lib/firewall-drop/package';

/** What does for a packaged program what `install` and `uninstall` do for a copied one. */
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

/** Whose package the program of this host belongs to; null: nobody's, it was copied. */
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

/** As it lies in packaging/. */
export function packagedText(name: string): string {
  const text = packagedFiles()[name];
  if (text === undefined) throw new Error(`this build has no ${name}`);
  return text;
}

export function textFor(name: string, { home, program }: Installed): string {
  return packagedText(name).replaceAll(PACKAGED_HOME, home).replaceAll(PACKAGED_PROGRAM, program);
}

export type Values = Readonly<Record<string, readonly string[]>>;

const NAME = /\{\{([a-z0-9-]+)\}\}/g;

/** The lines of a text. One that names a value, `{{agent}}`, is there once for each that there is: not at all, once, or for all of a list. */
export function packagedLines(name: string, values: Values): string[] {
  const lines = packagedText(name).trimEnd().split('\n');
  return lines.flatMap((template) => {
    const names = Array.from(template.matchAll(NAME), ([, named = '']) => named);
    return names.reduce(
      (filled, named) => {
        const given = values[named];
        if (given === undefined) throw new Error(`${name} names ${named}, which has no value`);
        return fill(filled, named, given);
      },
      [template],
    );
  });
}

/** For the lines that are there where a condition holds, and those in their place where it does not. They have no text. */
export function when(name: string, holds: boolean, otherwise: string): Values {
  return { [name]: holds ? [''] : [], [otherwise]: holds ? [] : [''] };
}

function fill(lines: readonly string[], name: string, values: readonly string[]): string[] {
  return lines.flatMap((line) => values.map((value) => line.replace(`{{${name}}}`, () => value)));
}

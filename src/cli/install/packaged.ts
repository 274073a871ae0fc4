// The files of packaging/ that the build script put into this program, fitted to where it was installed.

/** JSON: the files of packaging/systemd, packaging/cron and packaging/logrotate by their names. */
declare const __PACKAGED__: string;

/** What a package installs, and what its files are written for. */
const PACKAGED_PROGRAM = '/usr/lib/firewall-drop/firewall-drop';
const PACKAGED_HOME = '/var/ossec';

export interface Installed {
  readonly home: string;
  /** The absolute path of the program that is to be called. */
  readonly program: string;
}

function packagedFiles(): Readonly<Record<string, string>> {
  return JSON.parse(__PACKAGED__) as Record<string, string>;
}

export function unitNames(): string[] {
  return Object.keys(packagedFiles()).filter((name) => /\.(?:service|timer)$/.test(name));
}

export function textFor(name: string, { home, program }: Installed): string {
  const text = packagedFiles()[name];
  if (text === undefined) throw new Error(`this build has no ${name}`);
  return text.replaceAll(PACKAGED_HOME, home).replaceAll(PACKAGED_PROGRAM, program);
}

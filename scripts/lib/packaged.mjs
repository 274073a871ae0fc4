// Reads the files of packaging/ that the program contains, because it installs or prints them.
import fs from 'node:fs';
import path from 'node:path';

const FOLDER = path.resolve(import.meta.dirname, '../../packaging');

/** Returns the text of each file by its name, without its directory. */
export function packaged() {
  const inFolder = (folder) => {
    return fs
      .readdirSync(path.join(FOLDER, folder))
      .sort()
      .map((name) => `${folder}/${name}`);
  };
  const files = [
    ...['systemd', 'cron', 'logrotate', 'completion', 'snippets', 'man', 'samples'].flatMap(
      inFolder,
    ),
    'config.toml',
  ];
  return Object.fromEntries(
    files.map((file) => [path.basename(file), fs.readFileSync(path.join(FOLDER, file), 'utf8')]),
  );
}

// How the configuration and this host have lines written in active-responses.log.
import type { Config } from '../config/schema.ts';
import { readRegularFile } from '../system/files.ts';
import { LARGEST_ZONE_FILE, readHostZone } from '../system/zone.ts';
import type { Place } from './home.ts';
import type { LogFormat } from './response-lines.ts';

export function logFormat({ home, name }: Place, { log, alert }: Config): LogFormat {
  return {
    kind: log.format,
    home,
    name,
    addressFields: alert.addressFields,
    wazuh5Fields: alert.wazuh5Fields,
    programName: log.programName ?? (name.endsWith('.sh') ? name : `${name}.sh`),
    zone: readHostZone({
      tz: process.env['TZ'],
      readFile: (path) => readRegularFile(path, LARGEST_ZONE_FILE),
    }),
  };
}

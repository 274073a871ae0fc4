// Checks ar.conf, which the manager writes and sends to every agent: lines `NAME - EXECUTABLE - SECONDS`.
import { AR_CONF_LINE } from '../wazuh/agent-config.ts';
import { error, warning, type Diagnosis, type ExecutableTrouble } from './diagnosis.ts';

export function checkArConf(
  text: string,
  inspectExecutable: (name: string) => ExecutableTrouble | null,
): Diagnosis[] {
  const timeouts = new Map<string, Set<string>>();
  return text.split('\n').flatMap((content, index) => {
    if (content.trim() === '') return [];
    const at = { line: index + 1, column: 1 };
    const [, name, executable, seconds] = AR_CONF_LINE.exec(content) ?? [];
    if (name === undefined || executable === undefined || seconds === undefined) {
      const fix = 'the manager writes this file: restart the manager';
      const cause = 'execd cannot parse this line; the form is NAME - EXECUTABLE - SECONDS';
      return error(at, cause, fix);
    }
    const known = timeouts.get(executable) ?? new Set();
    const differs = known.size > 0 && !known.has(seconds);
    timeouts.set(executable, known.add(seconds));
    const trouble = inspectExecutable(executable);
    const column = content.indexOf(` - ${executable}`) + 4;
    const found = trouble === null ? [] : [{ ...at, column, ...trouble }];
    if (!differs) return found;
    const cause = `${executable} has timeouts of ${[...known].join(', ')} seconds: execd keeps one entry per address, and a later alert only restarts the timeout of that entry`;
    return [...found, ...warning(at, cause, 'give the responses of the manager the same timeout')];
  });
}

// Checks whether files that are loaded at boot have rules of ours.
import { SAVED_RULES } from '../../bans/saved-rules.ts';
import { droppedSource, readRules } from '../../firewall/iptables/parse.ts';
import { textOrNull } from '../../system/paths.ts';
import { defineCheck, ok, problem, warning, type Finding, type Scene } from './check.ts';

export const savedRules = defineCheck({
  name: 'saved rules',
  probe: ({ context }: Scene) => ({
    files: SAVED_RULES.flatMap((path) => {
      const text = textOrNull(path);
      return text === null ? [] : [{ path, ...readSaved(text, context.config.firewall.setName) }];
    }),
  }),
  evaluate({ files }) {
    const findings = files.flatMap(({ path, addresses, setRules }): Finding[] => {
      const resave = `firewall-drop keeps blocks by itself; take these lines out of ${path}: see "Reboots" in docs/runbook.md`;
      if (setRules > 0) {
        const what = `${path} refers to sets of ours, which are not there at boot: iptables-restore then loads nothing of it`;
        return [problem(what, resave)];
      }
      if (addresses.length === 0) return [];
      const what = `${path} has ${addresses.length} drops of our shape: they come back at every boot; restore takes out those that it knows for ours`;
      return [warning(what, resave)];
    });
    return findings.length > 0 ? findings : [ok('no saved rules hold blocks')];
  },
});

/** What a file of `iptables-save` has of ours: it comes back at every boot, whether or not the block is over. */
export function readSaved(
  text: string,
  setName: string,
): { readonly addresses: readonly string[]; readonly setRules: number } {
  const { rules } = readRules(text);
  const inFilter = rules.filter(({ chain }) => !chain.startsWith('raw '));
  const addresses = inFilter.flatMap(({ spec }) => droppedSource(spec) ?? []);
  const asked = [`--match-set ${setName}-4 `, `--match-set ${setName}-6 `];
  return {
    addresses: [...new Set(addresses)],
    setRules: rules.filter(({ spec }) => asked.some((words) => spec.includes(words))).length,
  };
}

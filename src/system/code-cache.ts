// Which of the compiled code inside the executable the runtime did not take.

/** scripts/lib/loader.cjs gives it to each script; sources that run as they are have none. */
declare const assets: { readonly rejectedCaches: readonly string[] } | undefined;

/** Names of scripts that V8 had to compile anew, which costs time and nothing else. Empty in the usual case. */
export function rejectedCaches(): readonly string[] {
  return typeof assets === 'undefined' ? [] : assets.rejectedCaches;
}

// The version and the commit. The build script defines both.
declare const __VERSION__: string | undefined;
declare const __COMMIT__: string | undefined;

/** True if the sources run without a build. */
export const FROM_SOURCES = typeof __VERSION__ !== 'string';

export const BUILD = {
  version: typeof __VERSION__ === 'string' ? __VERSION__ : '0.0.0-source',
  commit: typeof __COMMIT__ === 'string' ? __COMMIT__ : 'unknown',
} as const;

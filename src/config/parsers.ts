// The parsers of configuration files, in an asset of their own that an alert loads only after a file has changed.
export { parseConfig } from './parse.ts';
export { parseGroupPolicy } from './group-policy.ts';
export { formatProblem } from './toml.ts';
export { DEFAULT_CONFIG } from './schema.ts';

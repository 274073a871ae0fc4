/**
 * Reads the committed initial inputs: `corpus/TARGET.jsonl`, one input per line, as a JSON string of its bytes
 * (Latin-1).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export function corpusFile(directory: string, target: string): string {
  return join(directory, `${target}.jsonl`);
}

export function readCorpus(directory: string, target: string): Buffer[] {
  const lines = readFileSync(corpusFile(directory, target), 'utf8').trimEnd().split('\n');
  return lines.map((line) => Buffer.from(JSON.parse(line) as string, 'latin1'));
}

export function corpusLine(input: Buffer): string {
  return `${JSON.stringify(input.toString('latin1'))}\n`;
}

// Breaks text into lines that fit.

/** Lines of at most `columns` characters, where words allow it; all but the first begin with `indent`. */
export function wrap(text: string, columns: number, indent = ''): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= columns) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(last === undefined ? word : indent + word);
  }
  return lines;
}

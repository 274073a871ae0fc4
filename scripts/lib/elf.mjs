// Finds a variable in an executable with symbols: 64-bit ELF, little-endian (System V ABI, chapter 4).

const SECTION_TABLE = { at: 40, entrySize: 58, entries: 60 };
const SYMBOL_TABLE = 2;
const SYMBOL_SIZE = 24;

/** Returns the file offset of the variable with the mangled name `name`; null if there is no such symbol. */
export function offsetOf(elf, name) {
  const sections = readSections(elf);
  for (const { kind, offset, size, link } of sections) {
    if (kind !== SYMBOL_TABLE) continue;
    const names = elf.subarray(sections[link].offset, sections[link].offset + sections[link].size);
    const nameAt = names.indexOf(`\0${name}\0`) + 1;
    if (nameAt === 0) continue;
    for (let at = offset; at < offset + size; at += SYMBOL_SIZE) {
      if (elf.readUInt32LE(at) !== nameAt) continue;
      const section = sections[elf.readUInt16LE(at + 6)];
      return section.offset + Number(elf.readBigUInt64LE(at + 8)) - section.address;
    }
  }
  return null;
}

function readSections(elf) {
  const first = Number(elf.readBigUInt64LE(SECTION_TABLE.at));
  const size = elf.readUInt16LE(SECTION_TABLE.entrySize);
  const starts = Array.from(
    { length: elf.readUInt16LE(SECTION_TABLE.entries) },
    (_, index) => first + index * size,
  );
  return starts.map((at) => ({
    kind: elf.readUInt32LE(at + 4),
    address: Number(elf.readBigUInt64LE(at + 16)),
    offset: Number(elf.readBigUInt64LE(at + 24)),
    size: Number(elf.readBigUInt64LE(at + 32)),
    link: elf.readUInt32LE(at + 40),
  }));
}

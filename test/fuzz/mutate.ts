/** Makes new inputs from known ones. The same seed gives the same inputs. */

export type Random = (below: number) => number;

/** Returns a random number generator: xorshift128, seeded by splitmix32. */
export function randomFrom(seed: number): Random {
  let stir = seed >>> 0;
  const next = (): number => {
    stir = (stir + 0x9e3779b9) >>> 0;
    const a = Math.imul(stir ^ (stir >>> 16), 0x21f0aaad);
    const b = Math.imul(a ^ (a >>> 15), 0x735a2d97);
    return (b ^ (b >>> 15)) >>> 0;
  };
  let [x, y, z, w] = [next(), next(), next(), next() | 1] as const;
  return (below) => {
    const t = x ^ (x << 11);
    [x, y, z] = [y, z, w];
    w = (w ^ (w >>> 19) ^ t ^ (t >>> 8)) >>> 0;
    return w % below;
  };
}

/** Texts that parsers tend to misread. */
const TOKENS = [
  ...['{', '}', '[', ']', ',', ':', '"', '\\', '""', '{}', '[]', 'null', 'true', '1e400', '-0'],
  ...['NaN', '"command":"add"', '"command":"delete"', '"command":"enable"', '"command":"disable"'],
  ...['"command":"continue"', '"command":"abort"', '"parameters":{', '"alert":{', '"data":{'],
  ...['"srcip":"198.51.100.9"', '"data":{"srcip":"198.51.100.9"}', '"source":{"ip":"192.0.2.9"}'],
  ...['"wazuh":{', '"__proto__":{', '"constructor":', '"toString":', '"rule":{"id":"1"}'],
  ...['"program":"firewall-drop"', '"stateful_timeout":', '99999999999', '0x10', '1e3', '-1'],
  ...['192.0.2.1', '2001:db8::1', '::ffff:192.0.2.1', '::192.0.2.1', '::', '0.0.0.0', '010.0.0.1'],
  ...['0.0.0.0/0', '1.2.3.4/32', '::/0', 'fe80::1%eth0', '-F', '--help', '-j ACCEPT', ' -s ', '!'],
  ...['\n', '\r', '\t', ' ', '\0', '\u001b[2J', '\u0085', '\u2028', '\ufeff', '\u200b', '\u202e'],
  ...['\\n', '\\u0000', '\\ud800', '\\u2028', '\\u001b', '\\"', '٣', '．', '. ', '::', '/', '%'],
  ...[
    '\nMon May  6 00:00:00 UTC 2024 /a/active-response/bin/b.sh add - 192.0.2.1 1.2 3\n',
    '2024/05/06 00:00:00 active-response/bin/b: {"command":"add"}',
    'firewall-drop - firewall-drop - 0\n',
    '<ossec_config><global><white_list>',
    '<!-- ',
    ' -->',
    '&amp;',
    '<![CDATA[',
    '[firewall]\n',
    '-A INPUT -s 192.0.2.1/32 -j DROP\n',
  ],
].map((token) => Buffer.from(token));

const LARGEST = 64 * 1024;
const MOST_REPEATS = 2000;

/** Returns `input` with one to four changes. Some changes insert a part of `other`. */
export function mutate(input: Buffer, other: Buffer, random: Random): Buffer {
  let result = input;
  for (let count = 1 + random(4); count > 0; count--) result = change(result, other, random);
  return result.length > LARGEST ? result.subarray(0, LARGEST) : result;
}

function change(input: Buffer, other: Buffer, random: Random): Buffer {
  const from = random(input.length + 1);
  const to = Math.min(input.length, from + random(random(8) === 0 ? input.length + 1 : 12));
  const replaceBy = (middle: Buffer): Buffer =>
    Buffer.concat([input.subarray(0, from), middle, input.subarray(to)]);
  switch (random(10)) {
    case 0:
      return flipped(input, from, 1 << random(8));
    case 1:
      return replaceBy(Buffer.from([random(256)]));
    case 2:
      return replaceBy(Buffer.alloc(0));
    case 3:
      return replaceBy(Buffer.concat([input.subarray(from, to), input.subarray(from, to)]));
    case 4:
      return replaceBy(pick(TOKENS, random));
    case 5:
      return inserted(input, from, pick(TOKENS, random));
    case 6:
      return inString(input, from, pick(TOKENS, random));
    case 7: {
      const start = random(other.length + 1);
      return replaceBy(other.subarray(start, start + random(other.length - start + 1)));
    }
    case 8:
      return random(40) === 0 ? repeated(input, from, to, 2 + random(MOST_REPEATS)) : input;
    default:
      return inserted(input, from, Buffer.from(String(random(2 ** 16))));
  }
}

function flipped(input: Buffer, at: number, bits: number): Buffer {
  const result = Buffer.from(input);
  if (at < result.length) result[at] = (result[at] ?? 0) ^ bits;
  return result;
}

function inserted(input: Buffer, at: number, piece: Buffer): Buffer {
  return Buffer.concat([input.subarray(0, at), piece, input.subarray(at)]);
}

/** Replaces the content of the next string, as an attacker can in a message. */
function inString(input: Buffer, from: number, piece: Buffer): Buffer {
  const open = input.indexOf('"', from);
  const close = open < 0 ? -1 : input.indexOf('"', open + 1);
  if (close < 0) return input;
  return Buffer.concat([input.subarray(0, open + 1), piece, input.subarray(close)]);
}

function repeated(input: Buffer, from: number, to: number, times: number): Buffer {
  const piece = input.subarray(from, Math.max(from + 1, Math.min(to, from + 24)));
  return inserted(input, from, Buffer.concat(Array<Buffer>(times).fill(piece)));
}

export function pick<T>(list: readonly T[], random: Random): T {
  const found = list[random(list.length)];
  if (found === undefined) throw new Error('nothing to pick from');
  return found;
}

// Draws a line chart as SVG: the number of bans on the x axis, a measure on the y axis.
const SIZE = { width: 640, height: 400 };
const FRAME = { left: 70, right: 150, top: 40, bottom: 56 };
const PALETTE = ['#d1242f', '#0969da', '#1a7f37', '#8250df'];

const round = (number) => Math.round(number * 10) / 10;
const escapeXml = (text) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** Returns the logarithmic x scale of the numbers of bans. 0 is one decade left of the smallest number. */
function alongScale(counts) {
  const least = Math.log10(Math.min(...counts.filter((count) => count > 0)));
  const decades = (count) => (count === 0 ? least - 1 : Math.log10(count));
  const most = Math.max(...counts.map(decades));
  const inner = SIZE.width - FRAME.left - FRAME.right;
  return (count) => round(FRAME.left + ((decades(count) - least + 1) / (most - least + 1)) * inner);
}

/** Returns the y scale: logarithmic for times, which span decades, and linear from 0 for packets. */
function upScale(values, logarithmic) {
  const inner = SIZE.height - FRAME.top - FRAME.bottom;
  const place = (share) => round(FRAME.top + (1 - share) * inner);
  if (!logarithmic) {
    const most = niceCeiling(Math.max(...values));
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => share * most);
    return { y: (value) => place(value / most), ticks };
  }
  const least = Math.floor(Math.log10(Math.min(...values)));
  const most = Math.ceil(Math.log10(Math.max(...values)));
  const ticks = Array.from({ length: most - least + 1 }, (_, step) => 10 ** (least + step));
  return { y: (value) => place((Math.log10(value) - least) / (most - least)), ticks };
}

function niceCeiling(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return Math.ceil(value / unit) * unit;
}

/** Moves overlapping labels downwards. */
function spread(labels) {
  let last = -Infinity;
  return labels
    .toSorted((a, b) => a.y - b.y)
    .map((label) => {
      last = Math.max(label.y, last + 15);
      return { ...label, y: last };
    });
}

/**
 * Returns the chart as SVG. `series` maps a name to [[bans, value], …], ordered by the number of bans.
 * @param {{ title: string, along: string, up: string, logarithmic: boolean, series: Record<string, [number, number][]>
 * }} chart
 */
export function drawChart({ title, along, up, logarithmic, series }) {
  const points = Object.values(series).flat();
  const counts = [...new Set(points.map(([count]) => count))].toSorted((a, b) => a - b);
  const x = alongScale(counts);
  const { y, ticks } = upScale(
    points.map(([, value]) => value),
    logarithmic,
  );
  const right = SIZE.width - FRAME.right;
  const bottom = SIZE.height - FRAME.bottom;
  const grid = ticks.map((tick) => {
    const at = y(tick);
    return `<line x1="${FRAME.left}" y1="${at}" x2="${right}" y2="${at}" stroke="#d0d7de"/>
<text x="${FRAME.left - 8}" y="${at + 4}" text-anchor="end">${tick.toLocaleString('en')}</text>`;
  });
  const marks = counts.map(
    (count) =>
      `<text x="${x(count)}" y="${bottom + 18}" text-anchor="middle">${count.toLocaleString('en')}</text>`,
  );
  const named = Object.entries(series).map(([name, line], index) => ({
    name,
    line,
    colour: PALETTE[index % PALETTE.length],
    y: y(line.at(-1)[1]),
  }));
  const lines = named.map(({ line, colour }) => {
    const corners = line.map(([count, value]) => `${x(count)},${y(value)}`);
    const dots = corners.map((corner) => {
      const [cx, cy] = corner.split(',');
      return `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`;
    });
    return `<polyline points="${corners.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>
${dots.join('\n')}`;
  });
  const labels = spread(named).map(
    (label) =>
      `<text x="${right + 8}" y="${label.y + 4}" fill="${label.colour}">${escapeXml(label.name)}</text>`,
  );
  const middle = (FRAME.top + bottom) / 2;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE.width}" height="${SIZE.height}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="#1f2328">
<title>${escapeXml(title)}</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="${FRAME.left}" y="22" font-size="14" font-weight="600">${escapeXml(title)}</text>
${grid.join('\n')}
${marks.join('\n')}
<text x="${(FRAME.left + right) / 2}" y="${bottom + 42}" text-anchor="middle">${escapeXml(along)}</text>
<text transform="translate(16 ${middle}) rotate(-90)" text-anchor="middle">${escapeXml(up)}</text>
${lines.join('\n')}
${labels.join('\n')}
</svg>
`;
}

// Plots with logarithmic axes as SVG text, a few side by side.

const size = { width: 340, height: 240, left: 62, right: 14, top: 34, bottom: 44 };
const colors = ['#1f6feb', '#c2410c', '#15803d', '#7e22ce'];

/**
 * `panels`: `{title, x, y, series: [{name, points: [[x, y], …], proportional}]}`. Where a series says `proportional`, a dashed line
 * through its last point shows growth in proportion to x.
 */
export function plot(panels, columns = 2) {
  const rows = Math.ceil(panels.length / columns);
  const [width, height] = [columns * size.width, rows * size.height];
  const body = panels.flatMap((panel, i) => {
    const at = [(i % columns) * size.width, Math.floor(i / columns) * size.height];
    return [`<g transform="translate(${at.join(' ')})">`, ...drawPanel(panel), '</g>'];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

function drawPanel({ title, x, y, series }) {
  const inner = { right: size.width - size.right, bottom: size.height - size.bottom };
  const all = series.flatMap((s) => s.points);
  const across = scale(
    all.map(([v]) => v),
    size.left,
    inner.right,
  );
  const up = scale(
    all.map(([, v]) => v),
    inner.bottom,
    size.top,
  );
  return [
    text(size.left, 18, title, 'font-weight="bold"'),
    ...powers(
      all.map(([v]) => v),
      2,
      6,
    ).flatMap((v) => [
      line([across(v), size.top], [across(v), inner.bottom], '#e5e7eb'),
      text(across(v), inner.bottom + 14, number(v), 'text-anchor="middle"'),
    ]),
    ...powers(
      all.map(([, v]) => v),
      10,
      6,
    ).flatMap((v) => [
      line([size.left, up(v)], [inner.right, up(v)], '#e5e7eb'),
      text(size.left - 6, up(v) + 4, number(v), 'text-anchor="end"'),
    ]),
    text((size.left + inner.right) / 2, size.height - 10, x, 'text-anchor="middle"'),
    text(
      0,
      0,
      y,
      `text-anchor="middle" transform="translate(14 ${(size.top + inner.bottom) / 2}) rotate(-90)"`,
    ),
    ...series.flatMap((s, i) => drawSeries(s, i, across, up, series.length > 1)),
  ];
}

function drawSeries({ name, points, proportional }, i, across, up, isNamed) {
  const color = colors[i % colors.length];
  const places = points.map(([x, y]) => [across(x), up(y)]);
  const parts = [
    `<polyline fill="none" stroke="${color}" stroke-width="1.6" points="${places.map((p) => p.map(round).join(',')).join(' ')}"/>`,
    ...places.map(([x, y]) => `<circle cx="${round(x)}" cy="${round(y)}" r="2.6" fill="${color}"/>`),
  ];
  if (proportional) {
    const [lastX, lastY] = points.at(-1);
    const lowest = Math.min(...points.map(([, y]) => y));
    const from = Math.max(points[0][0], (lowest / lastY) * lastX);
    const start = [across(from), up((lastY * from) / lastX)];
    parts.push(line(start, [across(lastX), up(lastY)], color, 'stroke-dasharray="4 3" opacity="0.6"'));
  }
  if (isNamed) parts.push(text(size.left + 8, size.top + 12 + 14 * i, name, `fill="${color}"`));
  return parts;
}

/** From a logarithmic range of values to a range of pixels, with a little room around. */
function scale(values, from, to) {
  const [low, high] = [Math.log(Math.min(...values) / 1.2), Math.log(Math.max(...values) * 1.2)];
  return (v) => from + ((Math.log(v) - low) / (high - low)) * (to - from);
}

/** Powers of `base` in the range of the values, about `most` of them. */
function powers(values, base, most) {
  const [low, high] = [Math.min(...values) / 1.2, Math.max(...values) * 1.2];
  const first = Math.ceil(Math.log(low) / Math.log(base));
  const last = Math.floor(Math.log(high) / Math.log(base));
  const step = Math.max(1, Math.ceil((last - first + 1) / most));
  const list = [];
  for (let p = first; p <= last; p += step) list.push(base ** p);
  return list;
}

const round = (v) => Math.round(v * 10) / 10;
const number = (v) => String(v >= 100 ? Math.round(v) : Number(v.toPrecision(3)));
const escape = (s) => s.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const text = (x, y, content, more = '') =>
  `<text x="${round(x)}" y="${round(y)}" ${more}>${escape(content)}</text>`;
const line = ([x1, y1], [x2, y2], color, more = '') =>
  `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${color}" ${more}/>`;

/** Markdown lines of a table whose first row is its head; the first column to the left, the others to the right. */
export function table(rows) {
  const [head = []] = rows;
  const widths = head.map((_, i) => Math.max(3, ...rows.map((r) => (r[i] ?? '').length)));
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const text = (r) => line(r.map((c, i) => (i === 0 ? c.padEnd(widths[i]) : c.padStart(widths[i]))));
  const rule = line(widths.map((w, i) => (i === 0 ? '-'.repeat(w) : `${'-'.repeat(w - 1)}:`)));
  return [text(head), rule, ...rows.slice(1).map(text)];
}

/** Rows of cells as lines: the columns of `left` aligned to the left, the others to the right. */
export function tableLines(rows: readonly (readonly string[])[], left: readonly number[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((r) => r[i]?.length ?? 0)));
  const cellOf = (cell: string, i: number): string =>
    left.includes(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0);
  return rows.map((r) => r.map(cellOf).join('  ').trimEnd());
}

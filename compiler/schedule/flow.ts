/** Maximum flows in small networks (Dinic 1970). */

interface Edge {
  readonly to: number;
  /** What can still flow. */
  left: number;
  /** The edge back. */
  readonly back: number;
}

export class Flow {
  private readonly edges: Edge[] = [];
  private readonly leaving: number[][];

  constructor(vertices: number) {
    this.leaving = Array.from({ length: vertices }, () => []);
  }

  edge(from: number, to: number, capacity: number): void {
    this.leaving[from]!.push(this.edges.length);
    this.edges.push({ to, left: capacity, back: this.edges.length + 1 });
    this.leaving[to]!.push(this.edges.length);
    this.edges.push({ to: from, left: 0, back: this.edges.length - 1 });
  }

  /** Fills the network. No path from `source` to `sink` may be without a finite edge. */
  run(source: number, sink: number): void {
    for (;;) {
      const levels = this.levels(source);
      if (!levels.has(sink)) return;
      const next = this.leaving.map(() => 0);
      while (this.push(source, sink, Infinity, levels, next) > 0);
    }
  }

  /** Vertices from which more could still flow to `sink`: its side of the minimum cut that lies nearest to it. */
  reaching(sink: number): ReadonlySet<number> {
    const seen = new Set([sink]);
    for (const v of seen)
      for (const e of this.leaving[v]!) {
        const { to, back } = this.edges[e]!;
        if (this.edges[back]!.left > 0) seen.add(to);
      }
    return seen;
  }

  private levels(source: number): ReadonlyMap<number, number> {
    const levels = new Map([[source, 0]]);
    for (const [v, level] of levels)
      for (const e of this.leaving[v]!) {
        const { to, left } = this.edges[e]!;
        if (left > 0 && !levels.has(to)) levels.set(to, level + 1);
      }
    return levels;
  }

  private push(
    from: number,
    sink: number,
    most: number,
    levels: ReadonlyMap<number, number>,
    next: number[],
  ): number {
    if (from === sink) return most;
    const leaving = this.leaving[from]!;
    for (; next[from]! < leaving.length; next[from]!++) {
      const edge = this.edges[leaving[next[from]!]!]!;
      if (edge.left <= 0 || levels.get(edge.to) !== levels.get(from)! + 1) continue;
      const pushed = this.push(edge.to, sink, Math.min(most, edge.left), levels, next);
      if (pushed <= 0) continue;
      edge.left -= pushed;
      this.edges[edge.back]!.left += pushed;
      return pushed;
    }
    return 0;
  }
}

/** Turns ordered clusters into kernels. */
import type { Node } from '../ir/graph.ts';
import { atIndices } from '../ir/indices.ts';
import type { Outside } from '../ir/outside.ts';
import type { Axis, Ex, Kernel, MapStage, ReduceStage, Reduction, Stage, Store } from '../kernel/kernel.ts';
import { swapRoles } from '../kernel/rebuild.ts';
import { common, type Condition, equal, mapGuard, symbol, zero, type Poly } from '../shape/poly.ts';
import { bigAxes, type Cluster, type Clustering, type Member } from './cluster.ts';
import { BufferUses, ExpressionBuilder, offsetOf, type Environment } from './expression.ts';
import { bounding, liveElements } from './live.ts';
import type { Ordered } from './order.ts';
import { isUnit, iterationShape, ownIndices } from './reads.ts';

export function lowerCluster(
  c: Cluster,
  name: string,
  notes: readonly string[],
  clustering: Clustering,
  ordered: Ordered,
  outside: Outside,
): Kernel {
  const lowering = new Lowering(c, clustering, ordered, outside);
  switch (c.kind) {
    case 'contract':
      return lowering.contract(name, notes);
    case 'scatter':
      return lowering.scatter(name, notes);
    case 'rows':
      return lowering.rows(name, notes);
    case 'loop':
      throw new Error('a loop consists of the kernels of its body');
  }
}

/** What a copy at the end of a run is. */
export function lowerCopy(name: string, node: Node, from: number, to: number): Kernel {
  const axes = bigAxes(node.shape).map((i) => ({ name: `g${i}`, extent: node.shape[i] as Poly }));
  const ranges = new Map(axes.map((a) => [a.name, a.extent]));
  const indices = node.shape.map((d, i) => (isUnit(d) ? zero : symbol(`g${i}`)));
  const offset = offsetOf(node.shape, indices, ranges);
  const value: Ex = { kind: 'load', dtype: node.dtype, buffer: 0, offset, guard: [], fill: 0, data: [] };
  return {
    kind: 'rows',
    name,
    notes: ['takes effect at the end of the run: the old value was still read'],
    buffers: [
      { buffer: from, dtype: node.dtype, mode: 'read' },
      { buffer: to, dtype: node.dtype, mode: 'write' },
    ],
    grid: axes,
    stages: [{ kind: 'map', axes: [], stores: [{ buffer: 1, offset, value }] }],
  };
}

class Lowering {
  private readonly ranges = new Map<string, Poly>();
  private readonly builder: ExpressionBuilder;
  private readonly grid: readonly Axis[];

  constructor(
    private readonly c: Cluster,
    private readonly clustering: Clustering,
    private readonly ordered: Ordered,
    private readonly outside: Outside,
    private readonly uses = new BufferUses(),
    private readonly gridName: (i: number) => string = (i) => `g${i}`,
  ) {
    this.grid = c.grid.map((extent, i) => this.axis(gridName(i), extent));
    this.builder = new ExpressionBuilder(this.environment());
  }

  private axis(name: string, extent: Poly): Axis {
    this.ranges.set(name, extent);
    return { name, extent };
  }

  private environment(): Environment {
    return {
      local: (node, indices) => this.local(node, indices),
      isSource: this.clustering.isSource,
      home: (node) => this.home(node),
      uses: this.uses,
      ranges: this.ranges,
      axis: (axisName, extent) => this.axis(axisName, extent),
    };
  }

  /** The same in every kernel that does the same, so that they can share their code. */
  private nameOf(member: Member): string {
    return this.c.foldedInto ? 'sum' : `r${this.c.members.indexOf(member)}`;
  }

  private home(node: Node): number {
    const at = this.ordered.home.get(node);
    if (at === undefined) throw new Error(`${node.op} ${node.id} is read but has no buffer`);
    return at;
  }

  /** What this cluster computed at this very grid point: a reduction's scalar, or a value to compute again. */
  private local(node: Node, indices: readonly Poly[]): Ex | undefined {
    const member = this.c.members.find((m) => m.node === node);
    if (!member || member.gridAxes.length !== bigAxes(node.shape).length) return undefined;
    const here = member.gridAxes.every((axis, i) => equal(indices[axis] ?? zero, symbol(this.gridName(i))));
    if (!here) return undefined;
    if (node.op === 'reduce')
      return { kind: 'local', dtype: node.dtype, name: this.c.contraction ? 'acc' : this.nameOf(member) };
    // An axis of size 1 can only be read at 0; data may say so (`@0`, under a guard).
    return this.builder.definition(
      node,
      indices.map((e, i) => (isUnit(node.shape[i]) ? zero : e)),
    );
  }

  /** Indices of a member's result on the grid; its other axes get inner axis names. */
  private indicesOf(member: Member, inner: readonly Axis[]): Poly[] {
    let next = 0;
    return member.node.shape.map((d, i) => {
      const at = member.gridAxes.indexOf(i);
      if (at >= 0) return symbol(this.gridName(at));
      return isUnit(d) ? zero : symbol(inner[next++]?.name ?? '');
    });
  }

  /** `outside`: see `Store`. */
  private stores(member: Member, inner: readonly Axis[], value: Ex, outside?: number): Store[] {
    const offset = offsetOf(member.node.shape, this.indicesOf(member, inner), this.ranges);
    const targets = this.ordered.destinations.get(member.node) ?? [];
    return targets.map((b) => ({
      buffer: this.uses.use(b, member.node.dtype, 'writes'),
      offset,
      value,
      ...(outside !== undefined && { outside }),
    }));
  }

  private readonly valueHere = (member: Member, inner: readonly Axis[]): Ex => {
    const indices = this.indicesOf(member, inner);
    return this.local(member.node, indices) ?? this.builder.definition(member.node, indices);
  };

  private storesOfTails(): Store[] {
    return this.c.members
      .filter((m) => this.clustering.stored.has(m.node) && m.gridAxes.length === bigAxes(m.node.shape).length)
      .flatMap((m) => this.stores(m, [], this.valueHere(m, [])));
  }

  // -------------------------------------------------------------- kinds

  rows(name: string, notes: readonly string[]): Kernel {
    const stages: Stage[] = [];
    for (const group of levels(this.c)) {
      const inner = innerExtents(group[0] as Member).map((extent, i) =>
        this.axis(`i${stages.length}_${i}`, extent),
      );
      const isReduce = group[0]?.node.op === 'reduce';
      stages.push(isReduce ? this.reduceStage(group, inner) : this.mapStage(group, inner));
    }
    const tails = this.storesOfTails();
    if (tails.length > 0) stages.push({ kind: 'map', axes: [], stores: tails });
    return { kind: 'rows', name, notes, buffers: this.uses.uses, grid: this.grid, stages };
  }

  private reduceStage(group: readonly Member[], axes: readonly Axis[]): ReduceStage {
    const made = group.map((m) => this.reduction(m, axes));
    const live = inAll(made.map((r) => r.live));
    const reductions = made.map((r) => r.reduction);
    return { kind: 'reduce', axes, reductions, ...(live.length > 0 && { live }) };
  }

  private mapStage(group: readonly Member[], axes: readonly Axis[]): MapStage {
    const regions = group.map((m) => this.outside.of(m.node));
    const bounds = group.map((m, i) => {
      const isInner = (axis: number): boolean => !m.gridAxes.includes(axis);
      const indices = this.indicesOf(m, axes);
      return guardAt(bounding(regions[i]?.conditions ?? [], m.node.shape, isInner), indices);
    });
    const live = inAll(bounds);
    const isLive = live.length > 0;
    const stores = group.flatMap((m, i) =>
      this.stores(m, axes, this.valueHere(m, axes), isLive ? regions[i]?.value : undefined),
    );
    return { kind: 'map', axes, stores, ...(isLive && { live }) };
  }

  private reduction(
    m: Member,
    inner: readonly Axis[],
  ): { readonly reduction: Reduction; readonly live: readonly Condition[] } {
    const { node } = m;
    if (node.op !== 'reduce') throw new Error('not a reduction');
    const operand = node.inputs[0] as Node;
    const own = ownIndices(operand.shape);
    let next = 0;
    const indices = own.map((e, i) => {
      if (i < node.shape.length) return this.indicesOf(m, [])[i] ?? zero;
      return isUnit(operand.shape[i]) ? e : symbol(inner[next++]?.name ?? '');
    });
    const value = this.builder.value(operand, indices);
    const live = guardAt(liveElements(node, this.outside), indices);
    return { reduction: { name: this.nameOf(m), fn: node.fn, dtype: node.dtype, value }, live };
  }

  contract(name: string, notes: readonly string[]): Kernel {
    const { contraction } = this.c;
    const [first] = this.c.members;
    if (!contraction || !first) throw new Error('not a contraction');
    const space = iterationShape(first.node);
    const gridName = (axis: number): string => `g${first.gridAxes.indexOf(axis)}`;
    const axisOf = (axis: number): Axis =>
      axis < first.node.shape.length
        ? { name: gridName(axis), extent: space[axis] as Poly }
        : this.axis(`k${axis - first.node.shape.length}`, space[axis] as Poly);
    const roles = {
      batch: contraction.batch.map(axisOf),
      m: contraction.m.map(axisOf),
      n: contraction.n.map(axisOf),
      k: contraction.k.map(axisOf),
    };
    const indices = space.map((d, i) => (isUnit(d) ? zero : symbol(axisOf(i).name)));
    const [a, b] = [this.builder.value(contraction.a, indices), this.builder.value(contraction.b, indices)];
    const stores = this.storesOfTails();
    const sums = this.foldedStores(roles);
    const live = guardAt(contraction.live, indices);
    const made = {
      kind: 'contract',
      name,
      notes,
      buffers: this.uses.uses,
      ...roles,
      a,
      b,
      stores,
      ...(live.length > 0 && { live }),
    } as const;
    if (!sums) return made;
    return { ...(this.c.sums?.side === 'm' ? swapRoles(made) : made), sums };
  }

  /** The stores of the sums that go along, over the axes of their side. */
  private foldedStores(roles: {
    readonly m: readonly Axis[];
    readonly n: readonly Axis[];
  }): Store[] | undefined {
    const { sums } = this.c;
    if (!sums) return undefined;
    const axes = roles[sums.side];
    const name = (i: number): string => axes[i]?.name ?? '';
    return new Lowering(
      sums.cluster,
      this.clustering,
      this.ordered,
      this.outside,
      this.uses,
      name,
    ).storesOfTails();
  }

  /** The grid are the result axes that are indexed by one axis of the source alone: there nothing meets. */
  scatter(name: string, notes: readonly string[]): Kernel {
    const [first] = this.c.members;
    const node = first?.node;
    const x = node?.inputs[0];
    if (node?.op !== 'scatter' || !x || !first) throw new Error('not a scatter');
    const axisNames = x.shape.map((_, i) => `s${i}`);
    const free = node.index.map((e, i) =>
      x.shape.findIndex((d, j) => equal(e, symbol(`$${j}`)) && equal(d, node.shape[i] as Poly)),
    );
    const isGrid = (j: number): boolean =>
      free.filter((f) => f === j).length === 1 && node.index.filter((e) => mentions(e, j)).length === 1;
    const gridOf = free.map((j) => (j >= 0 && isGrid(j) ? j : -1));
    x.shape.forEach((d, j) => this.ranges.set(axisNames[j] ?? '', d));
    const indices = x.shape.map((d, j) => (isUnit(d) ? zero : symbol(axisNames[j] ?? '')));
    const clearAxes: Axis[] = [];
    const clearIndex = node.shape.map((d, i) => {
      const j = gridOf[i] ?? -1;
      if (j >= 0) return symbol(axisNames[j] ?? '');
      if (isUnit(d)) return zero;
      clearAxes.push(this.axis(`z${i}`, d));
      return symbol(`z${i}`);
    });
    const guided = this.builder.scatterIndex(node, indices);
    const target = this.uses.use((this.ordered.destinations.get(node) ?? [])[0] ?? -1, node.dtype, 'writes');
    const big = x.shape.flatMap((d, j) => (isUnit(d) ? [] : [j]));
    const asAxis = (j: number): Axis => ({ name: axisNames[j] ?? '', extent: x.shape[j] as Poly });
    return {
      kind: 'scatter',
      name,
      notes,
      grid: big.filter((j) => gridOf.includes(j)).map(asAxis),
      clear: { axes: clearAxes, offset: offsetOf(node.shape, clearIndex, this.ranges) },
      axes: big.filter((j) => !gridOf.includes(j)).map(asAxis),
      target,
      offset: offsetOf(node.shape, guided.index, this.ranges),
      guard: guided.guard,
      data: guided.data,
      value: this.builder.value(x, indices),
      buffers: this.uses.uses,
    };
  }
}

const guardAt = (guard: readonly Condition[], indices: readonly Poly[]): readonly Condition[] =>
  mapGuard(guard, (p) => atIndices(p, indices));

/** The conditions that stand in every list. */
const inAll = ([first = [], ...others]: readonly (readonly Condition[])[]): readonly Condition[] =>
  others.reduce(common, first);

const mentions = (e: Poly, j: number): boolean => new RegExp(`\\$${j}(?!\\d)`).test(e.key);

/** Members that need a stage of their own, in groups that can share one, in order. */
function levels(c: Cluster): Member[][] {
  const level = new Map<Node, number>();
  const groups = new Map<string, Member[]>();
  for (const m of c.members) {
    const isReduce = m.node.op === 'reduce';
    const isVector = m.gridAxes.length < bigAxes(m.node.shape).length;
    const before = Math.max(0, ...m.reads.map((r) => level.get(r.source) ?? 0));
    level.set(m.node, isReduce || isVector ? before + 1 : before);
    if (!isReduce && !isVector) continue;
    const key = `${String(before + 1).padStart(4, '0')} ${isReduce ? 'reduce' : 'map'} ${innerExtents(m)
      .map((d) => d.key)
      .join(',')}`;
    groups.set(key, [...(groups.get(key) ?? []), m]);
  }
  return [...groups.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, members]) => members);
}

/** Extents of the axes a member runs along at one grid point. */
function innerExtents(m: Member): Poly[] {
  const { node } = m;
  if (node.op === 'reduce')
    return iterationShape(node)
      .slice(node.shape.length)
      .filter((d) => !isUnit(d));
  return bigAxes(node.shape)
    .filter((i) => !m.gridAxes.includes(i))
    .map((i) => node.shape[i] as Poly);
}

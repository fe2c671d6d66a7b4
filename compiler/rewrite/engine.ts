/**
 * Applies named rules to a graph, operands first, until none applies. A rule is data: a name, the kind of node it
 * looks at, and a function that gives an equal node or nothing.
 */
import type { Computation, Graph, Node, OpKind } from '../ir/graph.ts';
import { topological } from '../ir/walk.ts';
import type { Maker } from '../ir/make.ts';
import { maker } from '../ir/make.ts';

export interface RuleContext {
  readonly graph: Graph;
  readonly make: Maker;
  /** How many operands and results the node stands in; for cost only, as the graph changes meanwhile. */
  readonly uses: (node: Node) => number;
}

export interface Rule<K extends OpKind = OpKind> {
  readonly name: string;
  readonly op: K;
  /** An equal node, or undefined when the rule does not apply. */
  readonly apply: (node: Extract<Node, { readonly op: K }>, context: RuleContext) => Node | undefined;
}

/** Rules for several kinds of nodes in one list. */
export type AnyRule = { readonly [K in OpKind]: Rule<K> }[OpKind];

/** Applications by name of the rule. */
export type Counts = ReadonlyMap<string, number>;

/** Rules did not come to an end: a bug of the rules. `rule` was applied most often at the end. */
export class OutOfFuel extends Error {
  readonly rule: string;

  constructor(rule: string, counts: Counts) {
    super(
      `rewriting does not end; the rule \`${rule}\` loops (${[...counts].map(([n, c]) => `${n}: ${c}`).join(', ')})`,
    );
    this.name = 'OutOfFuel';
    this.rule = rule;
  }
}

export interface RewriteOptions {
  /** Applications of all rules together, for each node of the graph. */
  readonly fuel?: number;
}

/** Rewrites outputs and updates to a fixpoint. Throws OutOfFuel. */
export function rewrite(
  computation: Computation,
  rules: readonly AnyRule[],
  { fuel = 200 }: RewriteOptions = {},
): { readonly computation: Computation; readonly counts: Counts } {
  const counts = new Map<string, number>();
  let current = computation;
  for (;;) {
    const pass = new Pass(current, rules, counts, fuel);
    const next = pass.run();
    if (!pass.changed) return { computation: current, counts };
    current = next;
  }
}

class Pass {
  changed = false;
  private readonly computation: Computation;
  private readonly byOp = new Map<OpKind, AnyRule[]>();
  private readonly counts: Map<string, number>;
  private readonly done = new Map<Node, Node>();
  private readonly uses = new Map<Node, number>();
  private readonly order: readonly Node[];
  private readonly context: RuleContext;
  private readonly limit: number;
  private readonly recent = new Map<string, number>();
  private fuel: number;

  constructor(
    computation: Computation,
    rules: readonly AnyRule[],
    counts: Map<string, number>,
    fuel: number,
  ) {
    const { graph, outputs, updates } = computation;
    this.computation = computation;
    this.counts = counts;
    for (const rule of rules) this.byOp.set(rule.op, [...(this.byOp.get(rule.op) ?? []), rule]);
    const roots = [...outputs.map((o) => o.node), ...updates.map((u) => u.value)];
    this.order = topological(roots);
    for (const node of [...this.order.flatMap((n) => n.inputs), ...roots])
      this.uses.set(node, (this.uses.get(node) ?? 0) + 1);
    this.context = { graph, make: maker(graph), uses: (node) => this.uses.get(node) ?? 1 };
    this.fuel = fuel * (this.order.length + 10);
    this.limit = this.fuel;
  }

  run(): Computation {
    const { outputs, updates, ...rest } = this.computation;
    // Operands first, so that the recursion only follows what rules make.
    for (const node of this.order) this.visit(node);
    return {
      ...rest,
      outputs: outputs.map((o) => ({ ...o, node: this.visit(o.node) })),
      updates: updates.map((u) => ({ ...u, value: this.visit(u.value) })),
    };
  }

  private visit(node: Node): Node {
    const known = this.done.get(node);
    if (known) return known;
    const { graph } = this.context;
    const rebuilt = graph.withInputs(
      node,
      node.inputs.map((x) => this.visit(x)),
    );
    this.transferUses(node, rebuilt);
    const made = rebuilt === node ? this.applyRules(node) : this.visit(rebuilt);
    this.done.set(node, made);
    return made;
  }

  private applyRules(node: Node): Node {
    const list = this.byOp.get(node.op);
    if (!list) return node;
    const { graph } = this.context;
    const made = graph.from(graph.originsOf(node), () => this.first(list, node));
    if (!made) return node;
    this.transferUses(node, made);
    return this.visit(made);
  }

  /** What the first rule that applies makes of the node. */
  private first(list: readonly AnyRule[], node: Node): Node | undefined {
    for (const rule of list) {
      const made = applyTo(rule, node, this.context);
      if (!made || made === node) continue;
      this.count(rule.name);
      return made;
    }
    return undefined;
  }

  private transferUses(from: Node, to: Node): void {
    if (to !== from) this.uses.set(to, Math.max(this.uses.get(to) ?? 0, this.uses.get(from) ?? 1));
  }

  private count(name: string): void {
    this.changed = true;
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    this.fuel--;
    // Only what is applied at the end loops; what came before may have been work.
    if (this.fuel < this.limit / 2) this.recent.set(name, (this.recent.get(name) ?? 0) + 1);
    if (this.fuel > 0) return;
    const [most] = [...this.recent].sort(([, a], [, b]) => b - a);
    throw new OutOfFuel(most?.[0] ?? name, this.counts);
  }
}

/** The rule is kept under the op of the node; the type system cannot see that. */
const applyTo = (rule: AnyRule, node: Node, context: RuleContext): Node | undefined =>
  (rule.apply as (node: Node, context: RuleContext) => Node | undefined)(node, context);

/**
 * Loops over arrays and patterns of arrays by indices. Where code runs once or twice, as all of a compiler does in a start, V8
 * makes an object for an iterator and for each of its steps: a sixth of all that compiling a GPT allocated, and an eighth of its
 * instructions. Types say what is an array; whatever else can be iterated stays as it is written.
 */
import ts from 'typescript';

/** Transforms the sources of `program` while it is emitted. */
export function withoutIterators(program) {
  const checker = program.getTypeChecker();
  const isArray = (type) =>
    type.isUnion() ? type.types.every(isArray) : checker.isArrayType(type) || checker.isTupleType(type);
  const hasArray = (node) => isArray(checker.getTypeAtLocation(node));
  return (context) => {
    const visit = (node) => {
      if (ts.isForOfStatement(node) && isLoop(node) && hasArray(node.expression))
        return loop(node, context, visit);
      if (ts.isVariableDeclaration(node) && isApart(node)) return apart(node, context, visit);
      if (ts.isArrayBindingPattern(node) && !node.elements.some((e) => e.dotDotDotToken) && hasArray(node))
        return pattern(ts.visitEachChild(node, visit, context), context);
      return ts.visitEachChild(node, visit, context);
    };
    return (file) => ts.visitNode(file, visit);
  };
}

const isLoop = (node) => !node.awaitModifier && ts.isVariableDeclarationList(node.initializer);

/** `for (const x of list) …` as `for (let i = 0, all = list; i < all.length; i++) { const x = all[i]; … }`. */
function loop(node, { factory: f }, visit) {
  const [i, all] = [f.createUniqueName('i'), f.createUniqueName('all')];
  const variable = (name, value) => f.createVariableDeclaration(name, undefined, undefined, value);
  const { declarations, flags } = node.initializer;
  const item = variable(ts.visitNode(declarations[0].name, visit), f.createElementAccessExpression(all, i));
  return f.createForStatement(
    f.createVariableDeclarationList(
      [variable(i, f.createNumericLiteral(0)), variable(all, ts.visitNode(node.expression, visit))],
      ts.NodeFlags.Let,
    ),
    f.createLessThan(i, f.createPropertyAccessExpression(all, 'length')),
    f.createPostfixIncrement(i),
    // The body keeps its own block: it may declare again what the loop does.
    f.createBlock(
      [
        f.createVariableStatement(undefined, f.createVariableDeclarationList([item], flags)),
        ts.visitNode(node.statement, visit),
      ],
      true,
    ),
  );
}

/** `const [a, b] = [x, y]` with a name for each value. */
const isApart = ({ name, initializer }) =>
  initializer !== undefined &&
  ts.isArrayBindingPattern(name) &&
  ts.isArrayLiteralExpression(initializer) &&
  name.elements.length === initializer.elements.length &&
  name.elements.every((e) => !ts.isOmittedExpression(e) && !e.dotDotDotToken && !e.initializer) &&
  !initializer.elements.some((e) => ts.isSpreadElement(e) || ts.isOmittedExpression(e));

/** As `const a = x, b = y`. */
const apart = ({ name, initializer }, { factory: f }, visit) =>
  name.elements.map((e, i) =>
    f.createVariableDeclaration(
      ts.visitNode(e.name, visit),
      undefined,
      undefined,
      ts.visitNode(initializer.elements[i], visit),
    ),
  );

/** `[a, , b = 1]` as `{ 0: a, 2: b = 1 }`. */
const pattern = ({ elements }, { factory: f }) =>
  f.createObjectBindingPattern(
    elements.flatMap((e, i) =>
      ts.isOmittedExpression(e)
        ? []
        : [f.createBindingElement(undefined, f.createNumericLiteral(i), e.name, e.initializer)],
    ),
  );

/**
 * The last pass before the parser: balances brackets, marks where statements begin, tells reductions
 * from calls, and cuts what is nested too deeply. What it had to repair it reports; afterwards the
 * parser sees balanced brackets only, whatever the text was.
 */
import type { IToken, TokenType } from 'chevrotain';
import { matchBrackets } from './brackets.ts';
import { closerOf, isBlock, MAX_NESTING, Nesting, type Open } from './nesting.ts';
import type { Reporter } from './problems.ts';
import { missingColon, repairKeyword } from './repair.ts';
import {
  isReduction,
  isStatementKeyword,
  looksLikeAction,
  looksLikeEquation,
  startsOperand,
} from './starts.ts';
import { endOf, endsOperand, retype, startsDeclaration, T, virtualToken } from './tokens.ts';
import { Tokens } from './words.ts';

export interface Outline {
  readonly tokens: IToken[];
  /** Offsets at which statements and declarations begin, ascending: one mistake is reported in each. */
  readonly starts: readonly number[];
}

const NO_TARGET: readonly (TokenType | undefined)[] = [
  T.Colon, T.Arrow, T.Bar, T.Dot, T.Ellipsis, T.Input, T.Output, T.Param, T.State, T.Metric,
]; // prettier-ignore

/** Runs the pass over classified words. */
export function outline(list: readonly IToken[], text: string, reporter: Reporter): Outline {
  return new Outliner(new Tokens(list, text), reporter).run();
}

class Outliner {
  readonly #tokens: Tokens;
  readonly #closeOf: Int32Array;
  readonly #reporter: Reporter;
  readonly #out: IToken[] = [];
  readonly #starts: number[] = [];
  readonly #reductionEnds = new Set<number>();
  readonly #open = new Nesting();
  #mode: 'top' | 'header' | 'body' = 'top';
  #declaration: TokenType | undefined;
  #afterSemicolon = false;
  /** Index of the last stray bracket: of several in a row one is reported. */
  #stray = -2;

  constructor(tokens: Tokens, reporter: Reporter) {
    this.#tokens = tokens;
    this.#closeOf = matchBrackets(tokens);
    this.#reporter = reporter;
  }

  run(): Outline {
    let i = 0;
    for (;;) {
      const token = this.#tokens.at(i);
      if (token === undefined) break;
      i = this.#step(token, i);
    }
    this.#closeAll();
    return { tokens: this.#out, starts: this.#starts };
  }

  /** Handles the token at `i`; returns the index of the next one to handle. */
  #step(token: IToken, i: number): number {
    if (startsDeclaration(token)) return this.#declare(token, i);
    if (this.#mode === 'top') return this.#skipJunk(token, i);
    if (this.#mode === 'body' && this.#markStart(token, i)) this.#afterSemicolon = false;
    switch (token.tokenType) {
      case T.Semicolon:
        return this.#semicolon(token, i);
      case T.LParen:
      case T.LSquare:
      case T.LCurly:
        return this.#enter(token, i);
      case T.RParen:
      case T.RSquare:
        return this.#leave(token, i);
      case T.RCurly:
        return this.#leaveBlock(token, i);
      case T.If:
        return this.#conditional(token, i);
      case T.Equals:
        this.#argumentWithEquals(token, i);
        break;
      case T.Comma:
        this.#open.endConditionals();
        break;
      case T.Identifier:
        this.#name(token, i);
        break;
      case T.String:
        if (this.#declaration === T.Import && this.#open.top === undefined) this.#mode = 'top';
        break;
    }
    this.#out.push(token);
    return i + 1;
  }

  // -------------------------------------------------------------- declarations

  #declare(token: IToken, i: number): number {
    const brace = this.#open.find(isBlock);
    if (brace !== undefined && brace.close >= 0 && !this.#tokens.inFirstColumn(i))
      return this.#nested(token, i);
    this.#closeAll();
    this.#start(token);
    this.#mode = 'header';
    this.#declaration = token.tokenType;
    this.#out.push(token);
    return i + 1;
  }

  /** A declaration inside another one: reported and skipped as a whole. */
  #nested(token: IToken, i: number): number {
    const help = 'move it out: declarations stand side by side in a file';
    const label = this.#reporter.here(token.startOffset, endOf(token), 'begins a declaration');
    this.#start(token);
    this.#reporter.report(
      'E0112',
      { what: `\`${token.image}\``, where: 'inside another declaration', help },
      label,
    );
    for (let at = i + 1; ; at++) {
      const next = this.#tokens.at(at);
      if (next === undefined || next.tokenType === T.RCurly || startsDeclaration(next)) return at;
      if (looksLikeEquation(this.#tokens, this.#closeOf, at) && this.#tokens.startsLine(at)) return at;
      if (next.tokenType === T.LCurly) return Math.max(at, this.#closeOf[at] ?? -1) + 1;
    }
  }

  /** Between declarations: everything up to the next one is reported once and left out. */
  #skipJunk(token: IToken, i: number): number {
    if (repairKeyword(this.#tokens, i, 'declaration', this.#reporter)) return this.#declare(token, i);
    if (token.tokenType === T.Semicolon) return i + 1;
    this.#start(token);
    if (token.tokenType === T.RCurly) return this.#reportStray(token, i, 'no block is open here');
    const label = this.#reporter.here(token.startOffset, endOf(token), 'a declaration was expected here');
    const help =
      'a file holds `import`, `model`, `layer`, `fn`, `optimizer` and `task` declarations; put this into one of them';
    this.#reporter.report('E0104', { what: `\`${token.image}\` does not begin a declaration`, help }, label);
    return this.#nextDeclaration(i + 1);
  }

  #nextDeclaration(i: number): number {
    for (let at = i; ; at++) {
      const next = this.#tokens.at(at);
      if (next === undefined || startsDeclaration(next)) return at;
    }
  }

  #reportStray(token: IToken, i: number, text: string): number {
    if (this.#stray !== i - 1) {
      const label = this.#reporter.here(token.startOffset, endOf(token), text);
      this.#reporter.report('E0111', { close: token.image, open: undefined, wanted: undefined }, label);
    }
    this.#stray = i;
    return i + 1;
  }

  // -------------------------------------------------------------- statements

  /** Marks the beginning of a statement if there is one here. */
  #markStart(token: IToken, i: number): boolean {
    if (isStatementKeyword(token.tokenType)) {
      if (this.#inClosedBracket() && !this.#tokens.startsLine(i)) return false;
      return this.#begin(token, undefined);
    }
    if (token.tokenType === T.If) {
      if (!this.#canBegin(i) || this.#inClosedBracket()) return false;
      retype(token, T.IfStatement);
      return this.#begin(token, undefined);
    }
    if (this.#isEquation(i)) return this.#begin(token, T.EquationStart);
    if (this.#isBare(token, i)) {
      const repaired = repairKeyword(this.#tokens, i, 'statement', this.#reporter);
      return this.#begin(token, repaired ? undefined : T.BareStart);
    }
    return false;
  }

  #begin(token: IToken, marker: TokenType | undefined): boolean {
    this.#closeRound();
    this.#start(token);
    if (marker) this.#out.push(virtualToken(marker, token.startOffset));
    return true;
  }

  #isEquation(i: number): boolean {
    if (!looksLikeEquation(this.#tokens, this.#closeOf, i)) return false;
    if (this.#canBegin(i)) return !this.#inClosedBracket() || this.#tokens.startsLine(i);
    if (!this.#tokens.startsLine(i) || NO_TARGET.includes(this.#previous()?.tokenType)) return false;
    return !this.#inClosedBracket();
  }

  #isBare(token: IToken, i: number): boolean {
    const type = token.tokenType;
    if (this.#open.top?.token.tokenType !== T.LCurly) return false;
    if (this.#atBoundary()) {
      return (
        startsOperand(type) || type === T.LParen || type === T.LSquare || type === T.Minus || type === T.Not
      );
    }
    if (!endsOperand(this.#previous()) || !startsOperand(type) || this.#reductionEnds.has(i - 1))
      return false;
    return this.#tokens.startsLine(i) || (this.#declaration === T.Task && looksLikeAction(this.#tokens, i));
  }

  /** After a complete statement, as far as the token before tells. */
  #canBegin(i: number): boolean {
    return this.#atBoundary() || (endsOperand(this.#previous()) && !this.#reductionEnds.has(i - 1));
  }

  #atBoundary(): boolean {
    const type = this.#previous()?.tokenType;
    return this.#afterSemicolon || type === T.LCurly || type === T.RCurly;
  }

  #previous(): IToken | undefined {
    return this.#out.at(-1);
  }

  /** Inside round or square brackets that are closed in the text? */
  #inClosedBracket(): boolean {
    const top = this.#open.top;
    return top !== undefined && top.token.tokenType !== T.LCurly && top.close >= 0;
  }

  #start(token: IToken): void {
    this.#starts.push(token.startOffset);
  }

  #semicolon(token: IToken, i: number): number {
    if (this.#inClosedBracket() || this.#mode === 'header') this.#out.push(token);
    else {
      this.#closeRound();
      this.#afterSemicolon = true;
    }
    return i + 1;
  }

  #name(token: IToken, i: number): void {
    const top = this.#open.top;
    const inParameters = top?.parameters ?? false;
    const colon =
      inParameters || top?.token.tokenType === T.LCurly
        ? missingColon(this.#tokens, i, inParameters, this.#reporter)
        : undefined;
    if (colon) this.#out.push(colon);
    if (!isReduction(this.#tokens, this.#closeOf, i, this.#declaration === T.Task)) return;
    retype(token, T.Reducer);
    this.#reductionEnds.add(this.#closeOf[i + 1] ?? -1);
  }

  /** `f(name = e)`: understood as `f(name: e)`. */
  #argumentWithEquals(token: IToken, i: number): void {
    const top = this.#open.top;
    if (top === undefined || top.parameters || top.token.tokenType !== T.LParen || top.close < 0) return;
    const before = this.#out.at(-2)?.tokenType;
    if (this.#tokens.type(i - 1) !== T.Identifier || (before !== T.LParen && before !== T.Comma)) return;
    const label = this.#reporter.here(token.startOffset, endOf(token), '`:` belongs here');
    this.#reporter.report(
      'E0107',
      { found: '`name = value` as an argument', instead: 'write `name: value`' },
      label,
    );
    retype(token, T.Colon);
  }

  // -------------------------------------------------------------- brackets

  #enter(token: IToken, i: number): number {
    const close = this.#closeOf[i] ?? -1;
    if (token.tokenType === T.LCurly) {
      this.#closeRound();
      if (this.#mode === 'header' && this.#declaration !== T.Import) this.#mode = 'body';
    }
    const keyword = this.#out.at(-2);
    const parameters = this.#mode === 'header' && keyword !== undefined && startsDeclaration(keyword);
    this.#open.enter({ token, close, parameters });
    this.#out.push(token);
    this.#afterSemicolon = false;
    if (!this.#open.isTooDeep) return i + 1;
    this.#tooDeep(token);
    if (token.tokenType !== T.LCurly) this.#out.push(virtualToken(T.Missing, endOf(token)));
    if (close >= 0) return close;
    return token.tokenType === T.LCurly ? this.#nextDeclaration(i + 1) : this.#endOfStatement(i + 1);
  }

  #tooDeep(token: IToken): void {
    const label = this.#reporter.here(token.startOffset, endOf(token), 'one level too many');
    this.#reporter.report('E0108', { limit: MAX_NESTING }, label);
  }

  #endOfStatement(i: number): number {
    for (let at = i; ; at++) {
      const token = this.#tokens.at(at);
      if (token === undefined || token.tokenType === T.RCurly || token.tokenType === T.Semicolon) return at;
      if (startsDeclaration(token) || isStatementKeyword(token.tokenType)) return at;
      if (looksLikeEquation(this.#tokens, this.#closeOf, at)) return at;
    }
  }

  #conditional(token: IToken, i: number): number {
    const top = this.#open.top;
    this.#out.push(token);
    // `if` of a statement was given another type: this one is an expression.
    if (token.tokenType !== T.If) return i + 1;
    this.#open.conditional();
    if (!this.#open.isTooDeep) return i + 1;
    this.#tooDeep(token);
    const closed = top !== undefined && top.close >= 0 && top.token.tokenType !== T.LCurly;
    return closed ? top.close : this.#endOfStatement(i + 1);
  }

  #leave(token: IToken, i: number): number {
    const top = this.#open.top;
    if (top === undefined || isBlock(top)) return this.#reportStray(token, i, 'no bracket is open here');
    const wanted = closerOf(top);
    if (wanted.type === token.tokenType) {
      this.#open.leave();
      this.#out.push(token);
      return i + 1;
    }
    if (top.close < 0 && this.#open.find((o) => o.close >= 0 && !isBlock(o))) {
      this.#forgotten(top);
      this.#open.leave();
      return i;
    }
    this.#reporter.report(
      'E0111',
      { close: token.image, open: top.token.image, wanted: wanted.text },
      this.#reporter.here(token.startOffset, endOf(token), `\`${wanted.text}\` was expected here`),
      this.#reporter.there(top.token.startOffset, endOf(top.token), 'opened here'),
    );
    retype(token, wanted.type);
    this.#open.leave();
    this.#out.push(token);
    return i + 1;
  }

  #leaveBlock(token: IToken, i: number): number {
    this.#closeRound();
    this.#afterSemicolon = false;
    if (this.#open.top === undefined) return this.#reportStray(token, i, 'no block is open here');
    this.#open.leave();
    this.#out.push(token);
    if (!this.#open.find(isBlock) && this.#declaration !== T.Import) this.#mode = 'top';
    return i + 1;
  }

  /** Closes round and square brackets that are still open where a statement begins or a block ends. */
  #closeRound(): void {
    this.#closeWhile((open) => !isBlock(open));
    this.#open.endConditionals();
  }

  #closeAll(): void {
    this.#closeWhile(() => true);
    this.#open.clear();
    this.#mode = 'top';
    this.#afterSemicolon = false;
  }

  /** One forgotten bracket is one mistake: of several, the outermost is reported. */
  #closeWhile(test: (open: Open) => boolean): void {
    let outermost: Open | undefined;
    const missing: IToken[] = [];
    for (let top = this.#open.top; top !== undefined && test(top); top = this.#open.top) {
      const previous = this.#previous();
      const closer = closerOf(top);
      missing.push(virtualToken(closer.type, previous ? endOf(previous) : top.token.startOffset));
      outermost = top;
      this.#open.leave();
    }
    if (outermost) this.#forgotten(outermost, missing);
  }

  #forgotten(open: Open, closers?: readonly IToken[]): void {
    const previous = this.#previous() ?? open.token;
    const end = endOf(previous);
    const closer = closerOf(open);
    this.#reporter.report(
      'E0106',
      { open: open.token.image, close: closer.text },
      this.#reporter.here(open.token.startOffset, endOf(open.token), 'opened here'),
      this.#reporter.there(end, end, `\`${closer.text}\` is missing, here at the latest`),
    );
    this.#out.push(...(closers ?? [virtualToken(closer.type, end)]));
  }
}

/**
 * The grammar of `.nnet`: text to syntax tree and back. `parse` never throws: whatever is wrong with
 * the text comes back as problems, beside a tree of what could be understood.
 */
import type { Lexer } from 'chevrotain';
import { collectComments, Docs } from './docs.ts';
import { dropEchoes, expectations, reportExceptions } from './expectations.ts';
import { lex } from './lexical.ts';
import { Lowering } from './lower.ts';
import { outline } from './outline.ts';
import { NnetParser } from './parser.ts';
import type { Problem } from './problem.ts';
import { Reporter } from './problems.ts';
import { lineStarts } from './span.ts';
import type { SourceFile } from './span.ts';
import type { Syntax } from './syntax.ts';
import { createLexer } from './tokens.ts';
import { classifyWords, Tokens } from './words.ts';

export { print } from './print.ts';
export { syntaxProblems } from './problems.ts';
export type { SyntaxCode } from './problems.ts';

export interface Parsed {
  readonly syntax: Syntax;
  readonly problems: readonly Problem[];
}

/** Lexer and parser: expensive to make, free to use again. */
export interface Grammar {
  readonly lexer: Lexer;
  readonly parser: NnetParser;
}

/** Makes a lexer and a parser; `validate` checks the grammar itself (for tests: it takes longer). */
export function createGrammar(validate = false): Grammar {
  return { lexer: createLexer(validate), parser: new NnetParser(expectations(), validate) };
}

const shared: { grammar?: Grammar } = {};

/** Parses one file. Problems are in the order of their places. */
export function parse(file: SourceFile, grammar: Grammar = (shared.grammar ??= createGrammar())): Parsed {
  const { path, text } = file;
  const reporter = new Reporter(path);
  const lexed = lex(grammar.lexer, text, reporter);
  const words = classifyWords(new Tokens(lexed.tokens, text), reporter);
  const marked = outline(words, text, reporter);
  reporter.setStarts(marked.starts);
  dropEchoes(reporter);
  const { parser } = grammar;
  parser.input = marked.tokens;
  const cst = parser.file();
  reportExceptions(parser.errors, text, reporter);
  const docs = new Docs(lexed.docs, lexed.tokens);
  const declarations = new Lowering(text, reporter, docs).declarations(cst);
  const comments = collectComments(lexed, docs, text, reporter);
  const span = reporter.span(0, text.length);
  const syntax: Syntax = { file: path, declarations, comments, lineStarts: lineStarts(text), span };
  return { syntax, problems: [...reporter.problems].sort((a, b) => placeOf(a) - placeOf(b)) };
}

function placeOf(problem: Problem): number {
  return problem.labels.find((label) => label.primary)?.span.start ?? 0;
}

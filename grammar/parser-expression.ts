/**
 * The grammar of expressions and types. Expressions are parsed as flat lists of operands and operators;
 * `operators.ts` applies precedence. These rules never recover from an error themselves: they hand it
 * on to the statement around them.
 */
import { CstParser } from 'chevrotain';
import type { CstNode, IParserErrorMessageProvider, TokenType } from 'chevrotain';
import { T, tokenTypes } from './tokens.ts';

export type Rule = (idxInCallingRule?: number) => CstNode;

/** Rules that only ever hand an error on to the statement around them. */
export const INNER = { resyncEnabled: false } as const;

/** `performSelfAnalysis` is left to the class that adds the last rules. */
export class ExpressionParser extends CstParser {
  constructor(errorMessageProvider: IParserErrorMessageProvider, validate: boolean) {
    super([...tokenTypes], {
      recoveryEnabled: true,
      maxLookahead: 2,
      nodeLocationTracking: 'onlyOffset',
      skipValidations: !validate,
      errorMessageProvider,
    });
  }

  /** Inventing tokens hides what is wrong; brackets were balanced before. */
  protected override canTokenTypeBeInsertedInRecovery(): boolean {
    return false;
  }

  /** Skipping one token must not lose a statement. */
  protected override canTokenTypeBeDeletedInRecovery(): boolean {
    const next = this.LA(1).tokenType;
    return ![T.EquationStart, T.BareStart, T.IfStatement, T.LCurly, T.RCurly].includes(next);
  }

  // -------------------------------------------------------------- types

  protected readonly type: Rule = this.RULE(
    'type',
    () => {
      this.SUBRULE(this.simpleType);
      this.MANY(() => {
        this.CONSUME(T.Bar);
        this.SUBRULE2(this.simpleType);
      });
    },
    INNER,
  );

  private readonly simpleType: Rule = this.RULE(
    'simpleType',
    () => {
      this.OR([
        {
          ALT: () => {
            this.CONSUME(T.Identifier);
            this.OPTION(() => this.SUBRULE(this.dimensions));
          },
        },
        { ALT: () => this.CONSUME(T.String) },
        {
          ALT: () => {
            this.CONSUME(T.LSquare);
            this.SUBRULE(this.type);
            this.CONSUME(T.RSquare);
          },
        },
        { ALT: () => this.SUBRULE(this.tupleType) },
      ]);
    },
    INNER,
  );

  private readonly tupleType: Rule = this.RULE(
    'tupleType',
    () => {
      this.CONSUME(T.LParen);
      this.OPTION(() => {
        this.SUBRULE(this.type);
        this.MANY(() => {
          this.CONSUME(T.Comma);
          this.SUBRULE2(this.type);
        });
        this.OPTION2(() => this.CONSUME2(T.Comma));
      });
      this.CONSUME(T.RParen);
    },
    INNER,
  );

  private readonly dimensions: Rule = this.RULE(
    'dimensions',
    () => {
      this.CONSUME(T.LSquare);
      this.OPTION(() => {
        this.SUBRULE(this.item);
        this.MANY(() => {
          this.CONSUME(T.Comma);
          this.SUBRULE2(this.item);
        });
        this.OPTION2(() => this.CONSUME2(T.Comma));
      });
      this.CONSUME(T.RSquare);
    },
    INNER,
  );

  // -------------------------------------------------------------- expressions

  protected readonly expression: Rule = this.RULE(
    'expression',
    () => {
      this.OR([
        {
          ALT: () => {
            this.CONSUME(T.If);
            this.SUBRULE(this.expression, { LABEL: 'condition' });
            this.CONSUME(T.Then);
            this.SUBRULE2(this.expression, { LABEL: 'then' });
            this.CONSUME(T.Else);
            this.SUBRULE3(this.expression, { LABEL: 'else' });
          },
        },
        {
          ALT: () => {
            this.SUBRULE(this.operand);
            this.MANY(() => {
              this.CONSUME(T.BinaryOp);
              this.SUBRULE2(this.operand);
            });
            this.MANY2(() => {
              this.CONSUME(T.PipeTo);
              this.SUBRULE(this.postfix, { LABEL: 'stage' });
            });
            this.OPTION(() => {
              this.CONSUME(T.From);
              this.SUBRULE2(this.postfix, { LABEL: 'source' });
            });
          },
        },
      ]);
    },
    INNER,
  );

  private readonly operand: Rule = this.RULE(
    'operand',
    () => {
      this.MANY(() => this.SUBRULE(this.prefix));
      this.SUBRULE(this.postfix);
    },
    INNER,
  );

  private readonly prefix: Rule = this.RULE(
    'prefix',
    () => {
      this.OR([
        { ALT: () => this.CONSUME(T.Minus) },
        { ALT: () => this.CONSUME(T.Not) },
        {
          ALT: () => {
            this.CONSUME(T.Reducer);
            this.CONSUME(T.LParen);
            this.SUBRULE(this.binder);
            this.MANY(() => {
              this.CONSUME(T.Comma);
              this.SUBRULE2(this.binder);
            });
            this.OPTION(() => this.CONSUME2(T.Comma));
            this.CONSUME(T.RParen);
          },
        },
      ]);
    },
    INNER,
  );

  private readonly binder: Rule = this.RULE(
    'binder',
    () => {
      this.OPTION(() => this.CONSUME(T.Ellipsis));
      this.CONSUME(T.Identifier);
      this.OPTION2(() => {
        this.CONSUME(T.In);
        this.SUBRULE(this.subscript);
      });
    },
    INNER,
  );

  private readonly postfix: Rule = this.RULE(
    'postfix',
    () => {
      this.SUBRULE(this.primary);
      this.MANY(() => this.SUBRULE(this.suffix));
    },
    INNER,
  );

  private readonly suffix: Rule = this.RULE(
    'suffix',
    () => {
      this.OR([
        { ALT: () => this.SUBRULE(this.arguments) },
        { ALT: () => this.SUBRULE(this.subscripts) },
        {
          ALT: () => {
            this.CONSUME(T.Dot);
            this.CONSUME(T.Identifier);
          },
        },
      ]);
    },
    INNER,
  );

  private readonly primary: Rule = this.RULE(
    'primary',
    () => {
      this.OR([
        { ALT: () => this.CONSUME(T.Number) },
        { ALT: () => this.CONSUME(T.String) },
        { ALT: () => this.CONSUME(T.True) },
        { ALT: () => this.CONSUME(T.False) },
        { ALT: () => this.CONSUME(T.Missing) },
        {
          ALT: () => {
            this.CONSUME(T.Identifier);
            this.OPTION(() => this.CONSUME(T.Prime));
          },
        },
        { ALT: () => this.SUBRULE(this.group) },
        { ALT: () => this.SUBRULE(this.list) },
      ]);
    },
    INNER,
  );

  private readonly group: Rule = this.RULE('group', () => this.#items(T.LParen, T.RParen), INNER);

  private readonly list: Rule = this.RULE('list', () => this.#items(T.LSquare, T.RSquare), INNER);

  /** An expression, or `...name` where dimensions are listed. */
  protected readonly item: Rule = this.RULE(
    'item',
    () => {
      this.OR([{ ALT: () => this.SUBRULE(this.spread) }, { ALT: () => this.SUBRULE(this.expression) }]);
    },
    INNER,
  );

  private readonly spread: Rule = this.RULE(
    'spread',
    () => {
      this.CONSUME(T.Ellipsis);
      this.CONSUME(T.Identifier);
    },
    INNER,
  );

  protected readonly arguments: Rule = this.RULE(
    'arguments',
    () => {
      this.CONSUME(T.LParen);
      this.OPTION(() => {
        this.SUBRULE(this.argument);
        this.MANY(() => {
          this.CONSUME(T.Comma);
          this.SUBRULE2(this.argument);
        });
        this.OPTION2(() => this.CONSUME2(T.Comma));
      });
      this.CONSUME(T.RParen);
    },
    INNER,
  );

  private readonly argument: Rule = this.RULE(
    'argument',
    () => {
      this.OPTION(() => {
        this.CONSUME(T.Identifier);
        this.CONSUME(T.Colon);
      });
      this.SUBRULE(this.expression);
    },
    INNER,
  );

  protected readonly subscripts: Rule = this.RULE(
    'subscripts',
    () => {
      this.CONSUME(T.LSquare);
      this.OPTION(() => {
        this.SUBRULE(this.subscript);
        this.MANY(() => {
          this.CONSUME(T.Comma);
          this.SUBRULE2(this.subscript);
        });
        this.OPTION2(() => this.CONSUME2(T.Comma));
      });
      this.CONSUME(T.RSquare);
    },
    INNER,
  );

  private readonly subscript: Rule = this.RULE(
    'subscript',
    () => {
      this.OR([
        { ALT: () => this.SUBRULE(this.spread) },
        {
          ALT: () => {
            this.SUBRULE(this.expression, { LABEL: 'start' });
            this.OPTION(() => this.SUBRULE(this.slice));
          },
        },
        { ALT: () => this.SUBRULE2(this.slice) },
      ]);
    },
    INNER,
  );

  private readonly slice: Rule = this.RULE(
    'slice',
    () => {
      this.CONSUME(T.Colon);
      this.OPTION(() => this.SUBRULE(this.expression, { LABEL: 'stop' }));
      this.OPTION2(() => {
        this.CONSUME2(T.Colon);
        this.OPTION3(() => this.SUBRULE2(this.expression, { LABEL: 'step' }));
      });
    },
    INNER,
  );

  #items(open: TokenType, close: TokenType): void {
    this.CONSUME(open);
    this.OPTION(() => {
      this.SUBRULE(this.item);
      this.MANY(() => {
        this.CONSUME(T.Comma);
        this.SUBRULE2(this.item);
      });
      this.OPTION2(() => this.CONSUME2(T.Comma));
    });
    this.CONSUME(close);
  }
}

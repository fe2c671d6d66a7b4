/**
 * The grammar of declarations and statements. After an error the parser goes on at the next statement
 * or declaration (`outline.ts` has marked them), or at the end of a parameter list.
 */
import type { IParserErrorMessageProvider } from 'chevrotain';
import { ExpressionParser, INNER } from './parser-expression.ts';
import type { Rule } from './parser-expression.ts';
import { T } from './tokens.ts';

/** Parses the tokens of one file; reusable by setting `input` again. */
export class NnetParser extends ExpressionParser {
  constructor(errorMessageProvider: IParserErrorMessageProvider, validate: boolean) {
    super(errorMessageProvider, validate);
    this.performSelfAnalysis();
  }

  // -------------------------------------------------------------- declarations

  readonly file: Rule = this.RULE('file', () => {
    this.MANY(() => this.SUBRULE(this.declaration));
  });

  private readonly declaration: Rule = this.RULE('declaration', () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.import) },
      { ALT: () => this.SUBRULE(this.fn) },
      { ALT: () => this.SUBRULE(this.container) },
    ]);
  });

  private readonly import: Rule = this.RULE('import', () => {
    this.CONSUME(T.Import);
    this.CONSUME(T.LCurly);
    this.OPTION(() => {
      this.SUBRULE(this.importName);
      this.MANY(() => {
        this.CONSUME(T.Comma);
        this.SUBRULE2(this.importName);
      });
      this.OPTION2(() => this.CONSUME2(T.Comma));
    });
    this.CONSUME(T.RCurly);
    this.CONSUME(T.From);
    this.CONSUME(T.String);
  });

  private readonly importName: Rule = this.RULE(
    'importName',
    () => {
      this.CONSUME(T.Identifier, { LABEL: 'name' });
      this.OPTION(() => {
        this.CONSUME(T.As);
        this.CONSUME2(T.Identifier, { LABEL: 'alias' });
      });
    },
    INNER,
  );

  private readonly container: Rule = this.RULE('container', () => {
    this.OR([
      { ALT: () => this.CONSUME(T.Model, { LABEL: 'kind' }) },
      { ALT: () => this.CONSUME(T.Layer, { LABEL: 'kind' }) },
      { ALT: () => this.CONSUME(T.Optimizer, { LABEL: 'kind' }) },
      { ALT: () => this.CONSUME(T.Task, { LABEL: 'kind' }) },
    ]);
    this.CONSUME(T.Identifier);
    this.OPTION(() => this.SUBRULE(this.parameters));
    this.SUBRULE(this.block);
  });

  private readonly fn: Rule = this.RULE('fn', () => {
    this.CONSUME(T.Fn);
    this.CONSUME(T.Identifier);
    this.SUBRULE(this.parameters);
    this.OPTION(() => {
      this.CONSUME(T.Arrow);
      this.SUBRULE(this.type);
    });
    this.OR([
      { ALT: () => this.SUBRULE(this.block) },
      {
        ALT: () => {
          this.CONSUME(T.Equals);
          this.SUBRULE(this.expression);
        },
      },
    ]);
  });

  private readonly parameters: Rule = this.RULE('parameters', () => {
    this.CONSUME(T.LParen);
    this.SUBRULE(this.parameterList);
    this.CONSUME(T.RParen);
  });

  /** A rule of its own, so that an error in it ends at the closing parenthesis. */
  private readonly parameterList: Rule = this.RULE('parameterList', () => {
    this.OPTION(() => {
      this.SUBRULE(this.parameter);
      this.MANY(() => {
        this.CONSUME(T.Comma);
        this.SUBRULE2(this.parameter);
      });
      this.OPTION2(() => this.CONSUME2(T.Comma));
    });
  });

  private readonly parameter: Rule = this.RULE(
    'parameter',
    () => {
      this.CONSUME(T.Identifier);
      this.OPTION(() => {
        this.CONSUME(T.Colon);
        this.SUBRULE(this.type);
      });
      this.OPTION2(() => {
        this.CONSUME(T.Equals);
        this.SUBRULE(this.expression);
      });
    },
    INNER,
  );

  // -------------------------------------------------------------- statements

  private readonly block: Rule = this.RULE('block', () => {
    this.CONSUME(T.LCurly);
    this.MANY(() => this.SUBRULE(this.statement));
    this.CONSUME(T.RCurly);
  });

  private readonly statement: Rule = this.RULE('statement', () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.port) },
      { ALT: () => this.SUBRULE(this.equation) },
      { ALT: () => this.SUBRULE(this.bare) },
      { ALT: () => this.SUBRULE(this.return) },
      { ALT: () => this.SUBRULE(this.scan) },
      { ALT: () => this.SUBRULE(this.staticIf) },
      { ALT: () => this.SUBRULE(this.repeat) },
      { ALT: () => this.SUBRULE(this.fit) },
      { ALT: () => this.SUBRULE(this.evaluate) },
      { ALT: () => this.SUBRULE(this.minimize) },
      { ALT: () => this.SUBRULE(this.metric) },
    ]);
  });

  private readonly port: Rule = this.RULE('port', () => {
    this.CONSUME(T.PortRole);
    this.CONSUME(T.Identifier);
    this.MANY(() => {
      this.CONSUME(T.Comma);
      this.CONSUME2(T.Identifier);
    });
    this.OPTION(() => {
      this.CONSUME(T.Colon);
      this.SUBRULE(this.type);
    });
    this.OPTION2(() => {
      this.CONSUME(T.Equals);
      this.SUBRULE(this.expression);
    });
    this.OPTION3(() => this.SUBRULE(this.when));
  });

  private readonly when: Rule = this.RULE('when', () => {
    this.CONSUME(T.When);
    this.SUBRULE(this.expression);
  });

  private readonly equation: Rule = this.RULE('equation', () => {
    this.CONSUME(T.EquationStart);
    this.CONSUME(T.Identifier);
    this.OPTION(() => this.CONSUME(T.Prime));
    this.OPTION2(() => this.SUBRULE(this.subscripts));
    this.CONSUME(T.Equals);
    this.SUBRULE(this.expression);
    this.OPTION3(() => this.SUBRULE(this.when));
  });

  /** An action, or an expression that is no statement; which of them, `lower.ts` says. */
  private readonly bare: Rule = this.RULE('bare', () => {
    this.CONSUME(T.BareStart);
    this.SUBRULE(this.expression);
  });

  private readonly return: Rule = this.RULE('return', () => {
    this.CONSUME(T.Return);
    this.SUBRULE(this.expression);
  });

  private readonly scan: Rule = this.RULE('scan', () => {
    this.CONSUME(T.Scan);
    this.CONSUME(T.Identifier);
    this.CONSUME(T.In);
    this.SUBRULE(this.expression);
    this.OPTION(() => this.CONSUME(T.Reversed));
    this.SUBRULE(this.block);
  });

  private readonly staticIf: Rule = this.RULE('staticIf', () => {
    this.CONSUME(T.IfStatement);
    this.SUBRULE(this.expression);
    this.SUBRULE(this.block);
    this.MANY(() => {
      this.CONSUME(T.Else);
      this.CONSUME(T.If);
      this.SUBRULE2(this.expression);
      this.SUBRULE2(this.block);
    });
    this.OPTION(() => {
      this.CONSUME2(T.Else);
      this.SUBRULE3(this.block, { LABEL: 'otherwise' });
    });
  });

  private readonly repeat: Rule = this.RULE('repeat', () => {
    this.CONSUME(T.Repeat);
    this.OPTION(() => {
      this.CONSUME(T.Identifier);
      this.CONSUME(T.In);
    });
    this.SUBRULE(this.expression);
    this.SUBRULE(this.block);
  });

  private readonly fit: Rule = this.RULE('fit', () => {
    this.CONSUME(T.Fit);
    this.OPTION(() => this.SUBRULE(this.arguments));
    this.CONSUME(T.On);
    this.SUBRULE(this.expression);
    this.SUBRULE(this.block);
  });

  private readonly evaluate: Rule = this.RULE('evaluate', () => {
    this.CONSUME(T.Evaluate);
    this.OPTION(() => this.SUBRULE(this.arguments));
    this.CONSUME(T.On);
    this.SUBRULE(this.expression);
    this.OPTION2(() => this.SUBRULE(this.block));
  });

  private readonly minimize: Rule = this.RULE('minimize', () => {
    this.CONSUME(T.Minimize);
    this.SUBRULE(this.expression, { LABEL: 'loss' });
    this.OPTION(() => {
      this.CONSUME(T.Over);
      this.SUBRULE2(this.expression, { LABEL: 'over' });
      this.MANY(() => {
        this.CONSUME(T.Comma);
        this.SUBRULE3(this.expression, { LABEL: 'over' });
      });
    });
    this.CONSUME(T.With);
    this.SUBRULE4(this.expression, { LABEL: 'with' });
    this.OPTION2(() => {
      this.CONSUME(T.Every);
      this.SUBRULE5(this.expression, { LABEL: 'every' });
    });
  });

  private readonly metric: Rule = this.RULE('metric', () => {
    this.CONSUME(T.Metric);
    this.CONSUME(T.Identifier);
    this.CONSUME(T.Equals);
    this.SUBRULE(this.expression);
  });
}

/**
 * The part of CloudWatch's metric math that alarms of ours need: numbers, ids of series, `+ - * /`, parentheses,
 * `FILL(series, number)`, `IF(a >= b, then, else)` with one comparison, and `SUM`, `MIN`, `MAX`, `AVG` of a list such as
 * `[a, b]`.
 *
 * Source: CloudWatch User Guide, "Using math expressions with CloudWatch metrics".
 */

/** Value of a series in one period; `undefined`: missing. */
export type ValueOf = (id: string) => number | undefined;

type Value = number | undefined;

/** A computed expression: its value in one period, and the series that it names. */
export interface Expression {
  ids: readonly string[];
  /** Missing where a part is missing, and where it divides by zero. */
  evaluate(seriesValue: ValueOf): Value;
}

/** @throws on anything that is not understood, with its place */
export function parseExpression(text: string): Expression {
  const parser = new Parser(text);
  const compute = parser.parse();
  return { ids: [...parser.ids], evaluate: (seriesValue) => finite(compute(seriesValue)) };
}

type Compute = (seriesValue: ValueOf) => Value;

/** Of the values that are there, as CloudWatch's functions over several series do. */
const OF_LISTS: Readonly<Record<string, (values: number[]) => number>> = {
  SUM: (values) => values.reduce((sum, value) => sum + value, 0),
  MIN: (values) => Math.min(...values),
  MAX: (values) => Math.max(...values),
  AVG: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
};

/** Comparisons that a condition may have; `=` alone is none. */
const COMPARISONS: Readonly<Record<string, (left: number, right: number) => boolean>> = {
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
  '==': (left, right) => left === right,
  '!=': (left, right) => left !== right,
};

const TOKEN = /\s*(\d+(?:\.\d+)?|[A-Za-z_]\w*|[<>=!]=|[-+*/(),[\]<>])/y;

class Parser {
  readonly ids = new Set<string>();
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Compute {
    const compute = this.#sum();
    if (this.#peek() !== undefined || this.#text.slice(this.#at).trim() !== '') this.#refuse('an operator');
    return compute;
  }

  #sum(): Compute {
    return this.#operations(['+', '-'], () => this.#product());
  }

  #product(): Compute {
    return this.#operations(['*', '/'], () => this.#factor());
  }

  #operations(operators: readonly string[], operand: () => Compute): Compute {
    let left = operand();
    for (let operator = this.#peek(); operators.includes(operator ?? ''); operator = this.#peek()) {
      this.#take();
      left = combine(operator!, left, operand());
    }
    return left;
  }

  #factor(): Compute {
    const token = this.#take();
    if (token === '-') return combine('-', () => 0, this.#factor());
    if (token === '(') {
      const inner = this.#sum();
      this.#expect(')');
      return inner;
    }
    if (token === undefined || !/^[\w]/.test(token)) this.#refuse('a number, a series or "("');
    if (/^\d/.test(token)) return () => Number(token);
    if (this.#peek() === '(') return this.#call(token);
    this.ids.add(token);
    return (seriesValue) => seriesValue(token);
  }

  #call(name: string): Compute {
    this.#expect('(');
    const compute = name === 'FILL' ? this.#fill() : name === 'IF' ? this.#if() : this.#list(name);
    this.#expect(')');
    return compute;
  }

  #fill(): Compute {
    const series = this.#sum();
    this.#expect(',');
    const instead = this.#sum();
    return (seriesValue) => series(seriesValue) ?? instead(seriesValue);
  }

  #if(): Compute {
    const left = this.#sum();
    const compare = COMPARISONS[this.#take() ?? ''] ?? this.#refuse('a comparison');
    const right = this.#sum();
    this.#expect(',');
    const whenTrue = this.#sum();
    this.#expect(',');
    const whenFalse = this.#sum();
    return (seriesValue) => {
      const [a, b] = [left(seriesValue), right(seriesValue)];
      if (a === undefined || b === undefined) return undefined;
      return (compare(a, b) ? whenTrue : whenFalse)(seriesValue);
    };
  }

  #list(name: string): Compute {
    const reduce = Object.hasOwn(OF_LISTS, name) ? OF_LISTS[name]! : this.#refuse('a known function');
    this.#expect('[');
    const members = [this.#sum()];
    while (this.#peek() === ',') {
      this.#take();
      members.push(this.#sum());
    }
    this.#expect(']');
    return (seriesValue) => {
      const values = members.map((member) => member(seriesValue)).filter((value) => value !== undefined);
      return values.length === 0 ? undefined : reduce(values);
    };
  }

  #peek(): string | undefined {
    TOKEN.lastIndex = this.#at;
    return TOKEN.exec(this.#text)?.[1];
  }

  #take(): string | undefined {
    const token = this.#peek();
    if (token !== undefined) this.#at = TOKEN.lastIndex;
    return token;
  }

  #expect(token: string): void {
    if (this.#take() !== token) this.#refuse(`"${token}"`);
  }

  #refuse(expected: string): never {
    throw new Error(
      `The expression "${this.#text}" is not understood at character ${this.#at + 1}: expected ${expected}. The local ` +
        `stack computes + - * / ( ), FILL, IF with one comparison, and ${Object.keys(OF_LISTS).join(', ')} of a list.`,
    );
  }
}

function combine(operator: string, left: Compute, right: Compute): Compute {
  return (seriesValue) => {
    const [a, b] = [left(seriesValue), right(seriesValue)];
    if (a === undefined || b === undefined) return undefined;
    if (operator === '+') return a + b;
    if (operator === '-') return a - b;
    return operator === '*' ? a * b : a / b;
  };
}

function finite(value: Value): Value {
  return value !== undefined && Number.isFinite(value) ? value : undefined;
}

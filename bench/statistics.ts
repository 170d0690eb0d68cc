/** A median and what it is the median of. */
export interface Spread {
  median: number;
  low: number;
  high: number;
}

/**
 * The middle of the values, or the mean of the two in the middle.
 * @throws {RangeError} if there are none.
 */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('there is no median of no values');
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Median, least and greatest of the values. */
export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), low: Math.min(...values), high: Math.max(...values) };
}

/**
 * How `values` compare with `baseline`, round by round. What happens to the machine in a round happens to both, so the
 * median of the rounds' ratios is steadier than the ratio of two medians.
 * @param values one a round, in the rounds' order, as many as in `baseline`.
 * @throws {RangeError} if the rounds do not match.
 */
export function ratiosOf(values: readonly number[], baseline: readonly number[]): Spread {
  if (values.length !== baseline.length) {
    throw new RangeError(`${values.length} rounds cannot be compared with ${baseline.length}`);
  }
  return spreadOf(values.map((value, round) => value / baseline[round]!));
}

/** Three significant digits: what a benchmark on a shared machine can tell. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

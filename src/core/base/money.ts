/**
 * Money without rounding: sums are whole picodollars (10^-12 USD), which every price times every number of tokens comes
 * out to. Only what is shown, and what is reserved, is rounded.
 */

/** Whole 10^-12 USD. */
export type Picodollars = bigint;

const PER_USD = 1_000_000_000_000n;
const PER_MICRODOLLAR = 1_000_000n;
const DECIMALS = 12;

/** As a decimal, exact: `0.000425`, `12`, `0`. */
export function toUsd(amount: Picodollars): string {
  const sign = amount < 0n ? '-' : '';
  const digits = String(amount < 0n ? -amount : amount).padStart(DECIMALS + 1, '0');
  const fraction = digits.slice(-DECIMALS).replace(/0+$/, '');
  return `${sign}${digits.slice(0, -DECIMALS)}${fraction === '' ? '' : `.${fraction}`}`;
}

/**
 * Reads a decimal such as `12`, `0.5` or `12.000001`.
 * @returns `undefined` if it is none, is negative, or has more than 12 decimals.
 */
export function fromUsd(text: string): Picodollars | undefined {
  const parts = /^(\d+)(?:\.(\d{1,12}))?$/.exec(text);
  if (parts === null) return undefined;
  return BigInt(parts[1]!) * PER_USD + BigInt((parts[2] ?? '').padEnd(DECIMALS, '0'));
}

/**
 * Whole millionths of a USD, rounded up: what a ledger reserves and books, so that no budget is overrun by rounding.
 */
export function toMicrodollars(amount: Picodollars): number {
  return Number((amount + PER_MICRODOLLAR - 1n) / PER_MICRODOLLAR);
}

/** Whole millionths of a USD, as a ledger has them. */
export function fromMicrodollars(amount: number): Picodollars {
  return BigInt(amount) * PER_MICRODOLLAR;
}

/** For a person: at least two decimals, at least two digits that are not 0, rounded half up. `$1,234.50`, `$0.0043`. */
export function formatUsd(amount: Picodollars): string {
  const magnitude = amount < 0n ? -amount : amount;
  let decimals = 2;
  for (let bound = PER_USD; magnitude !== 0n && magnitude < bound && decimals < DECIMALS; bound /= 10n)
    decimals++;
  if (decimals > 2) decimals--;
  const unit = 10n ** BigInt(DECIMALS - decimals);
  const rounded = (magnitude + unit / 2n) / unit;
  const digits = String(rounded).padStart(decimals + 1, '0');
  const whole = digits.slice(0, -decimals).replace(/\B(?=(\d{3})+$)/g, ',');
  return `${amount < 0n ? '-' : ''}$${whole}.${digits.slice(-decimals)}`;
}

/** The names of OpenAI's models, as far as prices go by them. */

/** `-2025-08-07` at the end of a model's name. */
export const SNAPSHOT = /-\d{4}-\d{2}-\d{2}$/;

/**
 * The names by which the price of a model is looked for, the most exact first. A snapshot costs what its model does,
 * unless it has a row of its own; a fine-tuned model, `ft:<base>:<organization>:…`, what the row `ft:<base>` says, and
 * without one it has no price: that of its base is not its own.
 */
export function pricedNamesOf(model: string): string[] {
  const whose = model.startsWith('ft:') ? model.split(':', 2).join(':') : model;
  return [...new Set([model, whose, whose.replace(SNAPSHOT, '')])];
}
